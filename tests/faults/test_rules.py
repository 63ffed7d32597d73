from typing import Any

import pytest

from pykbroker.faults.matching import Asked, Item
from pykbroker.faults.rules import End, RuleError, Rules, Verdict, error_code
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode

A0, A1, B0 = Item("a", 0), Item("a", 1), Item("b", 0)
PRODUCE = Asked(ApiKey.PRODUCE, "shop", [A0, A1, B0])
FETCH = Asked(ApiKey.FETCH, "shop", [A0])


def applied(rules: Rules, asked: Asked = PRODUCE, requests: int = 10) -> list[int]:
    """Which of so many requests, counted from 1, get anything."""
    return [number for number in range(1, requests + 1) if rules.decide(asked) is not None]


def test_without_rules_a_request_gets_its_answer() -> None:
    rules = Rules()
    assert rules.decide(PRODUCE) is None
    assert len(rules) == 0


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"times": 2}, [1, 2]),
        ({"first": 3, "times": 1}, [3]),
        ({"first": 9}, [9, 10]),
        ({"probability": 0.0}, []),
        ({"probability": 0.5, "seed": 1}, [1, 4, 5, 6, 9, 10]),
        ({"probability": 0.5, "seed": 1, "times": 2}, [1, 4]),
    ],
)
def test_some_of_the_matching_requests_get_the_fault(
    limits: dict[str, Any], expected: list[int]
) -> None:
    rules = Rules()
    rule = rules.add("Produce", delay_ms=5, **limits)
    assert applied(rules) == expected
    assert applied(rules, FETCH) == []
    assert (rule.matched, rule.applied) == (10, len(expected))


def test_draws_are_the_same_for_the_same_seed() -> None:
    drawn = []
    for seed in (3, 3, 4):
        rules = Rules()
        rules.add(delay_ms=1, probability=0.5, seed=seed)
        drawn.append(applied(rules, requests=50))
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_rule_may_end_by_itself() -> None:
    now_s = 100.0
    rules = Rules(monotonic_s=lambda: now_s)
    calls = []
    rules.subscribe(lambda: calls.append(len(rules)))
    rules.add(delay_ms=1, for_s=5)
    lasting = rules.add("Fetch", delay_ms=1)
    assert rules.decide(PRODUCE) is not None
    now_s = 104.9
    assert rules.decide(PRODUCE) is not None
    now_s = 105.0
    assert rules.decide(PRODUCE) is None
    assert calls == [1, 2, 1]
    assert list(rules) == [lasting]


def test_rules_are_listed_and_removed() -> None:
    calls = []
    rules = Rules()
    unsubscribe = rules.subscribe(lambda: calls.append(len(rules)))
    first, second = rules.add(delay_ms=1), rules.add(delay_ms=2)
    assert list(rules) == [first, second]
    assert rules.get(second.id) is second
    assert repr(first).startswith("<Rule 1: Match(")

    first.remove()
    first.remove()
    assert list(rules) == [second]
    assert not rules.discard(first.id)
    with rules.add(delay_ms=3) as third:
        assert third in list(rules)
    assert third not in list(rules)
    rules.clear()
    assert len(rules) == 0
    unsubscribe()
    unsubscribe()
    rules.add(delay_ms=1)
    assert calls == [1, 2, 1, 1, 1, 2, 1, 0]


def test_delays_add_up_and_the_longest_throttle_time_counts() -> None:
    rules = Rules()
    rules.add(delay_ms=5, throttle_ms=100)
    rules.add(delay_ms=7, throttle_ms=50, read_bytes_per_s=10)
    rules.add(delay_ms=1)
    assert rules.decide(PRODUCE) == Verdict(13, 100, 10)


def test_an_error_for_some_items_leaves_the_others_to_the_next_rules() -> None:
    rules = Rules()
    rules.add(topic="a", partition=1, error="NOT_LEADER_OR_FOLLOWER")
    rules.add(topic="a", error="REQUEST_TIMED_OUT", after_effect=True)
    rules.add(topic="a", error="CORRUPT_MESSAGE")

    verdict = rules.decide(PRODUCE)

    assert verdict is not None
    first, second = verdict.failing
    assert (first.items, first.code, first.after_effect) == (
        (A1,),
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        False,
    )
    assert (second.items, second.code, second.after_effect) == (
        (A0,),
        ErrorCode.REQUEST_TIMED_OUT,
        True,
    )
    assert [rule.matched for rule in rules] == [1, 1, 0]


def test_what_ends_a_connection_leaves_nothing_to_the_next_rules() -> None:
    rules = Rules()
    rules.add(delay_ms=5)
    rules.add(close="after")
    last = rules.add(lose_answer=True)
    verdict = rules.decide(PRODUCE)
    assert verdict == Verdict(delay_ms=5, end=End.CLOSE_AFTER)
    assert last.matched == 0


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ({"close": "before"}, End.CLOSE_BEFORE),
        ({"close": "after"}, End.CLOSE_AFTER),
        ({"lose_answer": True}, End.LOSE_ANSWER),
    ],
)
def test_a_request_may_end_without_an_answer(fault: dict[str, Any], end: End) -> None:
    assert Rules().add(**fault).fault.end is end


@pytest.mark.parametrize("name", ["ListOffsets", "listoffsets", "LIST_OFFSETS", "list_offsets"])
def test_an_api_has_kafkas_name(name: str) -> None:
    rule = Rules().add([name, "Fetch"], delay_ms=1)
    assert rule.match.apis == frozenset({ApiKey.LIST_OFFSETS, ApiKey.FETCH})


@pytest.mark.parametrize("error", ["NOT_COORDINATOR", "not_coordinator", 16])
def test_an_error_has_kafkas_name_or_number(error: str | int) -> None:
    assert error_code(error) is ErrorCode.NOT_COORDINATOR


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "without anything that a request gets"),
        ({"topic": "t"}, "without anything that a request gets"),
        ({"after_effect": True}, "without anything that a request gets"),
        ({"api": "Poduce", "delay_ms": 1}, "no API Poduce"),
        ({"api": [], "delay_ms": 1}, "for no API"),
        ({"error": "NOT_A_LEADER"}, "no error NOT_A_LEADER"),
        ({"error": 9999}, "no error 9999"),
        ({"error": "NONE"}, "NONE is no error"),
        ({"error": 1, "close": "after"}, "an error needs an answer"),
        ({"close": "after", "lose_answer": True}, "lost, or its connection closed"),
        ({"close": "never"}, "close=never"),
        ({"delay_ms": 1, "after_effect": True}, "see close"),
        ({"delay_ms": -1}, "below 0"),
        ({"delay_ms": 1, "first": 0}, "count from 1"),
        ({"delay_ms": 1, "times": 0}, "count from 1"),
        ({"delay_ms": 1, "probability": 1.5}, "a probability of 1.5"),
    ],
)
def test_what_cannot_be_a_rule_is_refused(arguments: dict[str, Any], reason: str) -> None:
    rules = Rules()
    with pytest.raises(RuleError, match=reason):
        rules.add(**arguments)
    assert len(rules) == 0
