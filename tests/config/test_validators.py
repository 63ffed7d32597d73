import pytest

from pykbroker.config.validators import (
    CLEANUP_POLICIES,
    COMPRESSION_TYPES,
    GZIP_LEVELS,
    NON_EMPTY,
    NON_EMPTY_LIST,
    QUORUM_VOTERS,
    SHARE_OFFSET_RESET,
    THROTTLED_REPLICAS,
    ListOf,
    OneOf,
    Validator,
    at_least,
    between,
)


@pytest.mark.parametrize(
    ("validator", "value"),
    [
        (at_least(0), 0),
        (between(0, 0.5), 0.5),
        (COMPRESSION_TYPES, "zstd"),
        (OneOf(("UPGRADE",), ignore_case=True), "upgrade"),
        (CLEANUP_POLICIES, ("compact", "delete")),
        (CLEANUP_POLICIES, ()),
        (NON_EMPTY_LIST, ("a",)),
        (NON_EMPTY, "a"),
        (GZIP_LEVELS, -1),
        (GZIP_LEVELS, 9),
        (THROTTLED_REPLICAS, ("0:1", "1:2")),
        (THROTTLED_REPLICAS, ("*",)),
        (THROTTLED_REPLICAS, ()),
        (SHARE_OFFSET_RESET, "latest"),
        (SHARE_OFFSET_RESET, "by_duration:P1DT2H3M4.5S"),
        (QUORUM_VOTERS, ("1@localhost:9093",)),
    ],
)
def test_an_allowed_value_is_not_refused(validator: Validator, value: object) -> None:
    assert validator.refuse("x", value) is None


@pytest.mark.parametrize(
    ("validator", "value", "message"),
    [
        (at_least(1), 0, "Invalid value 0 for configuration x: Value must be at least 1"),
        (at_least(1), "a", "Invalid value a for configuration x: Value must be at least 1"),
        (between(0, 1), 2.0, "Invalid value 2.0 for configuration x: Value must be no more than 1"),
        (
            OneOf(("a", "b")),
            "c",
            "Invalid value c for configuration x: String must be one of: a, b",
        ),
        (
            OneOf(("A",), ignore_case=True),
            "c",
            "Invalid value c for configuration x: String must be one of (case insensitive): A",
        ),
        (
            CLEANUP_POLICIES,
            ("compact", "shred"),
            "Invalid value shred for configuration x: String must be one of: compact, delete",
        ),
        (
            NON_EMPTY_LIST,
            (),
            "Configuration 'x' must not be empty. Valid values include: any non-empty value",
        ),
        (ListOf(), ("a", ""), "Configuration 'x' values must not be empty."),
        (NON_EMPTY, "", "Invalid value  for configuration x: x must be a non-empty string"),
        (
            GZIP_LEVELS,
            10,
            "Invalid value 10 for configuration x: Value must be between 1 and 9 or equal to -1",
        ),
        (
            THROTTLED_REPLICAS,
            ("a", "0:1"),
            "Invalid value [a, 0:1] for configuration x: x must be the literal '*' or a list of "
            "replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],"
            "...",
        ),
        (
            SHARE_OFFSET_RESET,
            "by_duration:P",
            "Invalid value by_duration:P for configuration x: x must be one of latest, earliest, "
            "by_duration:PnDTnHnMn.nS",
        ),
    ],
)
def test_a_refusal_says_what_is_allowed(validator: Validator, value: object, message: str) -> None:
    assert validator.refuse("x", value) == message


@pytest.mark.parametrize(
    ("validator", "allowed"),
    [
        (at_least(-1), "[-1,...]"),
        (between(1, 17), "[1,...,17]"),
        (OneOf(("a", "b")), "[a, b]"),
        (CLEANUP_POLICIES, "[compact, delete]"),
        (ListOf(), "a list"),
        (GZIP_LEVELS, "[1,...,9] or -1"),
    ],
)
def test_a_validator_describes_itself(validator: Validator, allowed: str) -> None:
    assert validator.allowed == allowed


def test_the_base_class_decides_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Validator("anything").refuse("x", 1)
