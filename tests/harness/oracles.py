"""Other people's implementations of Kafka's formats, to compare ours with."""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType


def kafka_python(module: str) -> ModuleType:
    """A module of kafka-python, whose import uses what Python deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module(f"kafka.{module}")
