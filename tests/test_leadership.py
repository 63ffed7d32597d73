from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import describe_log_dirs, describe_topic_partitions, metadata
from pykbroker.leadership import CurrentLeader, Endpoint, current_leader, led_log
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.describe_log_dirs import DescribeLogDirsRequest
from pykbroker.protocol.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.logs import values
from tests.harness.loop import run
from tests.harness.produced import append


def code_of(broker: BrokerHarness, *arguments: Any) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        led_log(broker.broker, *arguments)
    return caught.value.code


def test_the_log_of_a_partition_that_is_led_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            log = broker.log("t")
            assert led_log(broker.broker, "t", 0) is log
            assert led_log(broker.broker, "t", 0, 0, topic_id) is log

    run(main())


def test_the_first_thing_that_is_wrong_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=3)
            broker.change_partition("t", 0, leader=7)
            broker.change_partition("t", 1, leader_epoch=5)
            other_id = b"\x77" * 16
            assert code_of(broker, "u", 0, 1, other_id) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert code_of(broker, "t", 3, 1, other_id) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert code_of(broker, "t", 0, 1, other_id) == ErrorCode.NOT_LEADER_OR_FOLLOWER
            assert code_of(broker, "t", 1, 1, other_id) == ErrorCode.INCONSISTENT_TOPIC_ID
            assert code_of(broker, "t", 1, 4) == ErrorCode.FENCED_LEADER_EPOCH
            assert code_of(broker, "t", 1, 6) == ErrorCode.UNKNOWN_LEADER_EPOCH
            broker.logs.delete("t", 2)
            assert code_of(broker, "t", 2) == ErrorCode.NOT_LEADER_OR_FOLLOWER
            broker.logs.refuse("t", 2, broker.log("t").config)
            assert code_of(broker, "t", 2) == ErrorCode.KAFKA_STORAGE_ERROR

    run(main())


def test_the_leader_and_where_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            broker.change_partition("t", 1, leader=7, leader_epoch=4)
            context = broker.context(12)
            here = Endpoint(1, "127.0.0.1", 9092, None)
            assert current_leader(context, "t", 0) == CurrentLeader(1, 0, here)
            assert current_leader(context, "t", 1) == CurrentLeader(7, 4, None)
            assert current_leader(context, "t", 2) == CurrentLeader(-1, -1, None)

    run(main())


def test_an_offline_directory_is_told_and_read_while_another_serves(tmp_path: Path) -> None:
    async def main() -> None:
        directories = f"{tmp_path / 'a'},{tmp_path / 'b'}"
        async with a_broker(tmp_path, log_dirs=directories) as broker:
            await broker.create_topic("t", partitions=2)
            for partition in range(2):
                await append(broker, b"x", partition=partition)
            failed = broker.log("t", 1)
            failed.directory.fail("broken")

            request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
            (topic,) = (await broker.call(metadata, request, 12)).topics
            assert [p.offline_replicas for p in topic.partitions] == [[], [1]]
            assert [p.leader_id for p in topic.partitions] == [1, 1], "what is there can be read"
            (known,) = (
                await broker.call(
                    describe_topic_partitions,
                    DescribeTopicPartitionsRequest(topics=[TopicRequest(name="t")]),
                    0,
                )
            ).topics
            assert [p.offline_replicas for p in known.partitions] == [[], [1]]
            assert list(values(led_log(broker.broker, "t", 1))) == [0]
            described = await broker.call(describe_log_dirs, DescribeLogDirsRequest(), 4)
            codes = {result.log_dir: result.error_code for result in described.results}
            assert codes[str(failed.directory.path)] == ErrorCode.KAFKA_STORAGE_ERROR
            assert sorted(codes.values()) == [0, ErrorCode.KAFKA_STORAGE_ERROR]
            await broker.create_topic("u", partitions=3)
            assert {broker.log("u", n).directory for n in range(3)} == {broker.log("t").directory}

    run(main())
