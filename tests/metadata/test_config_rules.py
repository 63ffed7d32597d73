import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.metadata.config_rules import (
    effective_broker_config,
    validate_broker_configs,
    validate_broker_resource,
    validate_client_metrics_configs,
    validate_group_configs,
    validate_topic_configs,
    validate_topic_resource,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError

INVALID_CONFIG, INVALID_REQUEST = ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_REQUEST
BROKER = BrokerConfig.from_settings()

# Codes and messages below are those that Apache Kafka 4.3.1 answered.


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({"nope": "1"}, "Unknown topic config name: nope"),
        ({"retention.ms": "x", "nope": "1"}, "Unknown topic config name: nope"),
        ({"message.format.version": "3.0"}, "Unknown topic config name: message.format.version"),
        (
            {"retention.ms": "abc"},
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            {"segment.bytes": "1000"},
            "Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            {"leader.replication.throttled.replicas": "a"},
            "Invalid value [a] for configuration leader.replication.throttled.replicas: "
            "leader.replication.throttled.replicas must be the literal '*' or a list of replicas "
            "in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        (
            {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            {"remote.storage.enable": "true"},
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
            "with remote log storage.",
        ),
    ],
)
def test_bad_topic_settings_are_refused(configs: dict[str, str], message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_topic_configs(configs, {})

    assert (caught.value.code, caught.value.message) == (INVALID_CONFIG, message)


def test_the_brokers_settings_count_in_combinations() -> None:
    with pytest.raises(KafkaError, match="conflict topic config setting"):
        validate_topic_configs(
            {"min.compaction.lag.ms": "10"}, {"log.cleaner.max.compaction.lag.ms": "5"}
        )


def test_good_topic_settings_become_a_topic_config() -> None:
    config = validate_topic_configs({"retention.ms": " 5 ", "cleanup.policy": ""}, {})

    assert config.retention_ms == 5


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("", INVALID_REQUEST, "Default topic resources are not allowed."),
        ("nope", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "The topic 'nope' does not exist."),
        ("..", ErrorCode.INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '..' is not allowed"),
    ],
)
def test_the_topic_must_exist(name: str, code: ErrorCode, message: str) -> None:
    validate_topic_resource("t", {"t": None})
    with pytest.raises(KafkaError) as caught:
        validate_topic_resource(name, {"t": None})

    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abc", "Node id must be an integer, but it is: abc"),
        ("99", "Unexpected broker id, expected 1, but received 99"),
    ],
)
def test_the_broker_must_be_this_one_or_all(name: str, message: str) -> None:
    for known in ("", "1", "01"):
        validate_broker_resource(known, 1)
    with pytest.raises(KafkaError) as caught:
        validate_broker_resource(name, 1)

    assert (caught.value.code, caught.value.message) == (INVALID_REQUEST, message)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("1", {"message.max.bytes": "5"}),
        ("", {"message.max.bytes": "5", "log.retention.ms": "-1"}),
        ("1", {"my.plugin": "x"}),
        ("1", {"leader.replication.throttled.rate": "5"}),
        ("", {"leader.replication.throttled.rate": "5"}),
        ("1", {"listener.name.internal.ssl.keystore.location": "/k"}),
        ("1", {"ssl.client.auth": "required"}),
        ("1", {}),
    ],
)
def test_dynamic_broker_settings_are_accepted(name: str, changed: dict[str, str]) -> None:
    validate_broker_configs(name, changed)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        (
            "1",
            {"num.partitions": "3", "message.max.bytes": "5"},
            "Cannot update these configs dynamically: [num.partitions]",
        ),
        (
            "1",
            {"listeners": "PLAINTEXT://:1"},
            "Cannot update these configs dynamically: [listeners]",
        ),
        (
            "",
            {"ssl.keystore.location": "/x"},
            "These security configs can be dynamically updated only per-listener using the "
            "listener prefix: [ssl.keystore.location]",
        ),
        (
            "",
            {"ssl.client.auth": "required"},
            "Cannot update these configs at default cluster level, broker id must be specified: "
            "[ssl.client.auth]",
        ),
        (
            "1",
            {"message.max.bytes": "x"},
            "Invalid value x for configuration message.max.bytes: Not a number of type INT",
        ),
        (
            "1",
            {"leader.replication.throttled.rate": "x"},
            "Invalid value x for configuration leader.replication.throttled.rate: "
            "Not a number of type LONG",
        ),
    ],
)
def test_bad_broker_settings_are_invalid_requests(
    name: str, changed: dict[str, str], message: str
) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_broker_configs(name, changed)

    assert (caught.value.code, caught.value.message) == (INVALID_REQUEST, message)


