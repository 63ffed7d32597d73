from __future__ import annotations

from pykbroker.coordinator.group.step import (
    GroupSettings,
    Step,
    join_timer,
    session_timer,
    sync_timer,
)
from pykbroker.coordinator.transition import (
    Answer,
    CancelTimer,
    Computation,
    SetTimer,
    Transition,
)


def test_a_step_becomes_a_transition_with_all_it_gathered() -> None:
    step = Step(now_ms=1, settings=GroupSettings())
    step.set_timer(join_timer("g"), 5)
    step.cancel_timer(sync_timer("g"))
    step.compute(("regex", "g"), dict)
    step.answer(7, "yes")
    step.log("something happened")
    step.if_append_fails = "undo"

    assert step.done("response") == Transition(
        "response",
        records=[],
        timers=[SetTimer(("join", "g"), 5), CancelTimer(("sync", "g"))],
        computations=[Computation(("regex", "g"), dict)],
        answers=[Answer(7, "yes")],
        events=["something happened"],
        if_append_fails="undo",
    )


def test_timers_of_a_group_and_of_its_members_are_told_apart() -> None:
    keys = {
        join_timer("g"),
        sync_timer("g"),
        session_timer("g", "m"),
        session_timer("g", "n"),
        session_timer("h", "m"),
    }
    assert len(keys) == 5


def test_the_defaults_are_those_of_kafka_but_for_the_initial_delay() -> None:
    settings = GroupSettings()
    assert settings.max_size == 2147483647
    assert (settings.min_session_timeout_ms, settings.max_session_timeout_ms) == (6000, 1800000)
    assert settings.offset_metadata_max_bytes == 4096
    assert settings.offsets_retention_ms == 10080 * 60_000
    assert settings.initial_rebalance_delay_ms == 0
