"""Where a broker for tests has its data and its port, over all its starts and stops.

The data is in a temporary directory beside the snapshots of it; all of that goes when the broker is
closed. The port stays the broker's own while it is stopped or dead: a bound socket that does not
listen keeps others from getting it, also clients whose connection attempts would otherwise be given
the very port that they try to reach.
"""

import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pykbroker.testing.settings import HOST

DATA: Final = "data"


@dataclass(frozen=True)
class Snapshot:
    """The state of a broker at one moment, for `restore`; it goes when the broker is closed."""

    path: Path

    def discard(self) -> None:
        """Remove it from the disk; it cannot be restored any more."""
        shutil.rmtree(self.path, ignore_errors=True)


class Home:
    """The place of one broker; made by `open`, removed by `close`.

    Args:
        port: The port to have; 0 is any that is free.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._chosen_port = port
        self._directory: Path | None = None
        self._snapshots = 0
        self._reservation: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is data that a start would find."""
        return self._directory is not None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self._top / DATA

    @property
    def log_file(self) -> Path:
        """Where a process of its own writes its log."""
        return self._top / "broker.log"

    def open(self) -> None:
        """Make the directory and take the port, if that has not been done."""
        if self._directory is not None:
            return
        if sys.platform == "linux":  # elsewhere two sockets cannot be bound to one address
            self._reservation = _bound(self._chosen_port)
            self.port = self._reservation.getsockname()[1]
        self._directory = Path(tempfile.mkdtemp(prefix="pykbroker-"))
        self.data.mkdir()

    def close(self) -> None:
        """Remove the data and all snapshots and let go of the port; may be called twice."""
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
        self.port = self._chosen_port

    def save(self) -> Snapshot:
        """Copy the data; the broker must be stopped."""
        self._snapshots += 1
        path = self._top / f"snapshot-{self._snapshots}"
        shutil.copytree(self.data, path)
        return Snapshot(path)

    def restore(self, snapshot: Snapshot) -> None:
        """Put a copy of a snapshot in place of the data; the broker must be stopped.

        Raises:
            FileNotFoundError: The snapshot was discarded, or its broker closed; nothing is changed.
        """
        if not snapshot.path.exists():
            raise FileNotFoundError(f"the snapshot {snapshot.path} is no more")
        shutil.rmtree(self.data)
        shutil.copytree(snapshot.path, self.data)

    @property
    def _top(self) -> Path:
        if self._directory is None:
            raise RuntimeError("the broker has not been started")
        return self._directory


def _bound(port: int) -> socket.socket:
    """Bind a socket as the broker's listener does, which may then have the same address."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
