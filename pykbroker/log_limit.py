"""One log line a minute for what happens again and again, such as every write to a full disk."""

from collections.abc import Hashable
from typing import Final

REPEAT_INTERVAL_MS: Final = 60_000
MAX_KINDS: Final = 1_000


class RepeatLimit:
    """Says which of many like events deserve a line, and how many it stands for.

    Args:
        interval_ms: The least time between two lines about events of one kind.
    """

    __slots__ = ("_interval_ms", "_seen")

    def __init__(self, interval_ms: int = REPEAT_INTERVAL_MS) -> None:
        self._interval_ms = interval_ms
        # When the last line was due, and how many events came after it, by kind.
        self._seen: dict[Hashable, tuple[int, int]] = {}

    def count(self, kind: Hashable, now_ms: int) -> int:
        """Count an event.

        Args:
            kind: What is alike.
            now_ms: Any time in ms; one that goes back ends the silence.

        Returns:
            How many events a line now stands for, this one among them; 0 to stay silent.
        """
        last_ms, silent = self._seen.get(kind, (None, 0))
        if last_ms is not None and 0 <= now_ms - last_ms < self._interval_ms:
            self._seen[kind] = last_ms, silent + 1
            return 0
        if len(self._seen) >= MAX_KINDS:
            self._seen.clear()
        self._seen[kind] = now_ms, 0
        return silent + 1
