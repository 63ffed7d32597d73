"""A fresh producer and a fresh consumer: the question whether a broker serves."""

import time

from compat.processes import eventually
from compat.single_requests import FETCH_BYTES, a_batch, fetch, produce
from pykbroker.client import Client, ClientError
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.record_batch import RecordBatch

PROBE_SECONDS = 60.0


def round_trip(address: str, topic: str) -> None:
    """Write a record with acks=all to partition 0 and read it, trying until that works."""
    eventually(lambda: _try(address, topic), seconds=PROBE_SECONDS, what="a round trip")


def _try(address: str, topic: str) -> bool:
    value = b"%d" % time.monotonic_ns()
    try:
        with Client(address, timeout_s=5.0) as client:
            connection = client.connection()
            (answer,) = produce(connection, topic, a_batch([value]))
            if answer.error_code != ErrorCode.NONE:
                return False
            records = fetch(connection, topic, answer.base_offset).records
    except ClientError:
        return False
    if not records:
        return False
    return next(iter(RecordBatch.parse(bytes(records)).records(FETCH_BYTES))).value == value
