"""What every test asks of a broker: a record goes in, a member of a group gets it out."""

import socket

from confluent_kafka import Consumer, Producer

from compat.processes import DEADLINE_SECONDS


def write(bootstrap: str, topic: str, value: bytes) -> None:
    """Write a record and wait for its confirmation."""
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(DEADLINE_SECONDS) == 0, f"{bootstrap} has confirmed nothing"
    assert errors == [None]


def read(bootstrap: str, topic: str) -> bytes:
    """Read the first record as a member of a group."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "readers", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(DEADLINE_SECONDS)
        assert message is not None, f"no record of {topic} at {bootstrap}"
        assert message.error() is None, message.error()
        value: bytes = message.value()
        return value
    finally:
        consumer.close()


def partitions(bootstrap: str, topic: str) -> int:
    """How many partitions a topic has."""
    producer = Producer({"bootstrap.servers": bootstrap})
    return len(producer.list_topics(topic, timeout=DEADLINE_SECONDS).topics[topic].partitions)


def free_port() -> int:
    """A port of the loopback interface that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
