"""The settings of one topic as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self

from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.keys import ConfigKey, Value, parse_value
from pykbroker.config.synonyms import TOPIC_SYNONYMS, UNIT_MS, broker_synonyms
from pykbroker.config.topic_keys import TOPIC_KEYS as _TOPIC_TABLE

MAX_LONG = (1 << 63) - 1
TOPIC_KEYS: Mapping[str, ConfigKey] = {key.name: key for key in _TOPIC_TABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicConfig:
    """Typed topic settings; attribute = Kafka's name with `_` for `.`, defaults as in Kafka.

    `internal.segment.bytes` (Kafka's tests use it to get below the minimum of `segment.bytes`)
    has no attribute: where it is set, it is the `segment_bytes`.
    """

    cleanup_policy: frozenset[str] = frozenset({"delete"})
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3
    delete_retention_ms: int = 86_400_000
    file_delete_delay_ms: int = 60_000
    flush_messages: int = MAX_LONG
    flush_ms: int = MAX_LONG
    index_interval_bytes: int = 4096
    max_compaction_lag_ms: int = MAX_LONG
    max_message_bytes: int = 1_048_588
    message_timestamp_after_max_ms: int = 3_600_000
    message_timestamp_before_max_ms: int = MAX_LONG
    message_timestamp_type: str = "CreateTime"
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    min_insync_replicas: int = 1
    preallocate: bool = False
    retention_bytes: int = -1
    retention_ms: int = 604_800_000
    segment_bytes: int = 1_073_741_824
    segment_index_bytes: int = 10_485_760
    segment_jitter_ms: int = 0
    segment_ms: int = 604_800_000
    unclean_leader_election_enable: bool = False

    @property
    def is_compacted(self) -> bool:
        """Say whether only the last record of each key must be kept."""
        return "compact" in self.cleanup_policy

    @property
    def max_segment_ms(self) -> int:
        """How long a segment may take appends (Kafka's `LogConfig.maxSegmentMs`).

        Only closed segments are compacted, so `max.compaction.lag.ms` closes them too.
        """
        if "compact" in self.cleanup_policy:
            return min(self.segment_ms, self.max_compaction_lag_ms)
        return self.segment_ms

    @classmethod
    def from_overrides(
        cls, overrides: Mapping[str, str], broker_settings: Mapping[str, str]
    ) -> Self:
        """Make the settings of a topic.

        Args:
            overrides: The topic's own settings, as text.
            broker_settings: The broker's explicit settings, static and dynamic merged, as text.

        Raises:
            ConfigError: A value is malformed. Unknown names are ignored, as they may come from
                another version.
        """
        values: dict[str, Any] = {}
        for name, attribute in _attributes().items():
            text = overrides.get(name)
            if text is not None:
                values[attribute] = parse_value(TOPIC_KEYS[name], text)
                continue
            value = _broker_value(name, broker_settings)
            if value is not None:
                values[attribute] = value
        internal = overrides.get("internal.segment.bytes")
        if internal is not None:
            values["segment_bytes"] = parse_value(TOPIC_KEYS["internal.segment.bytes"], internal)
        if "cleanup_policy" in values:
            values["cleanup_policy"] = frozenset(values["cleanup_policy"])
        return cls(**values)


@lru_cache(maxsize=1)
def _attributes() -> dict[str, str]:
    return {field.name.replace("_", "."): field.name for field in fields(TopicConfig)}


def _broker_value(topic_setting: str, broker_settings: Mapping[str, str]) -> Value:
    """Return what the broker's explicit settings make of a topic setting; None if nothing."""
    for name in broker_synonyms(TOPIC_SYNONYMS[topic_setting]):
        text = broker_settings.get(name)
        if text is None:
            continue
        value = parse_value(BROKER_KEYS[name], text)
        if name in UNIT_MS and isinstance(value, int):
            # Any negative retention means for ever, which has the one name -1.
            value = value * UNIT_MS[name] if value >= 0 else -1
        return value
    return None
