"""What holds for every line of every table of settings."""

from collections.abc import Sequence

from pykbroker.config.keys import ConfigKey, parse_value


def check_table(keys: Sequence[ConfigKey]) -> None:
    """Check a table's names, defaults and descriptions."""
    names = [key.name for key in keys]
    assert len(set(names)) == len(names)
    for key in keys:
        assert key.name == key.name.strip().lower(), key.name
        assert key.doc.endswith("."), key.name
        assert len(key.doc) > 15, key.name
        for default in (key.default, key.kafka_default):
            if default is not None:
                parse_value(key, default)


def facts(keys: Sequence[ConfigKey], name: str) -> tuple[str, str | None, str | None, str]:
    """Return type, default, allowed values and update mode of one setting."""
    (key,) = [key for key in keys if key.name == name]
    allowed = None if key.validator is None else key.validator.allowed
    return key.type.name, key.default, allowed, key.mode.value