def test_dynamic_settings_lie_over_static_ones() -> None:
    static = BrokerConfig.from_settings({"message.max.bytes": "1", "log.retention.minutes": "1"})

    config = effective_broker_config(
        static,
        {"message.max.bytes": "2", "log.retention.ms": "7", "my.plugin": "x"},
        {"message.max.bytes": "3"},
    )

    assert config.message_max_bytes == 3
    assert config.topic_defaults.retention_ms == 7
    assert effective_broker_config(static, {}, {}) is static


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({"nope": "1"}, "Unknown group config name: nope"),
        (
            {"consumer.session.timeout.ms": "x"},
            "Invalid value x for configuration consumer.session.timeout.ms: "
            "Not a number of type INT",
        ),
        (
            {"consumer.session.timeout.ms": "1"},
            "consumer.session.timeout.ms must be greater than or equal to "
            "group.consumer.min.session.timeout.ms",
        ),
        (
            {"consumer.heartbeat.interval.ms": "16000"},
            "consumer.heartbeat.interval.ms must be less than or equal to "
            "group.consumer.max.heartbeat.interval.ms",
        ),
        (
            {"share.record.lock.duration.ms": "1000"},
            "share.record.lock.duration.ms must be greater than or equal to "
            "group.share.min.record.lock.duration.ms",
        ),
        (
            {"share.delivery.count.limit": "11"},
            "share.delivery.count.limit must be less than or equal to "
            "group.share.max.delivery.count.limit",
        ),
        (
            {"share.partition.max.record.locks": "9000"},
            "share.partition.max.record.locks must be less than or equal to "
            "group.share.max.partition.max.record.locks",
        ),
        (
            {"streams.num.standby.replicas": "3"},
            "streams.num.standby.replicas must be less than or equal to "
            "group.streams.max.standby.replicas",
        ),
    ],
)
def test_bad_group_settings_are_refused(configs: dict[str, str], message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_group_configs("g", configs, BROKER)

    assert (caught.value.code, caught.value.message) == (INVALID_CONFIG, message)


def test_a_groups_session_must_last_longer_than_its_heartbeats_are_apart() -> None:
    broker = BrokerConfig.from_settings(
        {
            "group.consumer.min.session.timeout.ms": "1000",
            "group.consumer.session.timeout.ms": "12000",
        }
    )
    message = (
        r"consumer\.session\.timeout\.ms must be greater than consumer\.heartbeat\.interval\.ms"
    )
    for configs in (
        {"consumer.session.timeout.ms": "5000"},
        {"consumer.heartbeat.interval.ms": "12000"},
    ):
        with pytest.raises(KafkaError, match=message):
            validate_group_configs("g", configs, broker)
    validate_group_configs("g", {"consumer.session.timeout.ms": "5001"}, broker)


def test_good_group_settings_are_accepted() -> None:
    validate_group_configs(
        "g",
        {
            "consumer.session.timeout.ms": "50000",
            "share.auto.offset.reset": "by_duration:PT5S",
            "streams.num.standby.replicas": "2",
        },
        BROKER,
    )
    with pytest.raises(KafkaError, match=r"Default group resources are not allowed\."):
        validate_group_configs("", {}, BROKER)


@pytest.mark.parametrize(
    ("name", "configs", "code", "message"),
    [
        ("", {}, INVALID_REQUEST, "Subscription name can't be empty"),
        ("m", {"nope": "x"}, INVALID_REQUEST, "Unknown client metrics configuration: nope"),
        (
            "m",
            {"interval.ms": "1"},
            INVALID_REQUEST,
            "Invalid value 1 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            "m",
            {"interval.ms": "x"},
            INVALID_CONFIG,
            "Invalid value x for configuration interval.ms: Not a number of type INT",
        ),
        ("m", {"match": "foo=.*"}, INVALID_CONFIG, "Illegal client matching pattern: foo=.*"),
        ("m", {"match": "foo"}, INVALID_CONFIG, "Illegal client matching pattern: foo"),
        (
            "m",
            {"match": "client_id=["},
            INVALID_CONFIG,
            "Illegal client matching pattern: client_id=[",
        ),
    ],
)
def test_bad_client_metrics_settings_are_refused(
    name: str, configs: dict[str, str], code: ErrorCode, message: str
) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_client_metrics_configs(name, configs)

    assert (caught.value.code, caught.value.message) == (code, message)


def test_good_client_metrics_settings_are_accepted() -> None:
    validate_client_metrics_configs(
        "m", {"interval.ms": "100", "match": "client_id=a.*,client_source_port=1", "metrics": "*"}
    )
