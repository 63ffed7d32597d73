"""The timers of one coordinator partition, by key."""

from collections.abc import Callable
from functools import partial
from typing import Final

from pykbroker.clock import Clock, TimerHandle
from pykbroker.coordinator.transition import TimerKey

# A timer that fires later than this tells that the whole process stood still (SIGSTOP, a laptop
# asleep). Requests sent meanwhile wait in the sockets, and timers fire before these are read.
STALL_MS: Final = 1000
GRACE_MS: Final = 1000


class TimerTable:
    """The timers of one shard by key.

    Sessions are renewed far more often than they end, so a renewal only notes the later deadline;
    the armed timer finds out when it fires and goes on for the rest.

    After the process stood still nothing expires before what clients sent meanwhile has been read:
    else all members of all groups would be lost at once, though their heartbeats had come.
    """

    def __init__(self, clock: Clock, on_expiry: Callable[[TimerKey], None]) -> None:
        self._clock = clock
        self._on_expiry = on_expiry
        self._deadlines_ms: dict[TimerKey, int] = {}
        self._armed: dict[TimerKey, tuple[int, TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._deadlines_ms)

    def __contains__(self, key: TimerKey) -> bool:
        return key in self._deadlines_ms

    def set(self, key: TimerKey, delay_ms: int) -> None:
        """Start or restart the timer of a key."""
        due_ms = self._clock.monotonic_ms() + delay_ms
        self._deadlines_ms[key] = due_ms
        armed = self._armed.get(key)
        if armed is not None and armed[0] <= due_ms:
            return
        if armed is not None:
            armed[1].cancel()
        self._arm(key, due_ms, delay_ms)

    def cancel(self, key: TimerKey) -> None:
        """Stop the timer of a key, if it runs."""
        self._deadlines_ms.pop(key, None)
        armed = self._armed.pop(key, None)
        if armed is not None:
            armed[1].cancel()

    def clear(self) -> None:
        """Stop all timers."""
        for _, handle in self._armed.values():
            handle.cancel()
        self._armed.clear()
        self._deadlines_ms.clear()

    def _arm(self, key: TimerKey, due_ms: int, delay_ms: int) -> None:
        handle = self._clock.call_later(delay_ms, partial(self._fire, key))
        self._armed[key] = (due_ms, handle)

    def _fire(self, key: TimerKey) -> None:
        armed_for_ms, _ = self._armed.pop(key)
        due_ms = self._deadlines_ms[key]
        now_ms = self._clock.monotonic_ms()
        if now_ms - armed_for_ms > STALL_MS:
            self._arm(key, now_ms + GRACE_MS, GRACE_MS)
            return
        remaining_ms = due_ms - now_ms
        if remaining_ms > 0:
            self._arm(key, due_ms, remaining_ms)
            return
        del self._deadlines_ms[key]
        self._on_expiry(key)
