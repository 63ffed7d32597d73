from __future__ import annotations

from pykbroker.coordinator.runtime.timers import GRACE_MS, STALL_MS, TimerTable
from pykbroker.coordinator.transition import TimerKey
from tests.harness.clock import ManualClock

KEY = ("session", "g", "m")
OTHER = ("join", "g")


def a_table() -> tuple[ManualClock, TimerTable, list[tuple[int, TimerKey]]]:
    clock = ManualClock()
    expired: list[tuple[int, TimerKey]] = []
    table = TimerTable(clock, lambda key: expired.append((clock.monotonic_ms(), key)))
    return clock, table, expired


def test_a_timer_runs_out_once() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    clock.advance(9)
    assert expired == []
    clock.advance(100)
    assert expired == [(10, KEY)]
    assert len(table) == 0


def test_a_renewal_counts_and_costs_no_new_timer() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    for _ in range(5):
        clock.advance(6)
        table.set(KEY, 10)
        assert clock.pending_timers == 1
    clock.advance(9)
    assert expired == []
    clock.advance(1)
    assert expired == [(40, KEY)]


def test_a_renewal_may_come_earlier() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 100)
    table.set(KEY, 10)
    clock.advance(200)
    assert expired == [(10, KEY)]


def test_a_cancelled_timer_does_not_run_out() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    table.set(OTHER, 20)
    table.cancel(KEY)
    table.cancel(("never", "set"))
    clock.advance(100)
    assert expired == [(20, OTHER)]


def test_all_timers_can_be_stopped() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    table.set(OTHER, 20)
    table.clear()
    clock.advance(100)
    assert expired == []
    assert clock.pending_timers == 0


def test_after_a_standstill_clients_have_time_to_be_heard() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    table.set(OTHER, 10)
    clock.stand_still(10 + STALL_MS + 1)
    clock.advance(GRACE_MS - 1)
    assert expired == []
    table.set(KEY, 5000)
    clock.advance(1)
    assert [key for _, key in expired] == [OTHER]
    clock.advance(4998)
    assert [key for _, key in expired] == [OTHER]
    clock.advance(1)
    assert [key for _, key in expired] == [OTHER, KEY]


def test_a_timer_that_is_a_little_late_runs_out() -> None:
    clock, table, expired = a_table()
    table.set(KEY, 10)
    clock.stand_still(10 + STALL_MS)
    clock.advance(0)
    assert expired == [(10 + STALL_MS, KEY)]


def test_a_timer_may_be_set_again_when_it_runs_out() -> None:
    clock = ManualClock()
    times: list[int] = []

    def again(key: TimerKey) -> None:
        times.append(clock.monotonic_ms())
        table.set(key, 10)

    table = TimerTable(clock, again)
    table.set(KEY, 10)
    clock.advance(30)
    assert times == [10, 20, 30]


def test_it_tells_whether_a_timer_runs() -> None:
    clock, table, _ = a_table()
    table.set(KEY, 10)
    assert KEY in table
    assert OTHER not in table
    clock.advance(10)
    assert KEY not in table
