from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from pykbroker.fetch_sessions import (
    EVICTION_MS,
    MAX_EPOCH,
    NO_SESSION_ID,
    NO_TOPIC_ID,
    FetchContext,
    FetchPartition,
    FetchSessionCache,
    PartitionKey,
    next_epoch,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.clock import ManualClock

TOPIC_ID = bytes(range(16))


@dataclass
class Answer:
    wanted: FetchPartition
    error_code: ErrorCode = ErrorCode.NONE
    high_watermark: int = 0
    log_start_offset: int = 0
    size_bytes: int = 0
    is_diverging: bool = False


def numbers() -> Callable[[int], int]:
    """Return a source of "random" numbers: 10, 20, 30, ..."""
    drawn = iter(range(10, 100_000, 10))
    return lambda limit: next(drawn) - 1


def a_cache(max_sessions: int = 10, clock: ManualClock | None = None) -> FetchSessionCache:
    return FetchSessionCache(max_sessions, clock or ManualClock(), numbers())


def wishes(*partitions: int, offset: int = 0) -> dict[PartitionKey, FetchPartition]:
    made = [FetchPartition("t", NO_TOPIC_ID, number, fetch_offset=offset) for number in partitions]
    return {partition.key: partition for partition in made}


def ask(
    cache: FetchSessionCache,
    session_id: int,
    epoch: int,
    wanted: dict[PartitionKey, FetchPartition] | None = None,
    forgotten: Sequence[PartitionKey] = (),
    *,
    uses_ids: bool = False,
) -> FetchContext:
    return cache.new_context(session_id, epoch, wanted or {}, forgotten, uses_ids=uses_ids)


def numbers_of(answers: Sequence[Answer]) -> list[int]:
    return [answer.wanted.partition for answer in answers]


def open_session(cache: FetchSessionCache, *partitions: int) -> int:
    context = ask(cache, 0, 0, wishes(*partitions))
    session_id, _ = context.select([Answer(wanted) for wanted in context.partitions])
    return session_id


def test_a_request_without_a_session_gets_every_answer() -> None:
    cache = a_cache()
    context = ask(cache, 0, -1, wishes(0, 1))
    session_id, chosen = context.select([Answer(wanted) for wanted in context.partitions])
    assert session_id == NO_SESSION_ID
    assert numbers_of(chosen) == [0, 1]
    assert len(cache) == 0


def test_a_full_request_opens_a_session_that_remembers_the_partitions() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0, 1)
    assert session_id == 10
    assert (len(cache), cache.total_partitions) == (1, 2)
    assert cache.partitions_of(10) == [("t", 0), ("t", 1)]
    assert cache.partitions_of(11) == []
    assert [wanted.partition for wanted in ask(cache, 10, 1).partitions] == [0, 1]


@pytest.mark.parametrize(
    ("change", "is_answered"),
    [
        ({}, False),
        ({"high_watermark": 5}, True),
        ({"log_start_offset": 2}, True),
        ({"size_bytes": 100}, True),
        ({"error_code": ErrorCode.NOT_LEADER_OR_FOLLOWER, "high_watermark": -1}, True),
        ({"is_diverging": True}, True),
    ],
)
def test_only_what_changed_is_answered(change: dict[str, int], is_answered: bool) -> None:
    cache = a_cache()
    session_id = open_session(cache, 0, 1)
    context = ask(cache, session_id, 1)
    first, second = context.partitions
    answers = [Answer(first), Answer(second, **change)]  # type: ignore[arg-type]
    answered_id, chosen = context.select(answers)
    assert answered_id == session_id
    assert numbers_of(chosen) == ([1] if is_answered else [])


def test_a_change_is_told_once() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0)
    for epoch, expected in ((1, [0]), (2, [])):
        context = ask(cache, session_id, epoch)
        answers = [Answer(wanted, high_watermark=7) for wanted in context.partitions]
        assert numbers_of(context.select(answers)[1]) == expected


def test_a_partition_is_answered_when_its_error_is_gone() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0)
    for epoch, code in ((1, ErrorCode.KAFKA_STORAGE_ERROR), (2, ErrorCode.NONE)):
        context = ask(cache, session_id, epoch)
        answers = [Answer(wanted, error_code=code) for wanted in context.partitions]
        assert numbers_of(context.select(answers)[1]) == [0]


def test_partitions_with_records_move_to_the_back() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0, 1, 2)
    context = ask(cache, session_id, 1)
    answers = [
        Answer(wanted, size_bytes=int(wanted.partition < 2)) for wanted in context.partitions
    ]
    context.select(answers)
    assert [wanted.partition for wanted in ask(cache, session_id, 2).partitions] == [2, 0, 1]


