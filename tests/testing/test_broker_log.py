import logging
import threading
from pathlib import Path

import pytest

from pykbroker.testing.broker_log import MAX_LINES, BrokerLog, LogFile

LOGGER = logging.getLogger("pykbroker.some.module")


def test_a_brokers_lines_go_to_its_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    first, second = BrokerLog(), BrokerLog()

    with first.collecting(), first.of_this_context():
        LOGGER.info("one number=%d", 1)
        with second.collecting(), second.of_this_context():
            LOGGER.error("two")
        LOGGER.debug("too small")

    (line,) = first.since(0)
    assert line.endswith("Z INFO pykbroker.some.module one number=1")
    assert [line.rpartition(" ")[2] for line in second.since(0)] == ["two"]
    assert caplog.text == ""


def test_what_is_no_brokers_goes_where_it_went(caplog: pytest.LogCaptureFixture) -> None:
    log = BrokerLog()
    with log.collecting():
        LOGGER.info("hidden")
        LOGGER.warning("shown")
        with caplog.at_level(logging.INFO):
            LOGGER.info("asked for at the root")
        with caplog.at_level(logging.DEBUG, logger="pykbroker"):
            LOGGER.debug("asked for at ours")

    assert caplog.messages == ["shown", "asked for at the root", "asked for at ours"]
    assert log.since(0) == []


def test_the_logger_is_left_as_it_was_found() -> None:
    logger = logging.getLogger("pykbroker")
    before = logger.level, logger.propagate, list(logger.handlers)

    with BrokerLog().collecting(), BrokerLog().collecting():
        assert not logger.propagate

    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_a_level_that_was_chosen_meanwhile_stays() -> None:
    logger = logging.getLogger("pykbroker")
    before = logger.level
    try:
        with BrokerLog().collecting():
            logger.setLevel(logging.ERROR)
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)


def test_only_the_last_lines_are_kept_and_all_are_counted() -> None:
    log = BrokerLog()
    for number in range(MAX_LINES + 5):
        log.append(str(number))

    assert log.count == MAX_LINES + 5
    assert len(log.since(0)) == MAX_LINES
    assert log.since(log.count - 2) == [str(MAX_LINES + 3), str(MAX_LINES + 4)]
    assert log.since(log.count) == []


def test_a_thread_that_belongs_to_nobody_is_nobodys() -> None:
    log = BrokerLog()
    with log.collecting(), log.of_this_context():
        thread = threading.Thread(target=LOGGER.info, args=("from elsewhere",))
        thread.start()
        thread.join()

    assert log.since(0) == []


def test_a_file_that_grows_is_a_log(tmp_path: Path) -> None:
    log = LogFile(lambda: tmp_path / "log")
    assert (log.count, log.since(0)) == (0, [])

    log.path.write_bytes(b"one\ntwo \xff\n")

    assert log.count == 2
    assert log.since(1) == ["two \N{REPLACEMENT CHARACTER}"]
