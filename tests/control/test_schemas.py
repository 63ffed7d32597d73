from typing import Any

import pytest

from pykbroker.control.schemas import (
    ADVANCE,
    BROKER_CHANGE,
    CLOCK,
    MAX_NAME,
    RULE,
    RULE_IN_FORCE,
    SchemaError,
    check,
)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"api": ["Produce", "Fetch"], "topic": "t", "partition": 0, "error": "NOT_COORDINATOR"},
        {"probability": 0.5, "seed": 7, "for_s": 1, "close": "after", "after_effect": False},
    ],
)
def test_what_is_described_is_accepted(rule: dict[str, Any]) -> None:
    check(rule, RULE)


@pytest.mark.parametrize(
    ("value", "schema", "reason"),
    [
        ([], RULE, "the body must be of type object"),
        (None, RULE, "the body must be of type object"),
        ({"topics": "t"}, RULE, "the body cannot have 'topics'"),
        ({"topic": 7}, RULE, "topic must be of type string"),
        ({"topic": ""}, RULE, "topic has 0 characters"),
        ({"topic": "x" * (MAX_NAME + 1)}, RULE, "topic has 1001 characters"),
        ({"api": "Produce"}, RULE, "api must be of type array"),
        ({"api": []}, RULE, "api is empty"),
        ({"api": ["Fetch", "Fetsch"]}, RULE, r"api\[1\] cannot be 'Fetsch'"),
        ({"error": "NONE"}, RULE, "error cannot be 'NONE'"),
        ({"partition": True}, RULE, "partition must be of type integer"),
        ({"partition": 1.5}, RULE, "partition must be of type integer"),
        ({"partition": -1}, RULE, "partition must be from 0 to"),
        ({"times": 0}, RULE, "times must be from 1 to"),
        ({"probability": "1"}, RULE, "probability must be of type number"),
        ({"probability": float("nan")}, RULE, "probability must be from 0 to 1"),
        ({"lose_answer": 1}, RULE, "lose_answer must be of type boolean"),
        ({}, ADVANCE, "the body lacks seconds"),
        ({"seconds": float("inf")}, ADVANCE, "seconds must be from 0 to"),
        ({"available": "no"}, BROKER_CHANGE, "available must be of type boolean"),
    ],
)
def test_what_is_not_described_is_refused(value: Any, schema: Any, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        check(value, schema)


def test_numbers_without_limits_and_required_fields() -> None:
    check({"now_ms": 10**15, "is_stopped": True}, CLOCK)
    with pytest.raises(SchemaError, match="lacks id"):
        check({}, RULE_IN_FORCE)
