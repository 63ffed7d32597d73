"""The differences between pykbroker and Apache Kafka that are meant to be there.

An entry explains a deviation at one place of one case, or of several by wildcards. It is strict:
a case that it covers and in which it does not show fails. README.md lists them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


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


DIFFERENCES: Sequence[Difference] = ()
