"""Waiting for what can only be asked for, with a deadline and a reason."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

INTERVAL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class NotYet:
    """What an attempt found instead of what it looked for: `group g is Empty`."""

    found: str


def wait_for(attempt: Callable[[], T | NotYet], timeout_s: float) -> T:
    """Call `attempt` again and again until it returns what it looks for.

    Raises:
        TimeoutError: With what the last attempt found instead.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        result = attempt()
        if not isinstance(result, NotYet):
            return result
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{result.found} after {timeout_s} s")
        time.sleep(INTERVAL_S)
