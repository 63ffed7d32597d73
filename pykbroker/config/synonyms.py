"""Which settings stand in for each other, and in which order they count.

Facts of Kafka 4.3: `ServerTopicConfigSynonyms` (a topic setting falls back to a broker setting),
`DynamicBrokerConfig.brokerConfigSynonyms` (a coarse unit stands in for a fine one), and
`GroupConfig.ALL_GROUP_CONFIG_SYNONYMS`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

# Setting -> itself and its stand-ins, the one that counts most first.
_RETENTION = ("log.retention.ms", "log.retention.minutes", "log.retention.hours")
_ROLL = ("log.roll.ms", "log.roll.hours")
_JITTER = ("log.roll.jitter.ms", "log.roll.jitter.hours")
BROKER_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "log.retention.ms": _RETENTION,
    "log.retention.minutes": _RETENTION,
    "log.retention.hours": _RETENTION,
    "log.roll.ms": _ROLL,
    "log.roll.hours": _ROLL,
    "log.roll.jitter.ms": _JITTER,
    "log.roll.jitter.hours": _JITTER,
    "log.flush.interval.ms": ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
}

# Milliseconds in the unit of the settings that do not count in milliseconds themselves.
UNIT_MS: Final[Mapping[str, int]] = {
    "log.retention.minutes": 60_000,
    "log.retention.hours": 3_600_000,
    "log.roll.hours": 3_600_000,
    "log.roll.jitter.hours": 3_600_000,
}

# Topic setting -> the broker setting that is its default.
TOPIC_SYNONYMS: Final[Mapping[str, str]] = {
    "cleanup.policy": "log.cleanup.policy",
    "compression.gzip.level": "compression.gzip.level",
    "compression.lz4.level": "compression.lz4.level",
    "compression.type": "compression.type",
    "compression.zstd.level": "compression.zstd.level",
    "delete.retention.ms": "log.cleaner.delete.retention.ms",
    "file.delete.delay.ms": "log.segment.delete.delay.ms",
    "flush.messages": "log.flush.interval.messages",
    "flush.ms": "log.flush.interval.ms",
    "index.interval.bytes": "log.index.interval.bytes",
    "local.retention.bytes": "log.local.retention.bytes",
    "local.retention.ms": "log.local.retention.ms",
    "max.compaction.lag.ms": "log.cleaner.max.compaction.lag.ms",
    "max.message.bytes": "message.max.bytes",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.type": "log.message.timestamp.type",
    "min.cleanable.dirty.ratio": "log.cleaner.min.cleanable.ratio",
    "min.compaction.lag.ms": "log.cleaner.min.compaction.lag.ms",
    "min.insync.replicas": "min.insync.replicas",
    "preallocate": "log.preallocate",
    "retention.bytes": "log.retention.bytes",
    "retention.ms": "log.retention.ms",
    "segment.bytes": "log.segment.bytes",
    "segment.index.bytes": "log.index.size.max.bytes",
    "segment.jitter.ms": "log.roll.jitter.ms",
    "segment.ms": "log.roll.ms",
    "unclean.leader.election.enable": "unclean.leader.election.enable",
}

# Group setting -> the broker setting that is its default; the others have none.
GROUP_SYNONYMS: Final[Mapping[str, str]] = {
    "consumer.session.timeout.ms": "group.consumer.session.timeout.ms",
    "consumer.heartbeat.interval.ms": "group.consumer.heartbeat.interval.ms",
    "consumer.assignment.interval.ms": "group.consumer.assignment.interval.ms",
    "share.session.timeout.ms": "group.share.session.timeout.ms",
    "share.heartbeat.interval.ms": "group.share.heartbeat.interval.ms",
    "share.assignment.interval.ms": "group.share.assignment.interval.ms",
    "share.record.lock.duration.ms": "group.share.record.lock.duration.ms",
    "share.delivery.count.limit": "group.share.delivery.count.limit",
    "share.partition.max.record.locks": "group.share.partition.max.record.locks",
    "streams.session.timeout.ms": "group.streams.session.timeout.ms",
    "streams.heartbeat.interval.ms": "group.streams.heartbeat.interval.ms",
    "streams.num.standby.replicas": "group.streams.num.standby.replicas",
    "streams.initial.rebalance.delay.ms": "group.streams.initial.rebalance.delay.ms",
    "streams.assignment.interval.ms": "group.streams.assignment.interval.ms",
}


def broker_synonyms(name: str) -> tuple[str, ...]:
    """Return a broker setting and its stand-ins, the one that counts most first."""
    return BROKER_SYNONYMS.get(name, (name,))


def merge_settings(layers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Lay settings over each other, the last layer on top.

    A setting also hides its synonyms of the layers below: a dynamic `log.retention.ms` wins over
    a static `log.retention.minutes`, and also the other way round.
    """
    merged: dict[str, str] = {}
    for layer in layers:
        for name in layer:
            for synonym in broker_synonyms(name):
                merged.pop(synonym, None)
        merged.update(layer)
    return merged
