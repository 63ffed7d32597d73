import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pykbroker
from pykbroker.config.broker import BrokerConfig
from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.keys import ConfigError
from pykbroker.config.listeners import Listener
from pykbroker.config.properties import parse_properties
from pykbroker.config.synonyms import TOPIC_SYNONYMS, broker_synonyms
from pykbroker.config.topic import TOPIC_KEYS, TopicConfig

# What a KRaft quick start of Apache Kafka uses.
QUICK_START = """
process.roles=broker,controller
node.id=7
controller.quorum.voters=7@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/var/lib/one,/var/lib/two
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def refusal(**settings: str) -> str:
    """Return the message about settings; `_` stands for `.`."""
    with pytest.raises(ConfigError) as caught:
        BrokerConfig.from_settings(
            {name.replace("_", "."): value for name, value in settings.items()}
        )
    return str(caught.value)


def test_no_settings_make_a_broker_for_this_machine_only() -> None:
    config = BrokerConfig.from_settings()

    assert config.node_id == 1
    assert config.listeners == (Listener("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 9092),)
    assert config.advertised_listeners == ()
    assert config.log_dirs == ("./pykbroker-data",)
    assert config.pykbroker_fsync == "always"
    assert config.pykbroker_replication_factor_cap is False
    assert config.group_initial_rebalance_delay_ms == 0
    assert config.auto_create_topics_enable is True
    assert config.broker_rack is None
    assert config.settings_without_effect == ()


def test_a_server_properties_file_of_kafka_loads() -> None:
    config = BrokerConfig.from_settings(parse_properties(QUICK_START))

    assert config.node_id == 7
    assert config.listeners == (Listener("PLAINTEXT", "PLAINTEXT", "", 9092),)
    assert config.advertised_listeners == (Listener("PLAINTEXT", "PLAINTEXT", "localhost", 9092),)
    assert config.log_dirs == ("/var/lib/one", "/var/lib/two")
    assert "num.io.threads" in config.settings_without_effect
    assert "num.partitions" not in config.settings_without_effect


def test_attributes_have_the_types_of_their_settings() -> None:
    config = BrokerConfig.from_settings()
    types = {"BOOLEAN": bool, "DOUBLE": float, "LIST": tuple, "STRING": str}

    for field in fields(BrokerConfig):
        key = BROKER_KEYS.get(field.name.replace("_", "."))
        value = getattr(config, field.name)
        if key is not None and value is not None and "overrides" not in field.name:
            assert type(value) is types.get(key.type.name, int), field.name


# These shape node_id, log_dirs and listeners.
SHAPING = {"broker.id", "controller.listener.names", "listener.security.protocol.map", "log.dir"}


def attributes_read_by_others() -> set[str]:
    """Return every `.attribute` in the package outside of the settings' own code."""
    package = Path(pykbroker.__file__).parent
    found: set[str] = set()
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).parts
        # What holds for a group is laid together there for the coordinator.
        is_settings = parts[0] == "config" and path.stem != "group"
        if not is_settings and "messages" not in parts and path.stem != "config_rules":
            found.update(re.findall(r"\.([a-z0-9_]+)\b", path.read_text()))
    return found


def test_the_tables_say_truly_which_settings_have_an_effect() -> None:
    """A setting that is read gets `effect=True` in its table, and no other one."""
    read = attributes_read_by_others()

    topic = {
        name: key.has_effect
        for name, key in TOPIC_KEYS.items()
        if name != "internal.segment.bytes"  # shapes segment_bytes
    }
    in_topics = {field.name.replace("_", ".") for field in fields(TopicConfig)}
    effective_topic = {name for name in in_topics if name.replace(".", "_") in read}
    assert {name for name, has_effect in topic.items() if has_effect} == effective_topic

    in_broker = {field.name.replace("_", ".") for field in fields(BrokerConfig)}
    effective = {name for name in in_broker & BROKER_KEYS.keys() if name.replace(".", "_") in read}
    for name in effective_topic & TOPIC_SYNONYMS.keys():
        effective.update(broker_synonyms(TOPIC_SYNONYMS[name]))
    claimed = {name for name, key in BROKER_KEYS.items() if key.has_effect}
    assert claimed == effective | SHAPING


def test_any_setting_can_be_read_by_name() -> None:
    config = BrokerConfig.from_settings({"num.io.threads": "3"})

    assert config.value("num.io.threads") == 3
    assert config.value("num.network.threads") == 3
    assert config.value("log.retention.ms") is None


def test_broker_settings_are_the_defaults_of_topics() -> None:
    config = BrokerConfig.from_settings({"log.retention.minutes": "1", "message.max.bytes": "5"})

    assert config.topic_defaults.retention_ms == 60_000
    assert config.topic_defaults.max_message_bytes == 5
    assert config.message_max_bytes == 5


