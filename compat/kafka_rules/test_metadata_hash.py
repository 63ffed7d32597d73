"""A consumer group's metadata hash is what Apache Kafka would compute for the same topics."""

from random import Random

from compat.kafka_rules.asking import kafka_says
from pykbroker.coordinator.group.metadata_hash import metadata_hash
from tests.coordinator.group.test_metadata_hash import Broker, Partition, Topic, Topics

GROUPS = 100
LETTERS = "abc.-_Z09"


def random_topics(random: Random) -> Topics:
    racks = [random.choice([None, "", "r1", "eu-west-1a", "zürich", "𝄞"]) for _ in range(4)]
    topics = {}
    for _ in range(random.randint(1, 30)):
        name = "".join(random.choices(LETTERS, k=random.randint(1, 40)))
        partitions = [
            Partition(random.sample(range(5), random.randint(1, 4)))
            for _ in range(random.choice([1, 2, 10, 200]))
        ]
        topics[name] = Topic(name, random.randbytes(16), partitions)
    return Topics(topics, {node_id: Broker(rack) for node_id, rack in enumerate(racks)})


def test_hashes_of_groups() -> None:
    seen = [random_topics(Random(seed)) for seed in range(GROUPS)]
    hashes = iter(
        kafka_says(
            {
                "ask": "topic_hash",
                "name": topic.name,
                "id": topic.topic_id.hex(),
                "racks": [
                    [
                        rack
                        for node_id in partition.replicas
                        if node_id in topics.brokers
                        and (rack := topics.brokers[node_id].rack) is not None
                    ]
                    for partition in topic.partitions
                ],
            }
            for topics in seen
            for topic in topics.topics.values()
        )
    )
    theirs = kafka_says(
        {"ask": "group_hash", "topics": {name: next(hashes) for name in topics.topics}}
        for topics in seen
    )
    assert [metadata_hash(topics.topics, topics) for topics in seen] == theirs
