"""Topic settings, in the order of Kafka's `LogConfig`."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import (
    CLEANUP_POLICIES,
    COMPRESSION_TYPES,
    GZIP_LEVELS,
    THROTTLED_REPLICAS,
    TIMESTAMP_TYPES,
    at_least,
    between,
)

BOOLEAN = ConfigType.BOOLEAN
DOUBLE = ConfigType.DOUBLE
INT = ConfigType.INT
LIST = ConfigType.LIST
LONG = ConfigType.LONG
STRING = ConfigType.STRING

# fmt: off
TOPIC_KEYS = (
    key("segment.bytes", INT, "1073741824", at_least(1048576),
        "Size in bytes at which a segment is closed and the next one begins.", effect=True),
    key("segment.ms", LONG, "604800000", at_least(1),
        "Age at which a segment is closed even if it is small, so that it can be deleted or "
        "compacted.", effect=True),
    key("segment.jitter.ms", LONG, "0", at_least(0),
        "Random time up to which a segment is closed earlier, so that not all close together.",
        effect=True),
    key("segment.index.bytes", INT, "10485760", at_least(4),
        "Size of a segment's offset index; a full index closes the segment.", effect=True),
    key("flush.messages", LONG, "9223372036854775807", at_least(1),
        "Number of records after which the log is flushed to disk.", effect=True),
    key("flush.ms", LONG, "9223372036854775807", at_least(0),
        "Time after which the log is flushed to disk.", effect=True),
    key("retention.bytes", LONG, "-1", None,
        "Bytes kept of each partition before old segments are deleted; -1 is no limit.",
        effect=True),
    key("retention.ms", LONG, "604800000", at_least(-1),
        "How long records are kept before their segments are deleted; -1 is for ever.",
        effect=True),
    key("max.message.bytes", INT, "1048588", at_least(0),
        "Largest record batch, after compression, that is accepted.", effect=True),
    key("index.interval.bytes", INT, "4096", at_least(0),
        "Bytes of the log between two entries of its offset index.", effect=True),
    key("delete.retention.ms", LONG, "86400000", at_least(0),
        "How long tombstones are kept after compaction, for consumers that read from the "
        "start.", effect=True),
    key("min.compaction.lag.ms", LONG, "0", at_least(0),
        "How long a record stays uncompacted at least.", effect=True),
    key("max.compaction.lag.ms", LONG, "9223372036854775807", at_least(1),
        "How long a record stays uncompacted at most.", effect=True),
    key("file.delete.delay.ms", LONG, "60000", at_least(0),
        "Pause between dropping a segment and removing its files.", effect=True),
    key("min.cleanable.dirty.ratio", DOUBLE, "0.5", between(0, 1),
        "Share of uncompacted bytes from which the log is compacted.", effect=True),
    key("cleanup.policy", LIST, "delete", CLEANUP_POLICIES,
        "What happens to old records: delete after a time or size, compact to the last one of "
        "each key, or both.", effect=True),
    key("unclean.leader.election.enable", BOOLEAN, "false", None,
        "Whether a replica that is not in sync may lead, at the cost of lost records."),
    key("min.insync.replicas", INT, "1", at_least(1),
        "In-sync replicas that a write with acks=all needs.", effect=True),
    key("compression.type", STRING, "producer", COMPRESSION_TYPES,
        "Codec of stored batches; producer keeps what the producer chose.", effect=True),
    key("compression.gzip.level", INT, "-1", GZIP_LEVELS,
        "Level of gzip compression; -1 is the codec's own default.", effect=True),
    key("compression.lz4.level", INT, "9", between(1, 17),
        "Level of lz4 compression.", effect=True),
    key("compression.zstd.level", INT, "3", between(-131072, 22),
        "Level of zstd compression.", effect=True),
    key("preallocate", BOOLEAN, "false", None,
        "Whether a new segment's file gets its full size at once."),
    key("message.timestamp.type", STRING, "CreateTime", TIMESTAMP_TYPES,
        "What a record's timestamp is: the producer's time or the time of the append.",
        effect=True),
    key("message.timestamp.before.max.ms", LONG, "9223372036854775807", at_least(0),
        "How far a producer's timestamp may lie before the broker's time.", effect=True),
    key("message.timestamp.after.max.ms", LONG, "3600000", at_least(0),
        "How far a producer's timestamp may lie after the broker's time.", effect=True),
    key("leader.replication.throttled.replicas", LIST, "", THROTTLED_REPLICAS,
        "Replicas whose replication is throttled at the leader, as partition:broker, or * for "
        "all."),
    key("follower.replication.throttled.replicas", LIST, "", THROTTLED_REPLICAS,
        "Replicas whose replication is throttled at the follower, as partition:broker, or * "
        "for all."),
    key("remote.storage.enable", BOOLEAN, "false", None,
        "Whether segments are moved to remote storage."),
    key("local.retention.ms", LONG, "-2", at_least(-2),
        "How long segments stay on local disk once copied; -2 takes the value of "
        "retention.ms."),
    key("local.retention.bytes", LONG, "-2", at_least(-2),
        "Bytes kept on local disk once copied; -2 takes the value of retention.bytes."),
    key("remote.log.copy.disable", BOOLEAN, "false", None,
        "Whether segments stop being copied while what is in remote storage stays readable."),
    key("remote.log.delete.on.disable", BOOLEAN, "false", None,
        "Whether remote segments are deleted when remote storage is disabled for the topic."),
    key("internal.segment.bytes", INT, None, None,
        "Segment size without the lower limit of segment.bytes, for tests.",
        effect=True, internal=True),
)
# fmt: on
