"""Settings that only this broker has; their names start with `pykbroker.`."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import CLUSTER_ID, at_least, between, one_of

# fmt: off
OWN_KEYS = (
    key("pykbroker.busy.poll.us", ConfigType.INT, "200", between(0, 100_000),
        "How many microseconds to stay awake for the next request where small requests come one "
        "after the other, so that none waits for the broker to be woken. Takes a processor while "
        "they come; 0 is never.",
        effect=True),
    key("pykbroker.cluster.id", ConfigType.STRING, "", CLUSTER_ID,
        "The cluster that the data belongs to: a new data directory gets this id, data of another "
        "cluster is refused. Empty: a new one gets a random id, any other keeps its own.",
        effect=True),
    key("pykbroker.fsync", ConfigType.STRING, "always", one_of("always", "never"),
        "always: acks=all and metadata changes are answered after an fsync. never: they are "
        "answered from the page cache, which survives the process but not the machine; for tests.",
        effect=True),
    key("pykbroker.queued.max.response.bytes", ConfigType.LONG, "268435456", at_least(0),
        "How many bytes of answers may wait for clients that are slow to read; above it a fetch "
        "is answered with 64 KiB at most, or one batch.",
        effect=True),
    key("pykbroker.replication.factor.cap", ConfigType.BOOLEAN, "false", None,
        "Whether a replication factor above the number of live brokers is lowered to that number "
        "instead of being refused, for applications that were written for a cluster.",
        effect=True),
)
# fmt: on
