import pytest

from pykbroker.metadata.config_changes import (
    AlterOperation,
    ConfigChange,
    ConfigOperation,
    ConfigReplacement,
    apply_change,
    apply_replacement,
    find_repeated_resources,
)
from pykbroker.metadata.image import ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError

SET, DELETE = AlterOperation.SET, AlterOperation.DELETE
APPEND, SUBTRACT = AlterOperation.APPEND, AlterOperation.SUBTRACT
TOPIC, BROKER, METRICS = ResourceType.TOPIC, ResourceType.BROKER, ResourceType.CLIENT_METRICS


def change(*operations: tuple[str, int, str | None], resource_type: int = TOPIC) -> ConfigChange:
    return ConfigChange(resource_type, "r", tuple(ConfigOperation(*item) for item in operations))


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (("retention.ms", SET, "2"), {"retention.ms": "2", "cleanup.policy": "compact"}),
        (
            ("segment.ms", SET, ""),
            {"retention.ms": "1", "cleanup.policy": "compact", "segment.ms": ""},
        ),
        (("retention.ms", DELETE, None), {"cleanup.policy": "compact"}),
        (("nonsense", DELETE, "x"), {"retention.ms": "1", "cleanup.policy": "compact"}),
        (
            ("cleanup.policy", APPEND, "delete"),
            {"retention.ms": "1", "cleanup.policy": "compact,delete"},
        ),
        (
            ("cleanup.policy", APPEND, "compact,x,x"),
            {"retention.ms": "1", "cleanup.policy": "compact,x"},
        ),
        (("cleanup.policy", SUBTRACT, "compact,x"), {"retention.ms": "1", "cleanup.policy": ""}),
        (("cleanup.policy", SUBTRACT, "x"), {"retention.ms": "1", "cleanup.policy": "compact"}),
    ],
)
def test_each_operation_changes_one_setting(
    operation: tuple[str, int, str | None], after: dict[str, str]
) -> None:
    current = {"retention.ms": "1", "cleanup.policy": "compact"}

    assert apply_change(current, change(operation)) == after
    assert current == {"retention.ms": "1", "cleanup.policy": "compact"}


def test_appending_to_an_unset_list_starts_from_the_default() -> None:
    after = apply_change({}, change(("cleanup.policy", APPEND, "compact")))

    assert after == {"cleanup.policy": "delete,compact"}


def test_broker_lists_can_be_appended_to() -> None:
    after = apply_change(
        {}, change(("log.cleanup.policy", APPEND, "compact"), resource_type=BROKER)
    )

    assert after == {"log.cleanup.policy": "delete,compact"}


@pytest.mark.parametrize(
    ("bad", "code", "message"),
    [
        (
            change(("a", SET, "1"), ("a", SET, "2")),
            ErrorCode.INVALID_REQUEST,
            "Error due to duplicate config keys",
        ),
        (
            change(("a", SET, None), ("b", APPEND, None), ("c", DELETE, None)),
            ErrorCode.INVALID_REQUEST,
            "Null value not supported for : a, b",
        ),
        (change(("a", 9, "1")), ErrorCode.INVALID_REQUEST, "Unknown operation 9"),
        (
            change(("retention.ms", APPEND, "1")),
            ErrorCode.INVALID_CONFIG,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            change(("nonsense", SUBTRACT, "1")),
            ErrorCode.INVALID_CONFIG,
            "Can't SUBTRACT to key nonsense because its type is not LIST.",
        ),
        (
            change(("message.max.bytes", APPEND, "1"), resource_type=BROKER),
            ErrorCode.INVALID_CONFIG,
            "Config value append is not allowed for config key: message.max.bytes",
        ),
        (
            change(("metrics", APPEND, "org.x"), resource_type=METRICS),
            ErrorCode.INVALID_CONFIG,
            "Can't APPEND to key metrics because its type is not LIST.",
        ),
    ],
)
def test_malformed_changes_are_refused(bad: ConfigChange, code: ErrorCode, message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        apply_change({}, bad)

    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_replacement_is_everything_there_is() -> None:
    replacement = ConfigReplacement(TOPIC, "r", (("a", "1"), ("b", "")))

    assert apply_replacement(replacement) == {"a": "1", "b": ""}


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ((("a", "1"), ("a", "2")), "Error due to duplicate config keys"),
        ((("a", None), ("b", None)), "Null value not supported for : a, b"),
    ],
)
def test_malformed_replacements_are_refused(
    configs: tuple[tuple[str, str | None], ...], message: str
) -> None:
    with pytest.raises(KafkaError) as caught:
        apply_replacement(ConfigReplacement(TOPIC, "r", configs))

    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_REQUEST, message)


def test_repeated_resources_are_found() -> None:
    changes: list[ConfigChange | ConfigReplacement] = [
        ConfigChange(TOPIC, "a", ()),
        ConfigReplacement(TOPIC, "a", ()),
        ConfigChange(TOPIC, "b", ()),
        ConfigChange(BROKER, "a", ()),
    ]

    assert find_repeated_resources(changes) == {(TOPIC, "a")}
