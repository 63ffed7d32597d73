"""What a consumer group's record remembers of the topics that its epoch was made for (KIP-1101).

A topic's hash covers its id, name, partitions, and the racks of their replicas; a group's hash
covers those of its topics. When the hash that is computed anew differs, the group gets a new epoch.
It equals Kafka's, so that a group that moves with its data directory keeps its epoch.

XXH3 with 64 bits and seed 0, of these bytes (little-endian; a string is its UTF-16 code units and
then their number as an int32):

    topic      int8 0, int64 and int64 of the id, string name, int32 partitions, and then
               for each partition: int32 its number, and for each rack, sorted:
               int32 the length of the rack, string rack
    group      for each topic, sorted by name: int64 its hash

The result is signed. A group without topics has 0, and topics that do not exist do not count.
Source: Kafka's Utils.computeTopicHash and computeGroupHash.
"""

import struct
from collections.abc import Iterable, Sequence

from pykbroker.coordinator.group.topics_view import TopicsView

_TOPIC_HASH_VERSION = 0


def metadata_hash(names: Iterable[str], topics: TopicsView) -> int:
    """The hash of those of the named topics that exist."""
    known = sorted(name for name in set(names) if name in topics.topics)
    if not known:
        return 0
    return _xxh3(struct.pack(f"<{len(known)}q", *(_topic_hash(name, topics) for name in known)))


def _topic_hash(name: str, topics: TopicsView) -> int:
    topic = topics.topics[name]
    high, low = struct.unpack(">qq", topic.topic_id)
    parts = [
        struct.pack("<bqq", _TOPIC_HASH_VERSION, high, low),
        _string(name),
        struct.pack("<i", len(topic.partitions)),
    ]
    if all(broker.rack is None for broker in topics.brokers.values()):
        count = len(topic.partitions)
        parts.append(struct.pack(f"<{count}i", *range(count)))
        return _xxh3(b"".join(parts))
    for number, partition in enumerate(topic.partitions):
        parts.append(struct.pack("<i", number))
        for rack in _racks(partition.replicas, topics):
            parts += [struct.pack("<i", _java_length(rack)), _string(rack)]
    return _xxh3(b"".join(parts))


def _racks(replicas: Sequence[int], topics: TopicsView) -> list[str]:
    brokers = [topics.brokers[node_id] for node_id in replicas if node_id in topics.brokers]
    return sorted(broker.rack for broker in brokers if broker.rack is not None)


def _string(text: str) -> bytes:
    return text.encode("utf-16-le") + struct.pack("<i", _java_length(text))


def _java_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _xxh3(data: bytes) -> int:
    # Loaded only once there is a consumer group.
    import xxhash

    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)