@pytest.mark.parametrize(
    ("settings", "node_id"),
    [
        ({}, 1),
        ({"node.id": "3"}, 3),
        ({"broker.id": "4"}, 4),
        ({"broker.id": "-1"}, 1),
        ({"node.id": "0", "broker.id": "0"}, 0),
    ],
)
def test_the_node_id_may_have_its_older_name(settings: dict[str, str], node_id: int) -> None:
    assert BrokerConfig.from_settings(settings).node_id == node_id


def test_two_different_ids_are_refused() -> None:
    assert refusal(node_id="1", broker_id="2") == (
        "node.id (1) and broker.id (2) must be the same; set only node.id"
    )


@pytest.mark.parametrize(
    ("settings", "log_dirs"),
    [
        ({"log.dir": "/a"}, ("/a",)),
        ({"log.dir": "/a", "log.dirs": "/b, /c"}, ("/b", "/c")),
    ],
)
def test_log_dirs_counts_before_log_dir(
    settings: dict[str, str], log_dirs: tuple[str, ...]
) -> None:
    assert BrokerConfig.from_settings(settings).log_dirs == log_dirs


def test_mistakes_are_refused_with_advice() -> None:
    assert "did you mean 'log.retention.hours'?" in refusal(log_retention_hour="1")
    assert "no longer exists" in refusal(zookeeper_connect="localhost:2181")
    assert refusal(num_partitions="0") == (
        "Invalid value 0 for configuration num.partitions: Value must be at least 1"
    )
    assert "[always, never]" not in refusal(pykbroker_fsync="maybe")
    assert "String must be one of: always, never" in refusal(pykbroker_fsync="maybe")
    assert "process.roles must hold broker" in refusal(process_roles="controller")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"log.retention.hours": "0"}, "Value must be at least 1, or -1 for no limit"),
        ({"log.retention.ms": "-2"}, "Value must be at least 1, or -1 for no limit"),
        ({"log.roll.ms": "0"}, "Value must be at least 1"),
        ({"log.roll.jitter.ms": "-1"}, "Value must be at least 0"),
        ({"group.min.session.timeout.ms": "1800001"}, "must be less than or equal to"),
        ({"group.consumer.session.timeout.ms": "44999"}, "must be less than or equal to"),
        ({"group.consumer.max.heartbeat.interval.ms": "4999"}, "must be less than or equal to"),
        ({"group.share.assignment.interval.ms": "15001"}, "must be less than or equal to"),
        (
            {
                "group.consumer.min.session.timeout.ms": "1",
                "group.consumer.session.timeout.ms": "5000",
            },
            r"group\.consumer\.heartbeat\.interval\.ms \(5000\) must be less than "
            r"group\.consumer\.session\.timeout\.ms \(5000\)",
        ),
        ({"group.coordinator.rebalance.protocols": "consumer"}, "must hold classic"),
        ({"group.consumer.assignors": "uniform,sticky"}, "must be one of: uniform, range"),
        ({"listener.name.internal.ssl.client.auth": "x"}, "String must be one of"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        BrokerConfig.from_settings(settings)


def test_settings_of_plug_ins_and_listeners_are_accepted() -> None:
    config = BrokerConfig.from_settings(
        {
            "super.users": "User:admin",
            "listener.name.internal.ssl.keystore.location": "/k",
            "leader.replication.throttled.rate": "5",
        }
    )

    assert set(config.settings_without_effect) == set(config.settings)


def test_listeners_of_the_controller_are_not_opened() -> None:
    config = BrokerConfig.from_settings(
        {"listeners": "PLAINTEXT://:1,CTRL://:2", "controller.listener.names": "CTRL"}
    )

    assert [listener.name for listener in config.listeners] == ["PLAINTEXT"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"listeners": "SSL://:1"}, "security protocol SSL is not supported yet"),
        ({"listeners": "FOO://:1"}, "no security protocol is defined for listener FOO"),
        (
            {"listeners": "CTRL://:1", "controller.listener.names": "CTRL"},
            "at least one that is not a controller's",
        ),
        ({"advertised.listeners": "PLAINTEXT://0.0.0.0:1"}, "cannot be reached"),
        ({"advertised.listeners": "SSL://h:1"}, "is not the name of a listener"),
    ],
)
def test_addresses_that_cannot_work_are_refused(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        BrokerConfig.from_settings(settings)


def test_connection_limits_of_single_addresses() -> None:
    config = BrokerConfig.from_settings({"max.connections.per.ip.overrides": "10.0.0.1:5, ::1:7"})

    assert config.max_connections_per_ip_overrides == {"10.0.0.1": 5, "::1": 7}
    assert "expected host:count" in refusal(max_connections_per_ip_overrides="10.0.0.1")


@given(st.dictionaries(st.sampled_from(sorted(BROKER_KEYS)), st.text(max_size=8), max_size=3))
@settings(max_examples=50)
def test_any_values_are_accepted_or_refused_cleanly(given_settings: dict[str, str]) -> None:
    try:
        config = BrokerConfig.from_settings(given_settings)
    except ConfigError:
        return
    assert config.settings == given_settings
