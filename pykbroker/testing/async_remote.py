"""The clock and the incidents of a broker in a process of its own, for asyncio programs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pykbroker.testing.broker_clock import AsyncBrokerClock
from pykbroker.testing.incidents import MOVE_S, AsyncIncidents
from pykbroker.testing.remote import RemoteClock, RemoteIncidents


class AsyncRemoteClock(AsyncBrokerClock):
    """The clock of such a broker.

    Args:
        clock: The same, for those who wait.
    """

    def __init__(self, clock: RemoteClock) -> None:
        self._remote = clock

    @property
    def now_ms(self) -> int:
        """The broker's wall time in milliseconds since the epoch."""
        return self._remote.now_ms

    @property
    def is_stopped(self) -> bool:
        """Whether time passes by `advance` alone."""
        return self._remote.is_stopped

    def stop(self) -> None:
        """Have time pass by `advance` alone."""
        self._remote.stop()

    def resume(self) -> None:
        """Have time pass as it does, from where it is."""
        self._remote.resume()

    async def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Move time on; see `BrokerClock.advance`."""
        await asyncio.to_thread(
            self._remote.advance, seconds, minutes=minutes, hours=hours, days=days
        )


class AsyncRemoteIncidents(AsyncIncidents):
    """What may happen to such a broker.

    Args:
        incidents: The same, for those who wait.
    """

    def __init__(self, incidents: RemoteIncidents) -> None:
        self._remote = incidents

    @asynccontextmanager
    async def unavailable(self) -> AsyncIterator[None]:
        """See `Incidents.unavailable`."""
        incident = self._remote.unavailable()
        await asyncio.to_thread(incident.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(incident.__exit__, None, None, None)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """See `Incidents.full_disk`."""
        with self._remote.full_disk():
            yield

    def fail_fsync(self, times: int = 1) -> None:
        """See `Incidents.fail_fsync`."""
        self._remote.fail_fsync(times)

    def move_coordinator(
        self,
        group: str | None = None,
        *,
        transactional_id: str | None = None,
        for_s: float = MOVE_S,
    ) -> None:
        """See `Incidents.move_coordinator`."""
        self._remote.move_coordinator(group, transactional_id=transactional_id, for_s=for_s)

    async def change_leader(self, topic: str, partition: int = 0, *, for_s: float = MOVE_S) -> None:
        """See `Incidents.change_leader`."""
        await asyncio.to_thread(self._remote.change_leader, topic, partition, for_s=for_s)
