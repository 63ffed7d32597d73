import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.environment import (
    DATA_DIR,
    Ignored,
    read_environment,
    setting_of,
    value_for,
    variable_of,
)
from pykbroker.config.keys import ConfigError


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("KAFKA_LOG_DIRS", "log.dirs"),
        ("KAFKA_ABC_DEF", "abc.def"),
        ("KAFKA_ABC__DEF", "abc_def"),
        ("KAFKA_ABC___DEF", "abc-def"),
        # What Kafka's own class made of these.
        ("KAFKA_A__B___C____D_____E______F", "a_b-c-.d-_e--f"),
        ("KAFKA_X_KAFKA_Y", "x.kafka.y"),
        ("KAFKA_lower", "lower"),
    ],
)
def test_a_variable_stands_for_the_setting_that_kafkas_image_takes_it_for(
    variable: str, setting: str
) -> None:
    assert setting_of(variable) == setting


def test_every_setting_has_a_variable() -> None:
    names = [*BROKER_KEYS, "listener.name.client_a-b.sasl.enabled.mechanisms"]

    assert [setting_of(variable_of(name)) for name in names] == names
    assert variable_of("log.dirs") == "KAFKA_LOG_DIRS"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\t\f \0"), max_size=20))
def test_every_value_has_a_text(value: str) -> None:
    read = read_environment({"KAFKA_BROKER_RACK": value_for(value)})

    assert read.settings["broker.rack"] == value


def test_values_are_those_of_a_properties_file() -> None:
    read = read_environment({"KAFKA_BROKER_RACK": "  a\\tb\\u00e9 c=d "})

    assert read.settings["broker.rack"] == "a\tbé c=d "


def test_a_value_of_several_lines_is_one_value() -> None:
    read = read_environment({"KAFKA_LISTENERS": "A://:1,\nB://:2\n"})

    assert read.settings["listeners"].split() == ["A://:1,", "B://:2"]


def test_a_malformed_value_is_refused_with_its_variable() -> None:
    with pytest.raises(ConfigError, match=r"KAFKA_BROKER_RACK.*u12"):
        read_environment({"KAFKA_BROKER_RACK": "\\u12"})


def test_without_variables_a_client_on_the_same_machine_is_served() -> None:
    read = read_environment({"PATH": "/bin", "HOME": "/root"})

    config = BrokerConfig.from_settings(read.settings)
    assert [str(listener) for listener in config.listeners] == ["PLAINTEXT://:9092"]
    assert [str(each) for each in config.advertised_listeners] == ["PLAINTEXT://localhost:9092"]
    assert config.log_dirs == (DATA_DIR,)
    assert config.node_id == 1
    assert config.pykbroker_replication_factor_cap
    assert read.ignored == ()
    assert read.log_level == "info"
    assert not read.is_controller


def test_with_any_setting_the_advertised_address_is_none_of_ours() -> None:
    read = read_environment({"KAFKA_NUM_PARTITIONS": "3"})

    assert "advertised.listeners" not in read.settings
    assert read.settings["listeners"] == "PLAINTEXT://:9092"


def test_a_typical_compose_file_is_served() -> None:
    read = read_environment(
        {
            "CLUSTER_ID": "ciWo7IWazngRchmPES6q5A",
            "KAFKA_ADVERTISED_LISTENERS": "INSIDE://kafka:29092,OUTSIDE://localhost:9092",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "7@kafka:29093",
            "KAFKA_HEAP_OPTS": "-Xmx512m",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
            "KAFKA_JMX_PORT": "9101",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
                "CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"
            ),
            "KAFKA_LISTENERS": "INSIDE://kafka:29092,CONTROLLER://kafka:29093,OUTSIDE://:9092",
            "KAFKA_LOG4J_LOGGERS": "kafka=WARN",
            "KAFKA_LOG4J_ROOT_LOGLEVEL": "WARN",
            "KAFKA_LOG_DIRS": "/data/kafka",
            "KAFKA_NODE_ID": "7",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_ZOOKEEPER_CONNECT": "",
        }
    )

    config = BrokerConfig.from_settings(read.settings)
    assert [str(listener) for listener in config.listeners] == [
        "INSIDE://kafka:29092",
        "OUTSIDE://:9092",
    ]
    assert config.node_id == 7
    assert config.log_dirs == ("/data/kafka",)
    assert config.pykbroker_cluster_id == "ciWo7IWazngRchmPES6q5A"
    assert read.log_level == "warning"
    assert {name for name, _ in read.ignored} == {
        "KAFKA_HEAP_OPTS",
        "KAFKA_JMX_PORT",
        "KAFKA_LOG4J_LOGGERS",
        "zookeeper.connect",
    }


