"""Logs of `serve`: one line for each event on standard error, as text or as JSON.

Text:  2026-01-31T12:00:00.123Z INFO pykbroker.server topic created topic=t partitions=3
JSON:  {"time": ..., "level": ..., "logger": ..., "message": ...} and "exception" where there is one
"""

import json
import logging
import sys
import time
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")


class TextFormatter(logging.Formatter):
    """Time in UTC, level, logger, message."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")


class JsonFormatter(TextFormatter):
    """The same facts as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def configure_logging(level: str, log_format: str) -> None:
    """Send all logs to standard error, in place of whatever was configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
