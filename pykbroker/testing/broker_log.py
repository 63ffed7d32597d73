"""What a broker in this process logs, kept apart from what the program logs.

A broker for tests is a guest: its lines go to its own log and not to the program's handlers, and
the program's logging is as it was once no such broker runs any more. Python has one logger of a
name for all, so while one runs, the logger `pykbroker` hands its records to a sorter. That tells
by a context variable which broker a record is of. A record of none, such as of a server that the
program itself runs, goes on to the handlers that it would have gone to.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Protocol

from pykbroker.commands.logging_setup import TextFormatter

PACKAGE: Final = "pykbroker"
LEVEL: Final = logging.INFO
MAX_LINES: Final = 10_000

_current: ContextVar["BrokerLog | None"] = ContextVar("pykbroker_broker_log", default=None)


class Lines(Protocol):
    """What a broker has logged."""

    @property
    def count(self) -> int:
        """How many lines there have been."""

    def since(self, count: int) -> list[str]:
        """Return the lines that came after the first `count`, as far as they are kept."""


class BrokerLog:
    """The last lines of one broker, each with a number that counts all lines."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._count = 0
        self._formatter = TextFormatter()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return self._count

    def since(self, count: int) -> list[str]:
        """Return the lines that came after the first `count`, as far as they are kept."""
        with self._lock:
            new = self._count - count
            return list(self._lines)[-new:] if new > 0 else []

    def append(self, line: str) -> None:
        """Keep a line."""
        with self._lock:
            self._lines.append(line)
            self._count += 1

    def add(self, record: logging.LogRecord) -> None:
        """Keep what a logger was told."""
        self.append(self._formatter.format(record))

    def collecting(self) -> AbstractContextManager[None]:
        """Keep the program's handlers free of brokers' lines, for as long as a broker runs."""
        return _sorter.standing()

    @contextmanager
    def of_this_context(self) -> Iterator[None]:
        """Take what is logged in this context, and in all that is started from it."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class LogFile:
    """The log of a broker in another process: the lines of a file that grows.

    Args:
        path: Says where the file is; None before a broker writes it.
    """

    def __init__(self, path: Callable[[], Path | None]) -> None:
        self._path = path
        self._kept: list[str] = []

    @property
    def path(self) -> Path:
        """Where the broker writes."""
        path = self._path()
        assert path is not None, "a broker is started at a place"
        return path

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return len(self.since(0))

    def since(self, count: int) -> list[str]:
        """Return the lines that came after the first `count`."""
        return (self._kept or self._read())[count:]

    def keep(self) -> None:
        """Keep the lines when the file is about to go; until it is `followed` again."""
        self._kept = self._kept or self._read()

    def follow(self) -> None:
        """Look at the file again."""
        self._kept = []

    def _read(self) -> list[str]:
        path = self._path()
        if path is None or not path.exists():
            return []
        return path.read_text(errors="replace").splitlines()


class _Sorter(logging.Handler):
    """Stands at the logger `pykbroker`, in the way of its records, while brokers for tests run."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0
        self._users_lock = threading.Lock()
        self._before = logging.NOTSET, True

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Sort for one more broker; the last one leaves the logger as the first one found it."""
        logger = logging.getLogger(PACKAGE)
        with self._users_lock:
            self._users += 1
            if self._users == 1:
                self._before = logger.level, logger.propagate
                logger.addHandler(self)
                logger.setLevel(LEVEL)
                logger.propagate = False
        try:
            yield
        finally:
            with self._users_lock:
                self._users -= 1
                if self._users == 0:
                    logger.removeHandler(self)
                    logger.propagate = self._before[1]
                    if logger.level == LEVEL:  # else somebody has chosen another one meanwhile
                        logger.setLevel(self._before[0])

    def emit(self, record: logging.LogRecord) -> None:
        """Give the record to the broker that it is of, or to whom it would have gone."""
        broker_log = _current.get()
        if broker_log is not None:
            broker_log.add(record)
        elif self._before[1] and record.levelno >= self._level_of(record.name):
            logging.getLogger().callHandlers(record)

    def _level_of(self, name: str) -> int:
        """The level that a logger would have without this."""
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            is_ours = logger.name == PACKAGE and logger.level == LEVEL
            level = self._before[0] if is_ours else logger.level
            if level != logging.NOTSET:
                return level
            logger = logger.parent
        return logging.NOTSET


_sorter: Final = _Sorter()
