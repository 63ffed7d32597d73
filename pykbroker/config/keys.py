"""What one setting is: its name, type, default, allowed values, and how it may change.

The tables (`server_keys`, `log_keys`, `coordinator_keys`, `security_keys`, `topic_keys`,
`group_keys`) carry Kafka 4.3's names, types, defaults and limits; the descriptions are ours. A
value is text, as in a properties file or an AlterConfigs request, until `parse_value` turns it
into a bool, int, float, str or tuple of str. Parsing follows Kafka's `ConfigDef.parseType`.
"""

import re
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

from pykbroker.config.validators import Validator, invalid

Value: TypeAlias = bool | int | float | str | tuple[str, ...] | None


class ConfigError(Exception):
    """A setting that cannot be used; the message names it and says what is allowed."""


class ConfigType(IntEnum):
    """Types of values, with the numbers that DescribeConfigs uses."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class UpdateMode(Enum):
    """Where a broker setting may change while the broker runs; Kafka's names."""

    READ_ONLY = "read-only"
    PER_BROKER = "per-broker"
    CLUSTER_WIDE = "cluster-wide"


class ConfigKey(NamedTuple):
    """The facts of one setting.

    `default` is text, or None where Kafka has no default value (shown as null). `kafka_default`
    differs from it only where we deviate on purpose. `has_effect` is False for a setting that is
    accepted and shown but that nothing here uses yet.
    """

    name: str
    type: ConfigType
    default: str | None
    validator: Validator | None
    doc: str
    mode: UpdateMode
    has_effect: bool
    is_internal: bool
    kafka_default: str | None

    @property
    def is_sensitive(self) -> bool:
        """Say whether the value may never be shown."""
        return self.type is ConfigType.PASSWORD

    @property
    def deviates(self) -> bool:
        """Say whether our default is another one than Kafka's."""
        return self.default != self.kafka_default


def key(
    name: str,
    type: ConfigType,  # noqa: A002 - Kafka's word for it
    default: str | None,
    validator: Validator | None,
    doc: str,
    mode: UpdateMode = UpdateMode.READ_ONLY,
    *,
    effect: bool = False,
    internal: bool = False,
    kafka_default: str | None = "",
) -> ConfigKey:
    """Make one line of a table; `kafka_default` is given only where ours deviates."""
    if kafka_default == "":
        kafka_default = default
    return ConfigKey(name, type, default, validator, doc, mode, effect, internal, kafka_default)


_BITS = {ConfigType.SHORT: 16, ConfigType.INT: 32, ConfigType.LONG: 64}
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"\s*,\s*")


def parse_value(key: ConfigKey, text: str) -> Value:
    """Turn the text of a setting into its value and check it.

    An item that a list repeats counts once.

    Raises:
        ConfigError: The text is not of the type, or the validator refuses the value.
    """
    value = _parse_type(key, text)
    if key.validator is not None:
        refusal = key.validator.refuse(key.name, value)
        if refusal is not None:
            raise ConfigError(refusal)
    return value


def default_value(key: ConfigKey) -> Value:
    """Return the default as a value; defaults are known to be good."""
    return None if key.default is None else _parse_type(key, key.default)


def _parse_type(key: ConfigKey, text: str) -> Value:
    kind = key.type
    stripped = text.strip()
    if kind in _BITS:
        return _parse_integer(key, stripped, _BITS[kind])
    if kind is ConfigType.LIST:
        return tuple(dict.fromkeys(_COMMA.split(stripped))) if stripped else ()
    if kind is ConfigType.BOOLEAN:
        if stripped.lower() in ("true", "false"):
            return stripped.lower() == "true"
        raise _malformed(key, text, "Expected value to be either true or false")
    if kind is ConfigType.DOUBLE:
        if _DOUBLE.fullmatch(stripped):
            return float(stripped)
        raise _malformed(key, text, "Not a number of type DOUBLE")
    return stripped


def _parse_integer(key: ConfigKey, text: str, bits: int) -> int:
    if _INTEGER.fullmatch(text):
        number = int(text)
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return number
    raise _malformed(key, text, f"Not a number of type {key.type.name}")


def _malformed(key: ConfigKey, text: str, reason: str) -> ConfigError:
    return ConfigError(invalid(key.name, text, reason))
