"""Two transcripts, compared field by field."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from compat.differential.session import Step

ABSENT = "absent"


@dataclass(frozen=True)
class Deviation:
    """One place at which the brokers do not agree."""

    path: str
    label: str
    request: str
    ours: Any
    kafka: Any


@dataclass(frozen=True)
class Difference:
    """A place at which the brokers do not agree, on purpose.

    `case` is `area.name`, `path` is the number of the step and the fields down to the place, as a
    failing test prints it; `*` in them stands for anything. `ours` and `kafka` are the values as
    `repr` writes them, with the same wildcards.
    """

    case: str
    path: str
    ours: str
    kafka: str
    reason: str
    versions: Sequence[int] | None = None

    def covers(self, case: str, version: int) -> bool:
        return fnmatchcase(case, self.case) and (self.versions is None or version in self.versions)

    def explains(self, path: str, ours: Any, kafka: Any) -> bool:
        return (
            fnmatchcase(path, self.path)
            and fnmatchcase(repr(ours), self.ours)
            and fnmatchcase(repr(kafka), self.kafka)
        )


def compare(
    ours: Sequence[Step], kafka: Sequence[Step], known: Sequence[Difference] = ()
) -> tuple[list[Deviation], list[Difference]]:
    """Gives what deviates and is not known, and which known differences do not show."""
    deviations = []
    seen = set()
    for deviation in _all(ours, kafka):
        reasons = [
            each for each in known if each.explains(deviation.path, deviation.ours, deviation.kafka)
        ]
        seen.update(reasons)
        if not reasons:
            deviations.append(deviation)
    return deviations, [each for each in known if each not in seen]


def _all(ours: Sequence[Step], kafka: Sequence[Step]) -> Iterator[Deviation]:
    for number in range(max(len(ours), len(kafka))):
        if number >= len(ours) or number >= len(kafka):
            step = (ours if number < len(ours) else kafka)[number]
            sides = [
                each[number].answer if number < len(each) else ABSENT for each in (ours, kafka)
            ]
            yield Deviation(str(number), step.label, step.request, *sides)
            continue
        a, b = ours[number], kafka[number]
        if a.label != b.label:
            yield Deviation(str(number), a.label, a.request, a.label, b.label)
            continue
        for path, mine, theirs in _differing(str(number), a.answer, b.answer):
            yield Deviation(path, a.label, a.request, mine, theirs)


def _differing(path: str, ours: Any, kafka: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(kafka, dict):
        for key in ours.keys() | kafka.keys():
            yield from _differing(f"{path}/{key}", ours.get(key, ABSENT), kafka.get(key, ABSENT))
    elif isinstance(ours, list) and isinstance(kafka, list) and len(ours) == len(kafka):
        for number, (mine, theirs) in enumerate(zip(ours, kafka, strict=True)):
            yield from _differing(f"{path}/{number}", mine, theirs)
    elif type(ours) is not type(kafka) or ours != kafka:
        yield path, ours, kafka
