from __future__ import annotations

from pykbroker.coordinator.transition import Answer, CancelTimer, SetTimer, Transition


def test_a_transition_that_only_answers_wants_nothing_done() -> None:
    transition = Transition("answer")
    assert transition.response == "answer"
    assert not transition.records
    assert not transition.timers
    assert not transition.answers
    assert not transition.events
    assert transition.if_append_fails is None


def test_transitions_are_compared_by_what_they_want() -> None:
    timers = (SetTimer(("session", "g", "m"), 5), CancelTimer(("join", "g")))
    assert Transition(1, timers=timers) == Transition(1, timers=timers)
    assert Transition(1, timers=timers) != Transition(1)
    assert Transition(1, answers=(Answer(1, "a"),)) != Transition(1, answers=(Answer(2, "a"),))
