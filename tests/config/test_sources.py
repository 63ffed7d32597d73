import pytest

from pykbroker.config.keys import ConfigType
from pykbroker.config.sources import (
    BrokerLayers,
    ConfigSource,
    DescribedConfig,
    Synonym,
    describe_broker,
    describe_broker_default,
    describe_client_metrics,
    describe_created_topic,
    describe_group,
    describe_topic,
)

OWN = ConfigSource.TOPIC_CONFIG
DYNAMIC = ConfigSource.DYNAMIC_BROKER_CONFIG
DYNAMIC_ALL = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
STATIC = ConfigSource.STATIC_BROKER_CONFIG
DEFAULT = ConfigSource.DEFAULT_CONFIG


def layers(
    static: dict[str, str] | None = None,
    dynamic_default: dict[str, str] | None = None,
    dynamic_own: dict[str, str] | None = None,
) -> BrokerLayers:
    return BrokerLayers(static or {}, dynamic_default or {}, dynamic_own or {})


def pick(described: list[DescribedConfig], name: str) -> DescribedConfig:
    (found,) = [config for config in described if config.name == name]
    return found


# Each expectation below is what Apache Kafka 4.3.1 answered with the same settings.


def test_a_topic_shows_where_its_retention_comes_from() -> None:
    broker = layers({"log.retention.minutes": "20000"}, {"log.retention.ms": "77777"})

    config = pick(describe_topic({"retention.ms": "1000"}, broker), "retention.ms")

    assert (config.value, config.source, config.config_type) == ("1000", OWN, ConfigType.LONG)
    assert config.synonyms == (
        Synonym("retention.ms", "1000", OWN),
        Synonym("log.retention.ms", "77777", DYNAMIC_ALL),
        Synonym("log.retention.minutes", "20000", STATIC),
        Synonym("log.retention.hours", "168", DEFAULT),
    )
    assert not config.is_read_only


def test_a_topic_without_own_value_shows_the_brokers() -> None:
    broker = layers({}, {"message.max.bytes": "5"}, {"message.max.bytes": "6"})

    config = pick(describe_topic({}, broker), "max.message.bytes")

    assert (config.value, config.source) == ("6", DYNAMIC)
    assert [synonym.value for synonym in config.synonyms] == ["6", "5", "1048588"]


def test_stand_ins_alone_are_not_listed() -> None:
    config = pick(describe_topic({}, layers({"log.roll.hours": "1"})), "segment.ms")

    assert (config.value, config.source, config.synonyms) == ("3600000", DEFAULT, ())


def test_a_created_topic_says_where_its_value_comes_from_whatever_it_is_called_there() -> None:
    broker = layers(
        {"log.roll.hours": "1", "log.retention.minutes": "5"}, {"compression.type": "lz4"}
    )
    described = describe_created_topic({"retention.ms": "7"}, broker)

    assert pick(described, "segment.ms").source == STATIC
    assert pick(described, "retention.ms").source == OWN
    assert pick(described, "compression.type").source == DYNAMIC_ALL
    assert pick(described, "remote.storage.enable").source == DEFAULT
    assert [config.name for config in described] == [
        config.name for config in describe_topic({"retention.ms": "7"}, broker)
    ]


def test_a_setting_without_broker_synonym_has_only_its_default() -> None:
    config = pick(describe_topic({}, layers()), "remote.storage.enable")

    assert (config.value, config.source, config.synonyms) == ("false", DEFAULT, ())


def test_retention_for_ever_is_minus_one_in_every_unit() -> None:
    described = describe_topic({}, layers({"log.retention.hours": "-1"}))

    assert pick(described, "retention.ms").value == "-1"


def test_internal_topic_settings_show_only_when_set() -> None:
    hidden = describe_topic({}, layers())
    shown = describe_topic({"internal.segment.bytes": "100"}, layers())

    assert len(hidden) == 33
    assert pick(shown, "internal.segment.bytes").value == "100"


def test_a_broker_shows_all_settings_sorted() -> None:
    described = describe_broker(layers())
    names = [config.name for config in described]

    assert names == sorted(names)
    assert len(names) == 345
    assert all(config.documentation for config in described)


