import json
import logging
import sys
from collections.abc import Iterator

import pytest

from pykbroker.commands.logging_setup import JsonFormatter, TextFormatter, configure_logging


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def a_log_record(message: str, *arguments: object, failed: bool = False) -> logging.LogRecord:
    error = None
    if failed:
        try:
            raise ValueError("broken")
        except ValueError:
            error = sys.exc_info()
    record = logging.LogRecord("pykbroker.x", logging.INFO, "x.py", 1, message, arguments, error)
    record.created, record.msecs = 1_700_000_000.25, 250
    return record


def test_text_lines_hold_the_time_in_utc_the_level_and_the_logger() -> None:
    line = TextFormatter().format(a_log_record("started port=%d", 9092))

    assert line == "2023-11-14T22:13:20.250Z INFO pykbroker.x started port=9092"


def test_json_lines_hold_the_same_facts() -> None:
    line = JsonFormatter().format(a_log_record("started name=%s", "ü"))

    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "pykbroker.x",
        "message": "started name=ü",
    }


def test_json_lines_hold_the_traceback_in_one_line() -> None:
    line = JsonFormatter().format(a_log_record("failed", failed=True))

    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]


@pytest.mark.parametrize(
    ("log_format", "formatter"), [("text", TextFormatter), ("json", JsonFormatter)]
)
def test_logs_are_sent_to_standard_error_alone(
    root_logger: logging.Logger, log_format: str, formatter: type[logging.Formatter]
) -> None:
    configure_logging("warning", log_format)

    (handler,) = root_logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    assert type(handler.formatter) is formatter
    assert root_logger.level == logging.WARNING
