"""The levels of the broker's own loggers, in Kafka's words.

DescribeConfigs and IncrementalAlterConfigs of a BROKER_LOGGER resource (KIP-412) see Python's
loggers through this module: `root`, and every logger of this package that exists. Kafka's levels
are those of log4j; TRACE is below Python's lowest level, FATAL is Python's CRITICAL. A change lasts
until the process ends, as in Kafka.
"""

import logging
from typing import Final

ROOT_LOGGER: Final = "root"
PACKAGE: Final = "pykbroker"

LEVELS: Final = {
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}


class UnknownLoggerError(Exception):
    """There is no logger of that name."""


def levels() -> dict[str, str]:
    """Return the effective level of every logger, by name."""
    found = {ROOT_LOGGER: _name_of(logging.getLogger().getEffectiveLevel())}
    for name in sorted(logging.root.manager.loggerDict):
        if _is_ours(name):
            found[name] = _name_of(logging.getLogger(name).getEffectiveLevel())
    return found


def exists(name: str) -> bool:
    """Say whether there is a logger of that name."""
    return name == ROOT_LOGGER or (_is_ours(name) and name in logging.root.manager.loggerDict)


def set_level(name: str, level: str) -> None:
    """Set a logger's level to one of `LEVELS`.

    Raises:
        UnknownLoggerError: No such logger.
        KeyError: No such level.
    """
    _get(name).setLevel(LEVELS[level])


def clear_level(name: str) -> None:
    """Let a logger take its level from its parent again; the root logger keeps its own.

    Raises:
        UnknownLoggerError: No such logger.
    """
    logger = _get(name)
    if name != ROOT_LOGGER:
        logger.setLevel(logging.NOTSET)


def _get(name: str) -> logging.Logger:
    if not exists(name):
        raise UnknownLoggerError(name)
    return logging.getLogger(None if name == ROOT_LOGGER else name)


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _name_of(number: int) -> str:
    """Return the most talkative of Kafka's levels that a numeric level lets through."""
    return next((name for name, level in LEVELS.items() if number <= level), "FATAL")
