"""What a broker has confirmed, so that a later life of it can be held to its word."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ConfirmedRecord:
    """A record that was acknowledged with acks=all, at the offset that was answered."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Ledger:
    """Confirmed records, and committed offsets by (group, topic, partition)."""

    records: list[ConfirmedRecord] = field(default_factory=list)
    commits: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def by_partition(self) -> dict[tuple[str, int], list[ConfirmedRecord]]:
        """The records of each partition in the order of their offsets."""
        found: dict[tuple[str, int], list[ConfirmedRecord]] = {}
        for record in sorted(self.records, key=lambda record: record.offset):
            found.setdefault((record.topic, record.partition), []).append(record)
        return found
