"""What happens again and again gets one line a minute, which says how often it was."""

from pykbroker.log_limit import MAX_KINDS, RepeatLimit


def test_the_first_event_gets_a_line_and_the_next_line_counts_the_silent_ones() -> None:
    limit = RepeatLimit(60_000)
    assert limit.count("full", 1_000) == 1
    assert [limit.count("full", at) for at in (1_000, 30_000, 60_999)] == [0, 0, 0]
    assert limit.count("full", 61_000) == 4
    assert limit.count("full", 121_000) == 1


def test_kinds_do_not_silence_each_other() -> None:
    limit = RepeatLimit()
    assert limit.count("full", 0) == limit.count("broken", 0) == 1


def test_a_clock_that_goes_back_does_not_silence_for_long() -> None:
    limit = RepeatLimit()
    limit.count("full", 10_000_000)
    assert limit.count("full", 5_000) == 1


def test_the_kinds_that_are_remembered_are_bounded() -> None:
    limit = RepeatLimit()
    for kind in range(3 * MAX_KINDS):
        limit.count(kind, 0)
    assert len(limit._seen) <= MAX_KINDS
