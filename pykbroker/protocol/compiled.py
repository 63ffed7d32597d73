"""The compiled copy of `record_walk`, if the installation has one.

An installation that found a C compiler has it, see `hatch_build.py`. The copy knows which source it
was made of, and one of another source is not used: whoever edits `record_walk.py` runs what it
says, not what it said when it was compiled.
"""

from collections.abc import Callable
from importlib.util import source_hash
from typing import Final

from pykbroker.protocol import record_walk
from pykbroker.protocol.record_walk import Walked

Walk = Callable[[bytes | bytearray | memoryview, int, int, int], Walked]


def _load() -> tuple[Walk | None, str]:
    """The compiled walk, or None and why."""
    try:
        from pykbroker.protocol import _compiled_record_walk as compiled
    except ImportError:
        return None, "python compiled=missing"
    try:
        with open(record_walk.__file__, "rb") as source:
            is_up_to_date = compiled.SOURCE_HASH == source_hash(source.read())
    except OSError:
        is_up_to_date = False
    return (compiled.walk, "compiled") if is_up_to_date else (None, "python compiled=outdated")


_loaded = _load()
compiled_walk: Final = _loaded[0]
# For the log: what checks records.
RECORDS_CHECKED_BY: Final = _loaded[1]
