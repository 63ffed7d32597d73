"""Seeds of simulations: which are played, and how one that failed is played again.

PYKBROKER_SEED=n plays one seed, PYKBROKER_SEEDS=n plays that many, PYKBROKER_SEEDS=n-m plays those
from n to m, which is not one of them.
"""

from __future__ import annotations

import gc
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
    first, _, end = os.environ.get("PYKBROKER_SEEDS", str(few)).rpartition("-")
    return list(range(int(first or 0), int(end)))


@contextmanager
def replayable(seed: int, test_file: str) -> Iterator[None]:
    """Have a failure say by which command it can be seen again.

    Garbage is not looked for meanwhile: a seed leaves little of it, and that takes a tenth longer.
    """
    gc.disable()
    try:
        yield
    except BaseException as error:
        path = Path(test_file).relative_to(ROOT)
        error.add_note(f"play it again: PYKBROKER_SEED={seed} python -m pytest {path}")
        raise
    finally:
        gc.enable()
