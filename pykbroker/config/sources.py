"""What every setting of a resource is now, and where its value comes from: DescribeConfigs.

A value comes from the first of these sources that has it: the resource's own dynamic setting, a
broker's dynamic one, the dynamic one for all brokers, the static one from the broker's file, the
default. `synonyms` lists all of them, the one that counts first; a topic's setting goes on with
those of its broker synonym. Pure. Source: Kafka 4.3's `ConfigHelper` and `KafkaConfig`, asked
in practice too: a setting that has no value of its own lists no synonyms, even where a stand-in
(log.roll.hours for segment.ms) is what counts.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from pykbroker.config.broker_keys import (
    BROKER_KEYS,
    DYNAMIC_ONLY_KEYS,
    find_broker_key,
)
from pykbroker.config.client_metrics_keys import CLIENT_METRICS_KEYS
from pykbroker.config.group_keys import GROUP_KEYS
from pykbroker.config.keys import ConfigKey, UpdateMode
from pykbroker.config.synonyms import (
    GROUP_SYNONYMS,
    TOPIC_SYNONYMS,
    UNIT_MS,
    broker_synonyms,
    merge_settings,
)
from pykbroker.config.topic import TOPIC_KEYS

UNKNOWN_TYPE = 0


class ConfigSource(IntEnum):
    """Where a value comes from; Kafka's numbers."""

    TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5
    DYNAMIC_BROKER_LOGGER_CONFIG = 6
    CLIENT_METRICS_CONFIG = 7
    GROUP_CONFIG = 8


class Synonym(NamedTuple):
    """One candidate for a value; `value` is None where it may not be shown."""

    name: str
    value: str | None
    source: ConfigSource


class DescribedConfig(NamedTuple):
    """One setting as DescribeConfigs shows it; `config_type` is a `ConfigType` or 0."""

    name: str
    value: str | None
    source: ConfigSource
    config_type: int
    is_read_only: bool
    is_sensitive: bool
    synonyms: tuple[Synonym, ...]
    documentation: str | None


class BrokerLayers(NamedTuple):
    """The explicit settings of a broker, by where they were given."""

    static: Mapping[str, str]
    dynamic_default: Mapping[str, str]
    dynamic_own: Mapping[str, str]

    def candidates(self, name: str) -> tuple[Synonym, ...]:
        """Return what may give a broker setting its value, the one that counts first."""
        names = broker_synonyms(name)
        found = [
            Synonym(candidate, _shown(candidate, text), source)
            for source, candidate, text in self._candidates(names)
        ]
        # Stand-ins alone are not shown: the setting itself then has no value.
        while found and found[0].name != name:
            del found[0]
        return tuple(found)

    def source(self, name: str) -> ConfigSource:
        """Say where the value of a broker setting comes from, whichever of its names was used."""
        found = self._candidates(broker_synonyms(name))
        return next((source for source, _, _ in found), ConfigSource.DEFAULT_CONFIG)

    def _candidates(self, names: tuple[str, ...]) -> Iterator[tuple[ConfigSource, str, str]]:
        defaults = {name: BROKER_KEYS[name].default for name in names if name in BROKER_KEYS}
        for source, layer in (
            (ConfigSource.DYNAMIC_BROKER_CONFIG, self.dynamic_own),
            (ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, self.dynamic_default),
            (ConfigSource.STATIC_BROKER_CONFIG, self.static),
            (ConfigSource.DEFAULT_CONFIG, defaults),
        ):
            for name in names:
                text = layer.get(name)
                if text is not None:
                    yield source, name, text


def describe_broker(layers: BrokerLayers) -> list[DescribedConfig]:
    """Describe all settings of one broker, sorted by name.

    A setting that nothing here knows was meant for a plug-in: it is shown without its value, as it
    may be a secret.
    """
    layers = _with_broker_id(layers)
    merged = merge_settings([layers.static, layers.dynamic_default, layers.dynamic_own])
    names = {key.name for key in BROKER_KEYS.values() if not key.is_internal}
    return [
        _broker_entry(name, merged.get(name), layers.candidates(name))
        for name in sorted(names | merged.keys())
    ]


def describe_broker_default(dynamic_default: Mapping[str, str]) -> list[DescribedConfig]:
    """Describe the dynamic settings of all brokers (resource name ""): only those that are set."""
    source = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
    return [
        _broker_entry(name, text, (Synonym(name, _shown(name, text), source),))
        for name, text in sorted(dynamic_default.items())
    ]


def describe_topic(overrides: Mapping[str, str], layers: BrokerLayers) -> list[DescribedConfig]:
    """Describe all settings of one topic, sorted by name."""
    merged = merge_settings([layers.static, layers.dynamic_default, layers.dynamic_own])
    return [
        _topic_entry(key, overrides.get(name), layers, merged)
        for name, key in sorted(TOPIC_KEYS.items())
        if not key.is_internal or name in overrides
    ]


