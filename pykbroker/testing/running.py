"""The ways in which a broker for tests runs; all start on the data and port of one `Home`."""

from typing import Protocol


class StartError(Exception):
    """The broker has not become ready; the message says why, and how far it has come."""


class Running(Protocol):
    """A broker that can be started and stopped again and again, from any thread."""

    def start(self, settings: dict[str, str], timeout_s: float) -> int:
        """Return the port once connections are accepted.

        Raises:
            StartError: It is not ready in time.
        """

    def stop(self) -> None:
        """Answer what is in flight and stop; what was written is there at the next start."""

    def kill(self) -> None:
        """End it at once, as a crash would."""
