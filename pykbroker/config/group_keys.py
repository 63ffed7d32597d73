"""Settings of one consumer, share or streams group (KIP-1043)."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import SHARE_OFFSET_RESET, at_least, one_of

BOOLEAN = ConfigType.BOOLEAN
INT = ConfigType.INT
STRING = ConfigType.STRING

# fmt: off
GROUP_KEYS = (
    key("consumer.session.timeout.ms", INT, "45000", at_least(1),
        ""),
    key("consumer.heartbeat.interval.ms", INT, "5000", at_least(1),
        ""),
    key("consumer.assignment.interval.ms", INT, "1000", at_least(0),
        ""),
    key("share.session.timeout.ms", INT, "45000", at_least(1),
        ""),
    key("share.heartbeat.interval.ms", INT, "5000", at_least(1),
        ""),
    key("share.record.lock.duration.ms", INT, "30000", at_least(1000),
        ""),
    key("share.delivery.count.limit", INT, "5", at_least(2),
        ""),
    key("share.partition.max.record.locks", INT, "2000", at_least(100),
        ""),
    key("share.auto.offset.reset", STRING, "latest", SHARE_OFFSET_RESET,
        ""),
    key("share.isolation.level", STRING, "read_uncommitted",
        one_of("read_committed", "read_uncommitted"),
        ""),
    key("share.renew.acknowledge.enable", BOOLEAN, "true", None,
        ""),
    key("share.assignment.interval.ms", INT, "1000", at_least(0),
        ""),
    key("streams.session.timeout.ms", INT, "45000", at_least(1),
        ""),
    key("streams.heartbeat.interval.ms", INT, "5000", at_least(1),
        ""),
    key("streams.num.standby.replicas", INT, "0", at_least(0),
        ""),
    key("streams.initial.rebalance.delay.ms", INT, "3000", at_least(0),
        ""),
    key("streams.assignment.interval.ms", INT, "1000", at_least(0),
        ""),
)
# fmt: on
