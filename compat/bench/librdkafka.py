"""The C interface of the librdkafka inside confluent-kafka, for loads that Python would slow down.

confluent-kafka's own Producer costs about 2 us a record in Python, more than a broker needs for it.
`rd_kafka_produce_batch` takes an array of records in one call, so that what is measured is
librdkafka and the broker. Only this one call is used; confluent-kafka does everything else.
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import confluent_kafka

_PRODUCER = 0
_NO_PARTITION_IN_MESSAGE = 0
_QUEUE_FULL = -184
_TEXT_BYTES = 512


class _Message(ctypes.Structure):
    """`rd_kafka_message_t` of rdkafka.h."""

    _fields_ = (
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_len", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("private", ctypes.c_void_p),
    )


def _load() -> ctypes.CDLL:
    site_packages = Path(confluent_kafka.__file__).parent.parent
    found = sorted(site_packages.glob("confluent_kafka.libs/librdkafka*.so*"))
    library = ctypes.CDLL(str(found[0]) if found else "librdkafka.so.1")
    pointers = ["conf_new", "topic_conf_new", "new", "topic_new"]
    for name in pointers:
        getattr(library, f"rd_kafka_{name}").restype = ctypes.c_void_p
    return library


class BatchProducer:
    """A producer that sends the same value again and again to one partition."""

    def __init__(self, settings: Mapping[str, object], topic: str, value: bytes, batch: int):
        """Args:
        settings: As for confluent_kafka.Producer.
        batch: Records a call.
        """
        self._library = _load()
        self._error = ctypes.create_string_buffer(_TEXT_BYTES)
        configuration = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        for name, setting in settings.items():
            refused = self._library.rd_kafka_conf_set(
                configuration, name.encode(), str(setting).encode(), self._error, _TEXT_BYTES
            )
            if refused:
                raise ValueError(self._error.value.decode())
        handle = self._library.rd_kafka_new(_PRODUCER, configuration, self._error, _TEXT_BYTES)
        if not handle:
            raise ValueError(self._error.value.decode())
        self._handle = ctypes.c_void_p(handle)
        self._topic = ctypes.c_void_p(
            self._library.rd_kafka_topic_new(self._handle, topic.encode(), None)
        )
        self._value = ctypes.create_string_buffer(value, len(value))
        self._messages = (_Message * batch)()
        for message in self._messages:
            message.payload = ctypes.addressof(self._value)
            message.len = len(value)

    def produce(self, records: int) -> None:
        """Send so many records and wait until all were answered.

        Raises:
            TimeoutError: The broker has not answered within two minutes.
        """
        remaining = records
        while remaining:
            count = min(remaining, len(self._messages))
            accepted = self._library.rd_kafka_produce_batch(
                self._topic, 0, _NO_PARTITION_IN_MESSAGE, self._messages, count
            )
            remaining -= accepted
            # The queue is full: give the network thread the time to empty it.
            self._library.rd_kafka_poll(self._handle, 0 if accepted == count else 1)
        if self._library.rd_kafka_flush(self._handle, 120_000):
            raise TimeoutError("not all records were answered")

    def close(self) -> None:
        """Free the producer."""
        self._library.rd_kafka_topic_destroy(self._topic)
        self._library.rd_kafka_destroy(self._handle)
