import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.metadata.config_changes import ConfigChange, ConfigOperation, ConfigReplacement
from pykbroker.metadata.config_plans import describe_resource, describe_topic_image, plan_configs
from pykbroker.metadata.image import MetadataImage, ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.metadata import a_topic, an_image

TOPIC, BROKER = ResourceType.TOPIC, ResourceType.BROKER
GROUP, METRICS = ResourceType.GROUP, ResourceType.CLIENT_METRICS
STATIC = BrokerConfig.from_settings()


def put(resource_type: int, name: str, **configs: str) -> ConfigChange:
    """Return a change that sets settings; `_` stands for `.`."""
    return ConfigChange(
        resource_type,
        name,
        tuple(ConfigOperation(key.replace("_", "."), 0, text) for key, text in configs.items()),
    )


def plan(
    image: MetadataImage, *changes: ConfigChange | ConfigReplacement
) -> tuple[MetadataImage, list[tuple[ErrorCode, str] | None]]:
    after, results = plan_configs(changes, image, STATIC, STATIC)
    return after, [None if error is None else (error.code, error.message) for error in results]


@pytest.mark.parametrize(
    ("resource_type", "name", "setting", "value"),
    [
        (TOPIC, "t", "retention.ms", "5"),
        (BROKER, "1", "message.max.bytes", "5"),
        (BROKER, "", "message.max.bytes", "5"),
        (GROUP, "g", "consumer.session.timeout.ms", "50000"),
        (METRICS, "m", "interval.ms", "5000"),
    ],
)
def test_every_kind_of_resource_takes_settings(
    resource_type: ResourceType, name: str, setting: str, value: str
) -> None:
    image = an_image(a_topic("t"))

    changed, errors = plan(image, put(resource_type, name, **{setting: value}))

    assert errors == [None]
    assert changed.configs(resource_type, name) == {setting: value}

    emptied, errors = plan(changed, ConfigReplacement(resource_type, name, ()))
    assert errors == [None]
    assert emptied == image


def test_one_bad_resource_does_not_harm_the_others() -> None:
    image = an_image(a_topic("t"))

    after, errors = plan(
        image,
        put(TOPIC, "t", retention_ms="5"),
        put(TOPIC, "u", retention_ms="5"),
        put(GROUP, "g", nope="5"),
        put(METRICS, "m", nope="5"),
        put(BROKER, "1", num_partitions="5"),
        put(1, "x", a="b"),
        put(8, "1", root="INFO"),
    )

    assert after == an_image(a_topic("t", configs={"retention.ms": "5"}))
    assert errors == [
        None,
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "The topic 'u' does not exist."),
        (ErrorCode.INVALID_CONFIG, "Unknown group config name: nope"),
        (ErrorCode.INVALID_REQUEST, "Unknown client metrics configuration: nope"),
        (
            ErrorCode.INVALID_REQUEST,
            "Cannot update these configs dynamically: [num.partitions]",
        ),
        (ErrorCode.INVALID_REQUEST, "Unknown resource type 1"),
        (ErrorCode.INVALID_REQUEST, "Unknown resource type 8"),
    ]


def test_a_resource_that_is_named_twice_is_not_changed() -> None:
    image = an_image(a_topic("t"), a_topic("u"))
    twice = (ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")

    after, errors = plan(
        image,
        put(TOPIC, "t", retention_ms="5"),
        put(TOPIC, "u", retention_ms="6"),
        put(TOPIC, "t", retention_bytes="7"),
    )

    assert errors == [twice, None, twice]
    assert after.configs(TOPIC, "t") == {}
    assert after.configs(TOPIC, "u") == {"retention.ms": "6"}


def test_changes_that_change_nothing_keep_the_image() -> None:
    image = an_image(a_topic("t", configs={"retention.ms": "5"}))

    after, errors = plan(image, put(TOPIC, "t", retention_ms="5"), put(GROUP, "g"))

    assert errors == [None, None]
    assert after is image


def test_what_is_set_already_need_not_be_allowed_now() -> None:
    """A setting from before it became read-only does not stand in the way of others."""
    image = an_image().with_configs(BROKER, "1", {"num.partitions": "3"})

    after, errors = plan(image, put(BROKER, "1", message_max_bytes="5"))

    assert errors == [None]
    assert after.configs(BROKER, "1")["message.max.bytes"] == "5"


def test_dynamic_broker_settings_must_fit_together() -> None:
    after, errors = plan(an_image(), put(BROKER, "", log_retention_ms="0"))

    assert after == an_image()
    assert errors == [
        (
            ErrorCode.INVALID_REQUEST,
            "Invalid value 0 for configuration log.retention.ms: "
            "Value must be at least 1, or -1 for no limit",
        )
    ]


@pytest.mark.parametrize(
    ("resource_type", "name", "count"),
    [(TOPIC, "t", 33), (BROKER, "1", 345), (BROKER, "", 1), (GROUP, "g", 17), (METRICS, "m", 3)],
)
def test_every_kind_of_resource_is_described(
    resource_type: ResourceType, name: str, count: int
) -> None:
    image = an_image(a_topic("t")).with_configs(BROKER, "", {"message.max.bytes": "5"})

    assert len(describe_resource(resource_type, name, image, STATIC)) == count


def test_a_topic_is_described_with_the_brokers_dynamic_settings() -> None:
    image = an_image(a_topic("t")).with_configs(BROKER, "1", {"message.max.bytes": "5"})

    described = describe_resource(TOPIC, "t", image, STATIC)

    assert [config.value for config in described if config.name == "max.message.bytes"] == ["5"]
    assert describe_topic_image(a_topic("t"), image, STATIC) == described


@pytest.mark.parametrize(
    ("resource_type", "name", "code", "message"),
    [
        (
            TOPIC,
            "",
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            TOPIC,
            "u",
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            "",
        ),
        (
            BROKER,
            "abc",
            ErrorCode.INVALID_REQUEST,
            "Broker id must be an integer, but it is: abc",
        ),
        (
            BROKER,
            "5",
            ErrorCode.INVALID_REQUEST,
            "Unexpected broker id, expected 1 or empty string, but received 5",
        ),
        (99, "x", ErrorCode.INVALID_REQUEST, "Unsupported resource type: 99"),
    ],
)
def test_what_does_not_exist_is_not_described(
    resource_type: int, name: str, code: ErrorCode, message: str
) -> None:
    with pytest.raises(KafkaError) as caught:
        describe_resource(resource_type, name, an_image(a_topic("t")), STATIC)

    assert (caught.value.code, caught.value.message) == (code, message)
