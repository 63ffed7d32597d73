"""Settings of one consumer, share or streams group (KIP-1043)."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import SHARE_OFFSET_RESET, at_least, one_of

BOOLEAN = ConfigType.BOOLEAN
INT = ConfigType.INT
STRING = ConfigType.STRING

# fmt: off
GROUP_KEYS = (
    key("consumer.session.timeout.ms", INT, "45000", at_least(1),
        "Session timeout of members of this consumer group."),
    key("consumer.heartbeat.interval.ms", INT, "5000", at_least(1),
        "Heartbeat interval of members of this consumer group."),
    key("consumer.assignment.interval.ms", INT, "1000", at_least(0),
        "Least time between two assignments of this consumer group."),
    key("share.session.timeout.ms", INT, "45000", at_least(1),
        "Session timeout of members of this share group."),
    key("share.heartbeat.interval.ms", INT, "5000", at_least(1),
        "Heartbeat interval of members of this share group."),
    key("share.record.lock.duration.ms", INT, "30000", at_least(1000),
        "How long a member of this share group holds a record."),
    key("share.delivery.count.limit", INT, "5", at_least(2),
        "How often a record is delivered to this share group at most."),
    key("share.partition.max.record.locks", INT, "2000", at_least(100),
        "How many records of one partition this share group may hold at once."),
    key("share.auto.offset.reset", STRING, "latest", SHARE_OFFSET_RESET,
        "Where this share group begins to read: latest, earliest, or by_duration: and an ISO "
        "8601 duration before now."),
    key("share.isolation.level", STRING, "read_uncommitted",
        one_of("read_committed", "read_uncommitted"),
        "Whether this share group sees records of transactions that are not committed."),
    key("share.renew.acknowledge.enable", BOOLEAN, "true", None,
        "Whether members of this share group may prolong their hold on a record."),
    key("share.assignment.interval.ms", INT, "1000", at_least(0),
        "Least time between two assignments of this share group."),
    key("streams.session.timeout.ms", INT, "45000", at_least(1),
        "Session timeout of members of this streams group."),
    key("streams.heartbeat.interval.ms", INT, "5000", at_least(1),
        "Heartbeat interval of members of this streams group."),
    key("streams.num.standby.replicas", INT, "0", at_least(0),
        "Standby copies of each task of this streams group."),
    key("streams.initial.rebalance.delay.ms", INT, "3000", at_least(0),
        "How long the first rebalance of this streams group waits for more members."),
    key("streams.assignment.interval.ms", INT, "1000", at_least(0),
        "Least time between two assignments of this streams group."),
)
# fmt: on
