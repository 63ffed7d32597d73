"""What every client program must manage: the scenarios of compat/programs.py's suites.

Each suite's tests call these, one test for each client and scenario.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pytest

from compat.members import Member
from compat.processes import eventually
from compat.programs import Program, Record, Refused

TOPIC_ALREADY_EXISTS = 36
INVALID_CONFIG = 40
UNKNOWN_TOPIC_OR_PARTITION = 3

EMPTY_KEY = Record("empty key", key="")
REPEATED_HEADERS = Record("repeated", key="k", headers=(("a", "1"), ("a", "2"), ("b", "")))
RECORDS = (
    Record("plain"),
    Record("keyed", key="a key"),
    Record("with headers", key="k", headers=(("first", "1"), ("second", "zwei"))),
    REPEATED_HEADERS,
    EMPTY_KEY,
    Record(None, key="null value"),
    Record("Ünïcödé " * 200, key="schlüssel"),
)


def check_topics(program: Program, topic: str, *, with_configs: bool = True) -> None:
    """Topics are created, described and deleted; what is wrong with a request is told.

    Args:
        with_configs: The client can set and ask for a topic's settings.
    """
    if with_configs:
        program.create(topic, 3, retention_ms="3600000")
        refused = _refusal(program, "create", f"{topic}.x", 1, "retention.ms=soon")
        assert refused == INVALID_CONFIG
    else:
        program.create(topic, 3)

    described = program.answer("describe", topic)
    assert described["partitions"] == [0, 1, 2]
    if with_configs:
        assert described["configs"]["retention.ms"] == "3600000"
        assert described["configs"]["cleanup.policy"] == "delete"
    assert _refusal(program, "create", topic, 1) == TOPIC_ALREADY_EXISTS

    program.run("delete", topic)
    assert _refusal(program, "delete", topic) == UNKNOWN_TOPIC_OR_PARTITION


def _refusal(program: Program, operation: str, *arguments: object) -> int:
    with pytest.raises(Refused) as refused:
        program.run(operation, *arguments)
    return refused.value.code


def check_records(program: Program, topic: str, codec: str, records: Sequence[Record]) -> None:
    """What was produced is consumed: keys, values, headers, offsets; from the middle, too."""
    program.create(topic)
    many = [*records, *(Record(f"value {number}", f"{number}") for number in range(500))]

    assert program.produce(topic, many, partition=1, codec=codec) == list(range(len(many)))

    expected = list(enumerate(many))
    assert program.consume(topic, len(many), partition=1) == expected
    assert program.consume(topic, 7, partition=1, start=250) == expected[250:257]
    assert program.offsets(topic, 1) == (0, len(many))
    assert program.offsets(topic, 0) == (0, 0)


def check_transactions(
    program: Program, topic: str, group: str, *, with_offsets: bool = True
) -> None:
    """What was committed is read, and its offsets count; of what was aborted nothing is left.

    Args:
        with_offsets: The client can commit offsets in a transaction by themselves.
    """
    program.create(topic, 1)
    group_of_client = group if with_offsets else ""
    eventually(lambda: _is_transacted(program, topic, group_of_client), what="a coordinator")
    program.transact(topic, [Record("a"), Record("b")], "commit", group=group_of_client, offset=3)
    program.transact(topic, [Record("lost")], "abort", group=group_of_client, offset=5)
    program.transact(topic, [Record("c")], "commit")

    found = [(offset, record.value) for offset, record in program.consume(topic, 3)]
    assert found == [(0, "a"), (1, "b"), (5, "c")]
    if with_offsets:
        assert program.committed(group, topic) == 3


def _is_transacted(program: Program, topic: str, group: str) -> bool:
    """Whether a first transaction is served: Kafka may still be making its internal topics."""
    with suppress(Refused):  # It is there from the attempt before.
        program.create(f"{topic}.first", 1)
    try:
        program.transact(
            f"{topic}.first", [Record("first")], "commit", group=group and f"{group}.first"
        )
    except Refused:
        return False
    return True


def check_commits(program: Program, topic: str, group: str) -> None:
    """A member resumes where the one before it has committed."""
    program.create(topic, 1)
    program.produce(topic, [Record(f"{number}") for number in range(5)])
    assert program.committed(group, topic) == -1
    with program.member(group, topic) as first:
        assert [value for _, _, value in first.records(5)] == ["0", "1", "2", "3", "4"]
        assert first.stop() == 0
    assert program.committed(group, topic) == 5

    program.produce(topic, [Record("5"), Record("6")])
    with program.member(group, topic) as second:
        assert second.records(2) == [(0, 5, "5"), (0, 6, "6")]
        assert second.stop() == 0
    assert program.committed(group, topic) == 7


def check_rebalance(program: Program, topic: str, group: str) -> None:
    """Two members share a topic while both are there; each record is read, by its owner alone.

    The second member joins while the first one reads, and leaves again.
    """
    program.create(topic, 4)
    with program.member(group, topic) as first:
        first.assignment(lambda owned: owned == {0, 1, 2, 3})
        _produce_round(program, topic, "alone")
        assert _values(first, 20) == _round("alone")

        with program.member(group, topic) as second:
            of_second = second.assignment(lambda owned: len(owned) == 2)
            of_first = first.assignment(lambda owned: owned == {0, 1, 2, 3} - of_second)
            assert len(of_first) == 2
            _produce_round(program, topic, "shared")
            read_by_first, read_by_second = first.records(10), second.records(10)
            assert {partition for partition, _, _ in read_by_first} == of_first
            assert {partition for partition, _, _ in read_by_second} == of_second
            values = Counter(value for _, _, value in read_by_first + read_by_second)
            assert values == _round("shared")
            assert second.stop() == 0

        first.assignment(lambda owned: owned == {0, 1, 2, 3})
        _produce_round(program, topic, "alone again")
        assert _values(first, 20) == _round("alone again")
        assert first.stop() == 0
    assert [program.committed(group, topic, partition) for partition in range(4)] == [15] * 4


def _produce_round(program: Program, topic: str, title: str) -> None:
    """Five records for each of the four partitions."""
    for partition in range(4):
        records = [Record(f"{title} {partition}/{number}") for number in range(5)]
        program.produce(topic, records, partition=partition)


def _round(title: str) -> Counter[str]:
    """What `_produce_round` has produced, each value once."""
    return Counter(f"{title} {partition}/{number}" for partition in range(4) for number in range(5))


def _values(member: Member, count: int) -> Counter[str]:
    return Counter(value for _, _, value in member.records(count))