@pytest.mark.parametrize(
    ("advertised", "listeners"),
    [
        ("PLAINTEXT://localhost:9092", "PLAINTEXT://0.0.0.0:9092"),
        ("A://one:1,B://two.example:22", "A://0.0.0.0:1,B://0.0.0.0:22"),
        ("A://[::1]:1", "A://0.0.0.0:1"),
        ("A://:1", "A://0.0.0.0:1"),
    ],
)
@pytest.mark.parametrize("given_listeners", [{}, {"KAFKA_LISTENERS": ""}])
def test_without_listeners_the_advertised_ones_are_opened(
    advertised: str, listeners: str, given_listeners: dict[str, str]
) -> None:
    read = read_environment({"KAFKA_ADVERTISED_LISTENERS": advertised, **given_listeners})

    assert read.settings["listeners"] == listeners
    assert read.settings["advertised.listeners"] == advertised


def test_a_variable_counts_more_than_the_mounted_file() -> None:
    mounted = "num.partitions=2\nbroker.rack=a\nno.such.setting=1\n"

    read = read_environment({"KAFKA_NUM_PARTITIONS": "3"}, mounted)

    assert read.settings["num.partitions"] == "3"
    assert read.settings["broker.rack"] == "a"
    assert "advertised.listeners" not in read.settings
    assert read.ignored == (Ignored("no.such.setting", "unknown setting 'no.such.setting'"),)


def test_a_mounted_file_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/mnt/shared/config/server.properties: line 1"):
        read_environment({}, "a=\\u1")


def test_an_unknown_name_is_ignored_with_advice() -> None:
    read = read_environment({"KAFKA_AUTO_CREATE_TOPIC_ENABLE": "false", "KAFKA_": "x"})

    ((name, reason),) = read.ignored
    assert name == "auto.create.topic.enable"
    assert "did you mean 'auto.create.topics.enable'?" in reason
    assert name not in read.settings


def test_settings_of_plugins_and_dynamic_ones_are_known() -> None:
    read = read_environment(
        {
            "KAFKA_SUPER_USERS": "User:admin",
            "KAFKA_LEADER_REPLICATION_THROTTLED_RATE": "5",
            "KAFKA_LISTENER_NAME_CLIENT_SSL_KEYSTORE_LOCATION": "/etc/keys",
        }
    )

    assert read.ignored == ()
    assert read.settings["super.users"] == "User:admin"


def test_one_log_directory_is_as_good_as_several() -> None:
    read = read_environment({"KAFKA_LOG_DIR": "/data"})

    assert BrokerConfig.from_settings(read.settings).log_dirs == ("/data",)


@pytest.mark.parametrize(
    ("roles", "is_controller"),
    [("controller", True), ("broker", False), (" controller , broker", False), ("", False)],
)
def test_a_controller_alone_is_told_from_a_broker(roles: str, is_controller: bool) -> None:
    assert read_environment({"KAFKA_PROCESS_ROLES": roles}).is_controller is is_controller


@pytest.mark.parametrize(
    ("variable", "nodes"),
    [
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@a:9093,2@b:9093,3@c:9093"),
        ("KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS", "a:9093,b:9093,c:9093"),
    ],
)
def test_a_quorum_of_several_nodes_is_named(variable: str, nodes: str) -> None:
    ((name, reason),) = read_environment({variable: nodes}).ignored

    assert name == setting_of(variable)
    assert "a cluster of its own" in reason
    assert "3 nodes" in reason


@pytest.mark.parametrize(
    ("level", "expected"), [("TRACE", "debug"), ("error", "error"), ("", "info"), ("odd", "info")]
)
def test_log4js_level_is_ours(level: str, expected: str) -> None:
    assert read_environment({"KAFKA_LOG4J_ROOT_LOGLEVEL": level}).log_level == expected
