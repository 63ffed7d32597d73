"""Cases: functions of a session and a version, run against two brokers at the same time."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from compat.differential.differences import DIFFERENCES
from compat.differential.session import Session
from compat.differential.transcript import Deviation, Difference, compare
from compat.differential.wire import NoAnswer, Request, Silence
from compat.targets import Target
from pykbroker.protocol.apis import ApiKey

MAX_SHOWN = 2000
PATIENCE = 10
SILENT = repr(Silence.outcome)

CaseFunction = Callable[[Session, int], None]


@dataclass(frozen=True)
class Case:
    """One function and the versions of an API with which it is played."""

    api: ApiKey
    area: str
    name: str
    versions: Sequence[int]
    function: CaseFunction

    @property
    def full_name(self) -> str:
        """Area and name, as in differences.py: `produce.unknown_topic`."""
        return f"{self.area}.{self.name}"


@dataclass
class Observed:
    """What all cases so far have seen, of whichever pair of brokers."""

    error_codes: set[tuple[ApiKey, int]] = field(default_factory=set)
    played: set[str] = field(default_factory=set)


OBSERVED = Observed()


@dataclass
class Pair:
    """The broker under test, and Apache Kafka."""

    ours: Target
    kafka: Target
    differences: Sequence[Difference] = DIFFERENCES
    # How many seeds of random requests are played.
    rounds: int = 1
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))

    def play(self, case: Case, version: int) -> None:
        """Run a case against both brokers and compare. Fails the test that calls it."""
        problems = self._problems(case, version, patience=1)
        if any(SILENT in each for each in problems):
            # Silence is a matter of time: on a busy machine an answer may be late.
            problems = self._problems(case, version, patience=PATIENCE)
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)

    def _problems(self, case: Case, version: int, patience: int) -> list[str]:
        name = f"{case.area}-{case.name}-{version}" + ("-again" if patience > 1 else "")
        now_ms = int(time.time() * 1000)
        sessions = [Session(broker, name, now_ms, patience) for broker in (self.ours, self.kafka)]
        for session in sessions:
            session.rounds = self.rounds
        try:
            runs = [
                self._threads.submit(_play, case.function, session, version) for session in sessions
            ]
            ended_early = [run.result() for run in runs]
        finally:
            for session in sessions:
                session.close()
        ours, kafka = sessions
        OBSERVED.error_codes |= ours.error_codes | kafka.error_codes
        OBSERVED.played.add(case.full_name)
        known = [each for each in self.differences if each.covers(case.full_name, version)]
        deviations, unseen = compare(ours.steps, kafka.steps, known)
        problems = [_shown(each) for each in deviations]
        problems += [f"listed in differences.py, but not seen: {each}" for each in unseen]
        if all(ended_early) and not problems:
            problems = [f"neither broker answered: {ended_early}; the case should use attempt()"]
        return problems


def _play(function: CaseFunction, session: Session, version: int) -> str:
    """Run one side; gives why it ended early, if it did."""
    try:
        function(session, version)
    except NoAnswer as reason:
        return reason.outcome
    except BaseException as error:
        error.add_note(f"at {session.broker.name}, after {len(session.steps)} steps")
        raise
    return ""


def _shown(deviation: Deviation) -> str:
    lines = [
        f"{deviation.path} ({deviation.label})",
        f"    ours:  {_short(repr(deviation.ours))}",
        f"    Kafka: {_short(repr(deviation.kafka))}",
    ]
    if deviation.request:
        lines.append(f"    request: {_short(deviation.request)}")
    return "\n".join(lines)


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"


def _parameter(played: Sequence[int], version: int) -> Any:
    """Where time is short, the last version is played, and the first one of what is quick."""
    if version == played[-1]:
        return pytest.param(version)
    is_first = version == played[0]
    return pytest.param(
        version, marks=pytest.mark.first_version if is_first else pytest.mark.version_between
    )


def versions_of(request_type: type[Request]) -> range:
    """All versions of an API."""
    return range(request_type.MIN_VERSION, request_type.MAX_VERSION + 1)


def case(
    request_type: type[Request], *, versions: Iterable[int] | None = None
) -> Callable[[CaseFunction], Callable[[Pair, int], None]]:
    """Make a test for each version of a function of a session and a version.

    Args:
        request_type: The API that the case is about.
        versions: All that pykbroker has a schema for if None.
    """
    played = list(versions_of(request_type) if versions is None else versions)

    def decorate(function: CaseFunction) -> Callable[[Pair, int], None]:
        area = Path(function.__code__.co_filename).stem.removeprefix("test_")
        made = Case(
            ApiKey(request_type.API_KEY),
            area,
            function.__name__.removeprefix("test_"),
            played,
            function,
        )

        @pytest.mark.parametrize("version", [_parameter(played, each) for each in played])
        def test(pair: Pair, version: int) -> None:
            pair.play(made, version)

        marked: Any = test
        marked.__name__ = function.__name__
        marked.__doc__ = function.__doc__
        marked.place_as = function
        marked.case = made
        return test

    return decorate
