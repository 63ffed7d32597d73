"""Seed files: JSON Lines, or YAML by the end of their name."""

from pathlib import Path
from typing import Final

from pykbroker.seeding.lines import Seed, SeedError, parse

YAML_SUFFIXES: Final = frozenset((".yaml", ".yml"))


def read_seed(path: Path) -> Seed:
    """Read a file.

    Raises:
        SeedError: It cannot be read, or is not as it should be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SeedError(reason or str(error)) from error
    if path.suffix.lower() not in YAML_SUFFIXES:
        return parse(text)
    try:
        from pykbroker.seeding.yaml_file import parse_yaml
    except ImportError as error:
        raise SeedError(f"YAML needs a library ({error}): pip install 'pykbroker[yaml]'") from error
    return parse_yaml(text)
