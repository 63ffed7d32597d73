"""Apache Kafka serves what we wrote, once it knows the topics."""

import shutil

from compat.log_files import clients, traffic
from compat.log_files.conftest import DataCopy, KafkaWritings
from compat.processes import eventually
from compat.targets import KafkaTarget
from pykbroker.client import Connection


def test_kafka_serves_our_partitions(
    kafka_writings: KafkaWritings, our_data: dict[str, DataCopy]
) -> None:
    sources = {
        f"{end}.{topic}": (our_data[end], topic)
        for end in our_data
        for topic in (traffic.PLAIN, traffic.PRODUCERS, clients.TRANSACTIONS)
    }
    with KafkaTarget(kafka_writings.kafka.settings) as kafka:
        # Kafka takes a partition for a stray unless its metadata know the topic's id.
        connection = Connection(kafka.host, kafka.port)
        traffic.create_topics(connection, dict.fromkeys(sources, traffic.SMALL_SEGMENTS))
        connection.close()
        directories = {name: kafka.data_dir / f"{name}-0" for name in sources}
        eventually(lambda: all(path.is_dir() for path in directories.values()))
        kafka.stop()
        for name, (data, topic) in sources.items():
            kept = (directories[name] / "partition.metadata").read_bytes()
            shutil.rmtree(directories[name])
            shutil.copytree(data.path / f"{topic}-0", directories[name])
            (directories[name] / "partition.metadata").write_bytes(kept)
        kafka.restart()

        for name, (data, topic) in sources.items():
            for isolation in ("read_uncommitted", "read_committed"):
                assert clients.read_all(kafka, name, isolation) == data.records[topic, isolation]
        connection = Connection(kafka.host, kafka.port)
        for end, data in our_data.items():
            last = data.batches[traffic.PRODUCERS][-1]
            name = f"{end}.{traffic.PRODUCERS}"
            assert traffic.produce_again(connection, name, last) == last.base_offset
        connection.close()
