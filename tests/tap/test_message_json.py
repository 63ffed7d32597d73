import json
from random import Random
from typing import Any

import pytest

from pykbroker.protocol.messages.heartbeat import HeartbeatResponse
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record
from pykbroker.tap.message_json import MAX_CHARACTERS, message_json, payload_json
from tests.harness.protocol_values import MESSAGES, random_value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, None),
        (b"", ""),
        (b"text \xc3\xbc\n", "text \u00fc\n"),
        (memoryview(b"text"), "text"),
        (b"\xff", {"base64": "/w=="}),
        (b"\x00\x01", {"base64": "AAE="}),
        (b"x" * 2000, "x" * MAX_CHARACTERS + "\u2026"),
    ],
)
def test_bytes_are_text_or_base64(data: bytes | None, expected: Any) -> None:
    assert payload_json(data) == expected


def test_records_are_told() -> None:
    records = [Record(0, 5, b"k", None, (("h", b"v"),)), Record(1, 6, None, b"v", ())]
    batch = build_batch(
        records, producer_id=3, producer_epoch=1, base_sequence=7, is_transactional=True
    )
    data = PartitionProduceData(0, batch)
    request = ProduceRequest("x", -1, 9, [TopicProduceData("t", bytes(range(16)), [data])])
    assert message_json(request) == {
        "transactional_id": "x",
        "acks": -1,
        "timeout_ms": 9,
        "topic_data": [
            {
                "name": "t",
                "topic_id": "00010203-0405-0607-0809-0a0b0c0d0e0f",
                "partition_data": [
                    {
                        "index": 0,
                        "records": [
                            {
                                "base_offset": 0,
                                "producer_id": 3,
                                "producer_epoch": 1,
                                "base_sequence": 7,
                                "is_transactional": True,
                                "records": [
                                    {
                                        "offset": 0,
                                        "timestamp": 5,
                                        "key": "k",
                                        "value": None,
                                        "headers": [["h", "v"]],
                                    },
                                    {
                                        "offset": 1,
                                        "timestamp": 6,
                                        "key": None,
                                        "value": "v",
                                        "headers": [],
                                    },
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_records_that_cannot_be_read_have_a_size() -> None:
    damaged = bytearray(build_batch([Record(0, 5, b"k", b"v", ())]))
    damaged[-1] ^= 0xFF
    damaged[16] = 9
    said = message_json(PartitionProduceData(0, bytes(damaged)))
    assert said["records"]["bytes"] == len(damaged)
    assert said["records"]["problem"]


def test_errors_have_names() -> None:
    assert message_json(HeartbeatResponse(0, 16)) == {
        "throttle_time_ms": 0,
        "error_code": "NOT_COORDINATOR",
    }
    assert message_json(HeartbeatResponse(5, 999))["error_code"] == 999


def test_every_message_can_be_told() -> None:
    random = Random(7)
    for case in MESSAGES:
        for version in case.versions():
            json.dumps(message_json(random_value(case, version, random)))
