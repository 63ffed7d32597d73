import pytest

from pykbroker.coordinator.group.regex import check_pattern, resolve
from pykbroker.protocol.errors import ErrorCode, KafkaError


def test_a_group_gets_the_names_that_match_as_a_whole() -> None:
    assert resolve("a.*", ["a", "ab", "ba"]) == {"a", "ab"}
    assert resolve("__.*", ["__consumer_offsets", "a"]) == {"__consumer_offsets"}


def test_what_is_no_expression_matches_nothing() -> None:
    assert resolve("(", ["(", ""]) == frozenset()


def test_a_wrong_expression_is_refused_with_the_reason() -> None:
    check_pattern("a.*")
    with pytest.raises(KafkaError) as raised:
        check_pattern("a**")
    assert raised.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert str(raised.value.message) == (
        "SubscribedTopicRegex `a**` is not a valid regular expression: "
        "invalid nested repetition operator."
    )
