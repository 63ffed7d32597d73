"""Seeds of simulations: which are played, and how one that failed is played again.

PYKBROKER_SEED=n plays one seed, PYKBROKER_SEEDS=n plays that many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def seeds(few: int) -> list[int]:
    """The seeds to play.

    Args:
        few: How many of them where nothing else is asked for.
    """
    if "PYKBROKER_SEED" in os.environ:
        return [int(os.environ["PYKBROKER_SEED"])]
    return list(range(int(os.environ.get("PYKBROKER_SEEDS", few))))


@contextmanager
def replayable(seed: int, test_file: str) -> Iterator[None]:
    """Have a failure say by which command it can be seen again."""
    try:
        yield
    except BaseException as error:
        path = Path(test_file).relative_to(ROOT)
        error.add_note(f"play it again: PYKBROKER_SEED={seed} python -m pytest {path}")
        raise
