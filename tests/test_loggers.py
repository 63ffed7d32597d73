import logging
from collections.abc import Iterator

import pytest

from pykbroker import loggers

NAME = "pykbroker.test_loggers"


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """A logger of the package, and the levels as they were afterwards."""
    root_level = logging.getLogger().level
    logger = logging.getLogger(NAME)
    yield logger
    logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(root_level)


def test_the_loggers_of_the_package_and_root_are_listed_with_their_effective_levels() -> None:
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("pykbrokerish")

    found = loggers.levels()

    assert found["root"] == "WARN"
    assert found[NAME] == "WARN"
    assert "pykbrokerish" not in found
    assert "asyncio" not in found


@pytest.mark.parametrize("level", loggers.LEVELS)
def test_a_level_that_was_set_is_the_level_shown(level: str, logger: logging.Logger) -> None:
    loggers.set_level(NAME, level)

    assert logger.level == loggers.LEVELS[level]
    assert loggers.levels()[NAME] == level


def test_a_level_between_kafkas_shows_as_the_next_quieter_one(logger: logging.Logger) -> None:
    logger.setLevel(25)
    assert loggers.levels()[NAME] == "WARN"
    logger.setLevel(60)
    assert loggers.levels()[NAME] == "FATAL"


def test_a_cleared_level_comes_from_the_parent_again(logger: logging.Logger) -> None:
    loggers.set_level(NAME, "DEBUG")
    loggers.clear_level(NAME)

    assert logger.level == logging.NOTSET


def test_the_root_logger_keeps_its_level_when_it_is_cleared() -> None:
    loggers.set_level("root", "ERROR")
    loggers.clear_level("root")

    assert loggers.levels()["root"] == "ERROR"


def test_a_logger_that_does_not_exist_is_not_made() -> None:
    assert not loggers.exists("pykbroker.no.such.logger")
    assert not loggers.exists("asyncio")
    with pytest.raises(loggers.UnknownLoggerError):
        loggers.set_level("pykbroker.no.such.logger", "INFO")
    assert "pykbroker.no.such.logger" not in logging.root.manager.loggerDict
