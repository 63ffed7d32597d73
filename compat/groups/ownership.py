"""Who owned which partition when, by what the members' callbacks said, and whether two ever did.

All members' clocks are CLOCK_MONOTONIC of one machine, so their times can be compared. A member
owns a partition from the callback that gives it until the callback that takes it, until it begins
to close, or until it is killed. What a member says it has *lost* was taken by the broker at a time
that nobody knows: such an interval is not compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

STILL = 1 << 63


@dataclass(slots=True)
class Interval:
    """One partition in the hands of one member, in nanoseconds."""

    member: str
    partition: int
    begin_ns: int
    end_ns: int = STILL
    was_lost: bool = False


@dataclass(slots=True)
class Ownership:
    """What all members have said of their partitions, and the records that they have read."""

    intervals: list[Interval] = field(default_factory=list)
    records: set[tuple[int, int]] = field(default_factory=set)
    read: int = 0
    _open: dict[tuple[str, int], Interval] = field(default_factory=dict)
    _closing: set[str] = field(default_factory=set)

    def take(self, member: str, said: dict[str, Any]) -> None:
        """Take in one line of a member."""
        if "record" in said:
            partition, offset = said["record"]
            self.records.add((partition, offset))
            self.read += 1
            return
        for partition in said.get("assigned", ()):
            key = member, partition
            # What comes while a member closes it does not read any more.
            if key not in self._open and member not in self._closing:
                interval = self._open[key] = Interval(member, partition, said["at"])
                self.intervals.append(interval)
        for kind in ("revoked", "lost"):
            for partition in said.get(kind, ()):
                self._close(member, partition, said["at"], was_lost=kind == "lost")
        if "closing" in said:
            self._closing.add(member)
            self.end(member, said["at"])

    def end(self, member: str, at_ns: int) -> None:
        """A member is gone, or as good as gone."""
        for partition in self.owned_by(member):
            self._close(member, partition, at_ns)

    def owned_by(self, member: str) -> set[int]:
        """What a member owns now."""
        return {partition for name, partition in self._open if name == member}

    def owned(self) -> list[int]:
        """All partitions that anybody owns now, in order; one twice if two own it."""
        return sorted(partition for _, partition in self._open)

    def _close(self, member: str, partition: int, at_ns: int, *, was_lost: bool = False) -> None:
        interval = self._open.pop((member, partition), None)
        if interval is not None:
            interval.end_ns, interval.was_lost = at_ns, was_lost


def overlaps(intervals: Iterable[Interval]) -> Iterator[str]:
    """Name every two members that had one partition at one time."""
    by_partition: dict[int, list[Interval]] = {}
    for interval in intervals:
        if not interval.was_lost:
            by_partition.setdefault(interval.partition, []).append(interval)
    for partition, of_one in sorted(by_partition.items()):
        of_one.sort(key=lambda interval: interval.begin_ns)
        holder = of_one[0]
        for interval in of_one[1:]:
            if interval.begin_ns < holder.end_ns and interval.member != holder.member:
                yield (
                    f"partition {partition}: {interval.member} had it "
                    f"{(min(holder.end_ns, interval.end_ns) - interval.begin_ns) / 1e6:.1f} ms "
                    f"while {holder.member} had it"
                )
            if interval.end_ns >= holder.end_ns:
                holder = interval
