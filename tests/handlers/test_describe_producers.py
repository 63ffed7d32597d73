"""DescribeProducers: idempotent producers, open transactions, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pykbroker.handlers import describe_producers
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    ProducerState,
    TopicRequest,
)
from pykbroker.protocol.record_batch import RecordBatch
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run
from tests.harness.produced import NOW_MS, a_batch


async def ask(broker: BrokerHarness, **topics: list[int]) -> DescribeProducersResponse:
    request = DescribeProducersRequest(
        topics=[TopicRequest(name, partitions) for name, partitions in topics.items()]
    )
    response = await broker.call(describe_producers, request, 0)
    assert isinstance(response, DescribeProducersResponse)
    return response


def write(broker: BrokerHarness, **header: Any) -> None:
    batch = a_batch(b"a", b"b", **header)
    broker.log("t").append(RecordBatch.parse(bytearray(batch)), NOW_MS)


async def described(broker: BrokerHarness) -> list[ProducerState]:
    (topic,) = (await ask(broker, t=[0])).topics
    (partition,) = topic.partitions
    assert (topic.name, partition.partition_index, partition.error_code) == ("t", 0, 0)
    assert partition.error_message is None
    return partition.active_producers


def test_producers_and_their_open_transactions_are_described(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            assert await described(broker) == []
            write(broker)
            write(broker, producer_id=5, producer_epoch=1, base_sequence=3)
            write(broker, producer_id=7, producer_epoch=2, base_sequence=0, is_transactional=True)
            time_ms = NOW_MS + 1  # of the last record
            idempotent = ProducerState(5, 1, 4, time_ms, -1, -1)
            assert await described(broker) == [idempotent, ProducerState(7, 2, 1, time_ms, -1, 4)]
            broker.log("t").append_marker(
                7, 3, is_commit=True, coordinator_epoch=8, now_ms=NOW_MS + 9
            )
            ended = ProducerState(7, 3, -1, NOW_MS + 9, 8, -1)
            assert await described(broker) == [idempotent, ended], "no sequence in a new epoch"

    run(main())


def test_errors_of_a_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            broker.change_partition("t", 1, leader=9)
            response = await ask(broker, **{"t": [0, 1, 2, -1], "unknown": [0], "a b": [0]})
            codes = {
                topic.name: [p.error_code for p in topic.partitions] for topic in response.topics
            }
            assert codes == {"t": [0, 6, 3, 3], "unknown": [3], "a b": [17]}
            messages = [topic.partitions[0].error_message for topic in response.topics]
            assert messages[0] is None
            assert messages[1] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION.message
            assert "invalid" in (messages[2] or "")

    run(main())


def test_an_error_of_the_request_is_told_for_every_partition() -> None:
    request = DescribeProducersRequest(topics=[TopicRequest("t", [0, 3])])

    (topic,) = describe_producers.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR).topics

    assert [(p.partition_index, p.error_code) for p in topic.partitions] == [(0, -1), (3, -1)]
