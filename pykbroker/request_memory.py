"""The memory that large requests of all connections share: `queued.max.request.bytes` (KIP-72).

A connection reserves a frame's size before it receives the frame, and lets it go when the request
is answered. Who finds nothing free is not read until there is. As in Kafka, the last reservation
may exceed the limit, or a limit below the size of one request would stop it for ever. Frames that
fit into the memory that every connection has anyway are not counted.
"""

from collections import deque
from collections.abc import Callable


class RequestMemory:
    """A budget in bytes, and those who wait for it."""

    def __init__(self, limit_bytes: Callable[[], int]) -> None:
        """Create it.

        Args:
            limit_bytes: Gives the limit in force; negative for none.
        """
        self.reserved_bytes = 0
        self._limit_bytes = limit_bytes
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def waiting(self) -> int:
        """How many connections wait for memory."""
        return len(self._waiting)

    def reserve(self, size_bytes: int, resume: Callable[[], None]) -> bool:
        """Take memory if there is any.

        Args:
            size_bytes: Of the frame.
            resume: Called once when it is worth trying again; only if False is returned.
        """
        limit_bytes = self._limit_bytes()
        if limit_bytes >= 0 and self.reserved_bytes >= limit_bytes:
            self._waiting.append(resume)
            return False
        self.reserved_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """Give memory back, and let those who wait try again, the first come first."""
        self.reserved_bytes -= size_bytes
        for _ in range(len(self._waiting)):
            limit_bytes = self._limit_bytes()
            if limit_bytes >= 0 and self.reserved_bytes >= limit_bytes:
                return
            self._waiting.popleft()()
