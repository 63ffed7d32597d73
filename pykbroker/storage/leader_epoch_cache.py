"""Which leader epoch each offset was written in (Kafka's `LeaderEpochFileCache`).

An entry (epoch, start offset) is added when a batch carries a larger epoch than the one before;
epochs and start offsets ascend. Consumers and followers ask where an epoch ended, to notice that
the log they have read was replaced. The entries are kept in `leader-epoch-checkpoint`.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

UNDEFINED_EPOCH: Final = -1
UNDEFINED_OFFSET: Final = -1


class LeaderEpochCache:
    """The (epoch, start offset) entries of one log, in memory.

    Every change replaces the table as a whole, so that another thread may look up at any time.
    """

    __slots__ = ("_table",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._table: tuple[list[int], list[int]] = ([], [])
        self._replace(list(entries))

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The (epoch, start offset) pairs in ascending order."""
        return list(zip(*self._table, strict=True))

    @property
    def latest_epoch(self) -> int:
        """The largest epoch, or -1 where nothing is known."""
        epochs, _ = self._table
        return epochs[-1] if epochs else UNDEFINED_EPOCH

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that `epoch` starts at `start_offset` unless it is known already.

        Returns:
            Whether an entry was added, so that the checkpoint must be written.
        """
        if epoch < 0 or epoch <= self.latest_epoch:
            return False
        entries = [(e, s) for e, s in self.entries if s < start_offset]
        self._replace([*entries, (epoch, start_offset)])
        return True

    def truncate_from_end(self, end_offset: int) -> bool:
        """Drop the epochs that start at or after `end_offset`; tells whether any did."""
        return self._replace([(e, s) for e, s in self.entries if s < end_offset])

    def truncate_from_start(self, start_offset: int) -> bool:
        """Move the epoch that holds `start_offset` there and drop all before it."""
        entries = self.entries
        below = [entry for entry in entries if entry[1] <= start_offset]
        if not below:
            return False
        return self._replace([(below[-1][0], start_offset), *entries[len(below) :]])

    def end_offset_for(
        self, epoch: int, current_epoch: int, log_end_offset: int
    ) -> tuple[int, int]:
        """Return (epoch, end offset) for the largest known epoch not above `epoch`.

        (-1, -1) when the epoch is undefined or newer than the current one. An epoch older than
        all that are known ends where the first known one starts (Kafka's `endOffsetFor`).

        Args:
            epoch: The one that is asked for.
            current_epoch: The leader's. It has begun even if nothing was written in it yet, so it
                has no entry, and then the one before it ends at the end of the log.
            log_end_offset: Where the current epoch ends.
        """
        epochs, starts = self._table
        if epoch == UNDEFINED_EPOCH or epoch > current_epoch:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if epoch == current_epoch:
            return epoch, log_end_offset
        higher = bisect_right(epochs, epoch)
        return (
            epochs[higher - 1] if higher else epoch,
            starts[higher] if higher < len(starts) else log_end_offset,
        )

    def epoch_at(self, offset: int) -> int:
        """Return the epoch that `offset` was or will be written in, or -1 where unknown."""
        epochs, starts = self._table
        slot = bisect_right(starts, offset)
        return epochs[slot - 1] if slot else UNDEFINED_EPOCH

    def _replace(self, entries: list[tuple[int, int]]) -> bool:
        if entries == self.entries:
            return False
        self._table = [epoch for epoch, _ in entries], [start for _, start in entries]
        return True