def test_an_incremental_request_adds_updates_and_forgets() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0, 1)
    context = ask(cache, session_id, 1, wishes(1, 2, offset=8), forgotten=[("t", 0), ("t", 9)])
    assert [(wanted.partition, wanted.fetch_offset) for wanted in context.partitions] == [
        (1, 8),
        (2, 8),
    ]


def test_a_session_without_partitions_is_closed() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0)
    context = ask(cache, session_id, 1, forgotten=[("t", 0)])
    assert list(context.partitions) == []
    assert context.select([]) == (NO_SESSION_ID, [])
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("session_id", "epoch", "uses_ids", "code"),
    [
        (11, 1, False, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (0, 1, False, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (10, 2, False, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (10, -2, False, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (10, 1, True, ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR),
    ],
)
def test_a_request_that_does_not_fit_its_session_is_refused(
    session_id: int, epoch: int, uses_ids: bool, code: ErrorCode
) -> None:
    cache = a_cache()
    open_session(cache, 0)
    with pytest.raises(KafkaError) as caught:
        ask(cache, session_id, epoch, uses_ids=uses_ids)
    assert caught.value.code == code
    ask(cache, 10, 1)  # the refused request changed nothing


def test_two_requests_of_one_epoch_are_noticed_at_the_answer() -> None:
    cache = a_cache()
    session_id = open_session(cache, 0)
    slow = ask(cache, session_id, 1)
    ask(cache, session_id, 2)
    with pytest.raises(KafkaError) as caught:
        slow.select([])
    assert caught.value.code == ErrorCode.INVALID_FETCH_SESSION_EPOCH


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_full_request_closes_the_session_that_it_names(epoch: int) -> None:
    cache = a_cache()
    session_id = open_session(cache, 0)
    ask(cache, session_id, epoch, wishes(0))
    assert len(cache) == 0


def test_epochs_wrap_to_one() -> None:
    assert next_epoch(0) == 1
    assert next_epoch(MAX_EPOCH) == 1


def test_topic_ids_name_partitions_whose_topic_is_unknown() -> None:
    known, unknown = FetchPartition("t", TOPIC_ID, 0), FetchPartition(None, TOPIC_ID, 0)
    assert known.key == unknown.key
    assert FetchPartition("t", NO_TOPIC_ID, 0).key != FetchPartition("u", NO_TOPIC_ID, 0).key


def test_a_taken_session_id_is_drawn_again() -> None:
    drawn = iter([6, 6, 6, 8])
    cache = FetchSessionCache(10, ManualClock(), lambda limit: next(drawn))
    assert [open_session(cache, 0), open_session(cache, 0)] == [7, 9]


def test_a_full_cache_opens_no_session() -> None:
    cache = a_cache(max_sessions=1)
    first = open_session(cache, 0)
    assert open_session(cache, 0, 1, 2) == NO_SESSION_ID
    ask(cache, first, 1)


def test_a_cache_without_slots_opens_no_session() -> None:
    assert open_session(a_cache(max_sessions=0), 0) == NO_SESSION_ID


def test_a_session_that_is_not_used_makes_room() -> None:
    clock = ManualClock()
    cache = a_cache(2, clock)
    first, second = open_session(cache, 0, 1, 2), open_session(cache, 0)
    clock.advance(EVICTION_MS)
    ask(cache, first, 1)
    assert open_session(cache, 0) == NO_SESSION_ID, "not unused for long enough"
    clock.advance(1)
    third = open_session(cache, 0)
    assert third != NO_SESSION_ID
    assert cache.evictions == 1
    with pytest.raises(KafkaError):
        ask(cache, second, 1)
    ask(cache, first, 2)


def test_a_larger_newcomer_evicts_the_smallest_session_that_is_not_new() -> None:
    clock = ManualClock()
    cache = a_cache(3, clock)
    large, small = open_session(cache, 0, 1, 2), open_session(cache, 0)
    clock.advance(EVICTION_MS + 1)
    ask(cache, large, 1)
    ask(cache, small, 1)
    fresh = open_session(cache, 5)

    assert open_session(cache, 7) == NO_SESSION_ID, "equal size is not enough"
    assert open_session(cache, 7, 8) != NO_SESSION_ID
    for session_id, epoch in ((large, 2), (fresh, 1)):
        ask(cache, session_id, epoch)
    with pytest.raises(KafkaError):
        ask(cache, small, 2)


def test_a_session_that_has_grown_is_worth_more() -> None:
    clock = ManualClock()
    cache = a_cache(2, clock)
    first, second = open_session(cache, 0), open_session(cache, 0, 1)
    clock.advance(EVICTION_MS + 1)
    ask(cache, first, 1)
    ask(cache, second, 1)
    ask(cache, first, 2, wishes(1, 2, 3))

    assert open_session(cache, 0, 1, 2) != NO_SESSION_ID
    ask(cache, first, 3)
    with pytest.raises(KafkaError):
        ask(cache, second, 2)