def describe_created_topic(
    overrides: Mapping[str, str], layers: BrokerLayers
) -> list[DescribedConfig]:
    """Describe all settings of a topic as CreateTopics does.

    A value that a broker has by a stand-in alone, as by `log.retention.hours`, is the broker's
    here; in DescribeConfigs, as in Kafka, it is called a default.
    """
    return [
        config
        if config.name in overrides or config.name not in TOPIC_SYNONYMS
        else config._replace(source=layers.source(TOPIC_SYNONYMS[config.name]))
        for config in describe_topic(overrides, layers)
    ]


def describe_group(overrides: Mapping[str, str], layers: BrokerLayers) -> list[DescribedConfig]:
    """Describe all settings of one group, sorted by name."""
    described = []
    for key in sorted(GROUP_KEYS):
        synonyms = _own(key.name, overrides, ConfigSource.GROUP_CONFIG)
        if key.name in GROUP_SYNONYMS:
            synonyms += layers.candidates(GROUP_SYNONYMS[key.name])
        else:
            synonyms += (Synonym(key.name, key.default, ConfigSource.DEFAULT_CONFIG),)
        described.append(_entry(key, synonyms[0].value, synonyms))
    return described


def describe_client_metrics(overrides: Mapping[str, str]) -> list[DescribedConfig]:
    """Describe all settings of one client metrics subscription, sorted by name."""
    return [
        _entry(
            key,
            overrides.get(key.name, key.default),
            _own(key.name, overrides, ConfigSource.CLIENT_METRICS_CONFIG),
        )
        for key in sorted(CLIENT_METRICS_KEYS)
    ]


def _own(name: str, overrides: Mapping[str, str], source: ConfigSource) -> tuple[Synonym, ...]:
    return (Synonym(name, overrides[name], source),) if name in overrides else ()


def _topic_entry(
    key: ConfigKey, override: str | None, layers: BrokerLayers, merged: Mapping[str, str]
) -> DescribedConfig:
    broker_name = TOPIC_SYNONYMS.get(key.name)
    synonyms: tuple[Synonym, ...] = ()
    if broker_name is not None:
        synonyms = layers.candidates(broker_name)
    if override is not None:
        synonyms = (Synonym(key.name, override, ConfigSource.TOPIC_CONFIG), *synonyms)
        return _entry(key, override, synonyms)
    value = key.default
    for name in broker_synonyms(broker_name) if broker_name is not None else ():
        if name in merged:
            value = _in_ms(name, merged[name])
            break
    return _entry(key, value, synonyms)


def _in_ms(name: str, text: str) -> str:
    """Return a broker's value in the unit of the topic's setting."""
    if name not in UNIT_MS:
        return text
    number = int(text)
    return str(number * UNIT_MS[name] if number >= 0 else -1)


def _broker_entry(name: str, text: str | None, synonyms: tuple[Synonym, ...]) -> DescribedConfig:
    key = find_broker_key(name) or DYNAMIC_ONLY_KEYS.get(name)
    source = synonyms[0].source if synonyms else ConfigSource.DEFAULT_CONFIG
    if key is None:
        return DescribedConfig(name, None, source, UNKNOWN_TYPE, True, True, synonyms, None)
    value = key.default if text is None else text
    return DescribedConfig(
        name,
        None if key.is_sensitive else value,
        source,
        key.type,
        key.mode is UpdateMode.READ_ONLY,
        key.is_sensitive,
        synonyms,
        key.doc,
    )


def _entry(key: ConfigKey, value: str | None, synonyms: tuple[Synonym, ...]) -> DescribedConfig:
    source = synonyms[0].source if synonyms else ConfigSource.DEFAULT_CONFIG
    return DescribedConfig(
        key.name, value, source, key.type, False, key.is_sensitive, synonyms, key.doc
    )


def _shown(name: str, text: str) -> str | None:
    """Return a value if it may be shown."""
    key = find_broker_key(name) or DYNAMIC_ONLY_KEYS.get(name)
    return None if key is None or key.is_sensitive else text


def _with_broker_id(layers: BrokerLayers) -> BrokerLayers:
    """Show the broker's id under both of its names, and as given: in Kafka it has to be."""
    static = layers.static
    given = static.get("node.id", static.get("broker.id"))
    if given is None or int(given) < 0:
        given = BROKER_KEYS["node.id"].default
    assert given is not None
    static = {**static, "node.id": given, "broker.id": given}
    return BrokerLayers(static, layers.dynamic_default, layers.dynamic_own)