@pytest.mark.parametrize(
    ("name", "value", "source", "read_only", "synonyms"),
    [
        (
            "num.partitions",
            "2",
            STATIC,
            True,
            (Synonym("num.partitions", "2", STATIC), Synonym("num.partitions", "1", DEFAULT)),
        ),
        ("log.retention.ms", None, DEFAULT, False, ()),
        (
            "message.max.bytes",
            "666",
            DYNAMIC,
            False,
            (
                Synonym("message.max.bytes", "666", DYNAMIC),
                Synonym("message.max.bytes", "555", DYNAMIC_ALL),
                Synonym("message.max.bytes", "1048588", DEFAULT),
            ),
        ),
        (
            "broker.id",
            "1",
            STATIC,
            True,
            (Synonym("broker.id", "1", STATIC), Synonym("broker.id", "-1", DEFAULT)),
        ),
    ],
)
def test_a_broker_setting_shows_value_source_and_synonyms(
    name: str, value: str | None, source: ConfigSource, read_only: bool, synonyms: object
) -> None:
    described = describe_broker(
        layers(
            {"num.partitions": "2", "node.id": "1"},
            {"message.max.bytes": "555"},
            {"message.max.bytes": "666"},
        )
    )

    config = pick(described, name)

    assert (config.value, config.source) == (value, source)
    assert (config.is_read_only, config.synonyms) == (read_only, synonyms)


@pytest.mark.parametrize(
    ("static", "shown"),
    [
        ({}, "1"),
        ({"broker.id": "-1"}, "1"),
        ({"broker.id": "7"}, "7"),
        ({"node.id": "7"}, "7"),
        ({"node.id": "7", "broker.id": "-1"}, "7"),
    ],
)
def test_the_id_of_the_broker_is_shown_under_both_names(static: dict[str, str], shown: str) -> None:
    described = describe_broker(layers(static))
    for name in ("node.id", "broker.id"):
        config = pick(described, name)
        assert (config.value, config.source) == (shown, STATIC)


def test_a_dynamic_value_hides_the_static_one_of_a_coarser_unit() -> None:
    described = describe_broker(
        layers({"log.retention.minutes": "20000"}, {"log.retention.ms": "77777"})
    )

    minutes = pick(described, "log.retention.minutes")

    assert (minutes.value, minutes.source) == (None, STATIC)
    assert pick(described, "log.retention.ms").value == "77777"


def test_secrets_are_never_shown() -> None:
    described = describe_broker(layers({"ssl.keystore.password": "secret"}))

    password = pick(described, "ssl.keystore.password")

    assert (password.value, password.is_sensitive, password.source) == (None, True, STATIC)
    assert password.synonyms == (Synonym("ssl.keystore.password", None, STATIC),)


def test_what_is_unknown_might_be_a_secret() -> None:
    config = pick(describe_broker(layers({}, {}, {"my.plugin": "secret"})), "my.plugin")

    assert (config.value, config.config_type, config.source) == (None, 0, DYNAMIC)
    assert config.is_sensitive
    assert config.is_read_only


def test_the_settings_of_all_brokers_are_those_that_are_set() -> None:
    described = describe_broker_default(
        {"message.max.bytes": "5", "leader.replication.throttled.rate": "7", "my.plugin": "x"}
    )

    assert [(config.name, config.value) for config in described] == [
        ("leader.replication.throttled.rate", "7"),
        ("message.max.bytes", "5"),
        ("my.plugin", None),
    ]
    assert described[1].synonyms == (Synonym("message.max.bytes", "5", DYNAMIC_ALL),)


def test_a_group_falls_back_to_the_broker() -> None:
    described = describe_group(
        {"consumer.session.timeout.ms": "50000"},
        layers({"group.consumer.heartbeat.interval.ms": "6000"}),
    )

    own = pick(described, "consumer.session.timeout.ms")
    broker = pick(described, "consumer.heartbeat.interval.ms")
    default = pick(described, "share.auto.offset.reset")

    assert len(described) == 17
    assert own.synonyms == (
        Synonym("consumer.session.timeout.ms", "50000", ConfigSource.GROUP_CONFIG),
        Synonym("group.consumer.session.timeout.ms", "45000", DEFAULT),
    )
    assert (broker.value, broker.source) == ("6000", STATIC)
    assert default.synonyms == (Synonym("share.auto.offset.reset", "latest", DEFAULT),)


def test_a_client_metrics_subscription_shows_its_three_settings() -> None:
    described = describe_client_metrics({"interval.ms": "50000"})

    assert [(config.name, config.value, config.source) for config in described] == [
        ("interval.ms", "50000", ConfigSource.CLIENT_METRICS_CONFIG),
        ("match", "", DEFAULT),
        ("metrics", "", DEFAULT),
    ]
