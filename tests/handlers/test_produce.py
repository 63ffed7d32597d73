import asyncio
import struct
import threading
from pathlib import Path
from typing import Any

import crc32c
import pytest

from pykbroker.handlers import produce
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.request_context import CloseConnection
from pykbroker.storage.validation import validate_batch
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run, turns, until
from tests.harness.produced import NOW_MS, a_batch, a_request, only

UNKNOWN_ID = bytes(15) + b"\x01"


def values_in(broker: BrokerHarness, topic: str = "t", partition: int = 0) -> list[bytes | None]:
    log = broker.log(topic, partition)
    return [
        record.value
        for batch in log.read_batches(log.log_start_offset, log.log_end_offset)
        for record in batch.records(1 << 20)
    ]


def ask(
    tmp_path: Path, request: ProduceRequest, version: int = 12, **topic: str
) -> ProduceResponse:
    """Send one request to a fresh broker with topic `t`."""

    async def main() -> ProduceResponse:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2, **topic)
            response = await broker.call(produce, request, version)
            assert isinstance(response, ProduceResponse)
            return response

    return run(main())


@pytest.mark.parametrize("acks", [1, -1])
def test_a_batch_is_appended(tmp_path: Path, acks: int) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for base_offset, version in zip(range(0, 20, 2), range(3, 13), strict=True):
                request = a_request(a_batch(b"a", b"b"), acks=acks)
                response = await broker.call(produce, request, version)
                assert response.responses[0].name == "t"
                assert only(response) == PartitionProduceResponse(
                    index=0,
                    base_offset=base_offset,
                    log_append_time_ms=-1,
                    log_start_offset=0 if version >= 5 else -1,
                )
            assert values_in(broker) == [b"a", b"b"] * 10

    run(main())


def test_every_codec_is_accepted(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            for codec in Codec:
                request = a_request(a_batch(b"a" * 1000, codec=codec))
                assert only(await broker.call(produce, request, 9)).error_code == ErrorCode.NONE
            assert values_in(broker) == [b"a" * 1000] * len(Codec)


def test_append_time_is_told(tmp_path: Path) -> None:
    request = a_request(a_batch(b"a"))
    result = only(ask(tmp_path, request, message_timestamp_type="LogAppendTime"))
    assert result.log_append_time_ms == NOW_MS


def test_the_log_start_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.call(produce, a_request(a_batch(b"a", b"b")), 9)
            broker.log("t").delete_records(1, NOW_MS)
            result = only(await broker.call(produce, a_request(a_batch()), 9))
            assert (result.base_offset, result.log_start_offset) == (2, 1)

    run(main())


def test_nothing_to_do_is_done_at_once(tmp_path: Path) -> None:
    assert ask(tmp_path, ProduceRequest(acks=1)) == ProduceResponse()


def a_corrupt_batch() -> bytes:
    batch = bytearray(a_batch(b"a"))
    batch[-2] ^= 1
    return bytes(batch)


def with_magic(magic: int) -> bytes:
    batch = bytearray(a_batch(b"a"))
    batch[16] = magic
    return bytes(batch)


@pytest.mark.parametrize(
    ("records", "code", "log_start_offset"),
    [
        (None, ErrorCode.INVALID_RECORD, -1),
        (b"", ErrorCode.INVALID_RECORD, -1),
        (a_batch() + a_batch(), ErrorCode.INVALID_RECORD, -1),
        (a_batch()[:-3], ErrorCode.INVALID_RECORD, -1),
        (with_magic(1), ErrorCode.INVALID_RECORD, -1),
        (a_corrupt_batch(), ErrorCode.CORRUPT_MESSAGE, -1),
        (a_batch(base_offset=3), ErrorCode.INVALID_RECORD, 0),
        (a_batch(is_control=True), ErrorCode.INVALID_RECORD, 0),
        (a_batch(b"x" * 1_100_000), ErrorCode.MESSAGE_TOO_LARGE, -1),
    ],
)
def test_a_bad_batch_is_refused(
    tmp_path: Path, records: bytes | None, code: ErrorCode, log_start_offset: int
) -> None:
    result = only(ask(tmp_path, a_request(records)))
    assert result == PartitionProduceResponse(
        index=0, error_code=code, base_offset=-1, log_start_offset=log_start_offset
    )


@pytest.mark.parametrize("records", [with_magic(3), struct.pack(">qib", 0, 3, 2) + bytes(60)])
def test_what_cannot_be_a_batch_is_refused_with_a_message(tmp_path: Path, records: bytes) -> None:
    result = only(ask(tmp_path, a_request(records)))
    assert (result.error_code, result.base_offset) == (ErrorCode.CORRUPT_MESSAGE, -1)
    assert result.error_message is not None


def test_a_topic_without_partitions_is_not_answered(tmp_path: Path) -> None:
    request = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=[])])
    assert ask(tmp_path, request) == ProduceResponse()


@pytest.mark.parametrize("acks", [1, 2])
def test_that_it_is_one_batch_is_checked_before_acks_and_the_kind_of_topic(
    tmp_path: Path, acks: int
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("__consumer_offsets")
            request = a_request(b"", topic="__consumer_offsets", acks=acks)
            result = only(await broker.call(produce, request, 9))
            assert result.error_code == ErrorCode.INVALID_RECORD

    run(main())


def test_a_partial_batch_behind_the_last_one_is_dropped(tmp_path: Path) -> None:
    assert only(ask(tmp_path, a_request(a_batch() + a_batch()[:-1]))).error_code == 0


@pytest.mark.parametrize(("version", "code"), [(6, 76), (7, 0)])
def test_zstd_needs_version_7(tmp_path: Path, version: int, code: int) -> None:
    request = a_request(a_batch(codec=Codec.ZSTD))
    assert only(ask(tmp_path, request, version)).error_code == code


def test_bad_records_are_named(tmp_path: Path) -> None:
    request = a_request(a_batch(b"a", b"b", key=None))
    result = only(ask(tmp_path, request, cleanup_policy="compact"))
    assert result.error_code == ErrorCode.INVALID_RECORD
    assert result.log_start_offset == 0
    assert [error.batch_index for error in result.record_errors] == [0, 1]
    assert "key" in (result.record_errors[0].batch_index_error_message or "")
    assert result.error_message


def test_a_timestamp_far_in_the_future_is_refused(tmp_path: Path) -> None:
    result = only(ask(tmp_path, a_request(a_batch(timestamp=NOW_MS + 3_600_001))))
    assert result.error_code == ErrorCode.INVALID_TIMESTAMP


@pytest.mark.parametrize(
    ("topic", "partition", "version", "code"),
    [
        ("nope", 0, 9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 2, 9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", -1, 9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_what_does_not_exist_is_not_created(
    tmp_path: Path, topic: str, partition: int, version: int, code: ErrorCode
) -> None:
    request = a_request(a_batch(), topic=topic, partition=partition)
    result = only(ask(tmp_path, request, version))
    assert (result.error_code, result.base_offset, result.log_start_offset) == (code, -1, -1)


def test_version_13_goes_by_topic_ids(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            for wanted, partition, code in (
                (topic_id, 0, ErrorCode.NONE),
                (topic_id, 7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                (UNKNOWN_ID, 0, ErrorCode.UNKNOWN_TOPIC_ID),
                (bytes(16), 0, ErrorCode.UNKNOWN_TOPIC_ID),
            ):
                request = a_request(a_batch(), partition=partition)
                request.topic_data[0].topic_id = wanted
                response = await broker.call(produce, request, 13)
                assert response.responses[0].topic_id == wanted
                assert only(response).error_code == code
            assert values_in(broker) == [b"v"]

    run(main())


def test_one_bad_partition_does_not_fail_the_others(tmp_path: Path) -> None:
    request = ProduceRequest(
        acks=1,
        topic_data=[
            TopicProduceData(
                name="t",
                partition_data=[
                    PartitionProduceData(index=0, records=a_batch()),
                    PartitionProduceData(index=5, records=a_batch()),
                    PartitionProduceData(index=1, records=a_corrupt_batch()),
                ],
            ),
            TopicProduceData(
                name="nope", partition_data=[PartitionProduceData(index=0, records=a_batch())]
            ),
        ],
    )
    response = ask(tmp_path, request)
    codes = [
        (topic.name, result.index, result.error_code)
        for topic in response.responses
        for result in topic.partition_responses
    ]
    assert codes == [("t", 0, 0), ("t", 5, 3), ("t", 1, 2), ("nope", 0, 3)]


def test_of_a_partition_named_twice_the_last_batch_counts(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            first, second = a_request(a_batch(b"a")), a_request(a_batch(b"b"))
            first.topic_data += second.topic_data
            assert only(await broker.call(produce, first, 9)).base_offset == 0
            assert values_in(broker) == [b"b"]

    run(main())


@pytest.mark.parametrize("acks", [2, -2])
def test_acks_must_be_one_of_three(tmp_path: Path, acks: int) -> None:
    request = a_request(a_batch(), acks=acks)
    request.topic_data[0].partition_data.append(PartitionProduceData(index=9, records=a_batch()))
    response = ask(tmp_path, request)
    results = response.responses[0].partition_responses
    assert [
        (result.error_code, result.base_offset, result.log_start_offset) for result in results
    ] == [
        (ErrorCode.INVALID_REQUIRED_ACKS, -1, -1),
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1),
    ]


def test_without_acks_there_is_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            assert await broker.call(produce, a_request(a_batch(b"a"), acks=0), 9) is None
            assert values_in(broker) == [b"a"]
            with pytest.raises(CloseConnection):
                await broker.call(produce, a_request(a_corrupt_batch(), acks=0), 9)

    run(main())


@pytest.mark.parametrize(("client_id", "code"), [("anyone", 17), ("", 17), ("__admin_client", 0)])
def test_internal_topics_are_for_the_admin_client(
    tmp_path: Path, client_id: str, code: int
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("__consumer_offsets")
            request = a_request(a_batch(), topic="__consumer_offsets")
            response = await broker.call(produce, request, 9, client_id=client_id)
            assert only(response).error_code == code

    run(main())


def test_a_partition_led_by_another_broker_is_refused_with_a_hint(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            broker.change_partition("t", 0, leader=2, leader_epoch=4)
            for version, leader_id, leader_epoch in ((9, -1, -1), (10, 2, 4)):
                result = only(await broker.call(produce, a_request(a_batch()), version))
                assert result.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
                assert result.current_leader.leader_id == leader_id
                assert result.current_leader.leader_epoch == leader_epoch

    run(main())


def test_the_hint_says_where_this_broker_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            broker.logs.delete("t", 0)
            response = await broker.call(produce, a_request(a_batch()), 12)
            assert only(response).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
            (endpoint,) = response.node_endpoints
            assert (endpoint.node_id, endpoint.host, endpoint.port) == (1, "127.0.0.1", 9092)

    run(main())


@pytest.mark.parametrize(
    ("replicas", "isr", "acks", "code"),
    [
        ((1,), (1,), -1, ErrorCode.NONE),
        ((1, 2), (1,), -1, ErrorCode.NOT_ENOUGH_REPLICAS),
        ((1, 2), (1,), 1, ErrorCode.NONE),
        ((1, 2), (1, 2), -1, ErrorCode.NONE),
    ],
)
def test_acks_all_needs_the_replicas_that_a_topic_can_have(
    tmp_path: Path, replicas: tuple[int, ...], isr: tuple[int, ...], acks: int, code: ErrorCode
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", min_insync_replicas="2")
            broker.change_partition("t", 0, replicas=replicas, isr=isr)
            result = only(await broker.call(produce, a_request(a_batch(), acks=acks), 9))
            assert result.error_code == code

    run(main())


def test_idempotent_producers_are_checked(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")

            async def send(sequence: int, epoch: int = 0) -> PartitionProduceResponse:
                batch = a_batch(b"a", producer_id=7, producer_epoch=epoch, base_sequence=sequence)
                result = only(await broker.call(produce, a_request(batch, acks=-1), 9))
                assert isinstance(result, PartitionProduceResponse)
                return result

            assert (await send(0)).base_offset == 0
            assert (await send(1)).base_offset == 1
            duplicate = await send(0)
            assert (duplicate.error_code, duplicate.base_offset) == (0, 0)
            gap = await send(5)
            assert gap.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
            assert (gap.base_offset, gap.log_start_offset, gap.error_message) == (-1, 0, None)
            assert (await send(0, epoch=1)).base_offset == 2
            assert (await send(2)).error_code == ErrorCode.INVALID_PRODUCER_EPOCH
            assert broker.log("t").log_end_offset == 3

    run(main())


class SlowDisk:
    """Holds the flushes of a log until the test lets them go."""

    def __init__(self, broker: BrokerHarness, topic: str = "t") -> None:
        self.gate = threading.Event()
        self.started = 0
        layer = broker.logs.directories[0].files
        sync = layer.sync
        self.error: OSError | None = None

        def slow_sync(handle: object) -> None:
            self.started += 1
            assert self.gate.wait(5)
            if self.error is not None:
                raise self.error
            sync(handle)  # type: ignore[arg-type]

        layer.sync = slow_sync  # type: ignore[method-assign]


def test_acks_all_waits_for_the_disk_and_acks_one_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            disk = SlowDisk(broker)
            task = broker.start(produce, a_request(a_batch(b"a"), acks=-1), 9)
            await until(lambda: disk.started == 1)
            assert only(await broker.call(produce, a_request(a_batch(b"b")), 9)).base_offset == 1
            assert not task.done()
            disk.gate.set()
            assert only(await task).error_code == 0
            assert broker.log("t").recovery_point >= 1
            assert broker.request_timers == 0

    run(main())


def test_acks_one_waits_for_the_disk_where_flush_messages_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t", flush_messages="2")
            disk = SlowDisk(broker)
            await broker.call(produce, a_request(a_batch(b"a")), 9)
            task = broker.start(produce, a_request(a_batch(b"b")), 9)
            await until(lambda: disk.started == 1)
            disk.gate.set()
            assert (only(await task).base_offset, broker.log("t").recovery_point) == (1, 2)

    run(main())


def test_waiting_for_the_disk_ends_at_the_timeout(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            disk = SlowDisk(broker)
            task = broker.start(produce, a_request(a_batch(b"a"), acks=-1, timeout_ms=300), 9)
            await until(lambda: disk.started == 1)
            broker.clock.advance(300)
            result = only(await task)
            assert result.error_code == ErrorCode.REQUEST_TIMED_OUT
            assert result.base_offset == 0
            assert values_in(broker) == [b"a"]
            disk.gate.set()

    run(main())


@pytest.mark.parametrize("timeout_ms", [0, -1])
def test_without_a_timeout_the_disk_has_time(tmp_path: Path, timeout_ms: int) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            request = a_request(a_batch(), acks=-1, timeout_ms=timeout_ms)
            assert only(await broker.call(produce, request, 9)).error_code == 0
            assert broker.log("t").recovery_point == 1

    run(main())


def test_a_failing_disk_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            disk = SlowDisk(broker)
            disk.error = OSError(5, "input/output error")
            disk.gate.set()
            result = only(await broker.call(produce, a_request(a_batch(), acks=-1), 9))
            assert result.error_code == ErrorCode.KAFKA_STORAGE_ERROR
            assert result.error_message == "the disk refused to flush"
            result = only(await broker.call(produce, a_request(a_batch(), acks=1), 9))
            assert result.error_code == ErrorCode.KAFKA_STORAGE_ERROR
            assert "input/output error" in result.error_message
            assert (result.base_offset, result.log_start_offset) == (-1, -1)

    run(main())


def test_a_cancelled_request_leaves_no_waiter(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            disk = SlowDisk(broker)
            task = broker.start(produce, a_request(a_batch(), acks=-1), 9)
            await until(lambda: disk.started == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            disk.gate.set()
            await until(lambda: broker.durability.waiting == 0)
            await turns()
            assert broker.request_timers == 0

    run(main())


@pytest.mark.parametrize("acks", [-1, 0, 1])
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.GZIP])
def test_large_batches_are_looked_into_by_threads(tmp_path: Path, acks: int, codec: Codec) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t", partitions=2, compression_type="lz4")
            value = b"".join(
                struct.pack(">I", (n * 2654435761) & 0xFFFFFFFF) for n in range(20_000)
            )
            request = a_request(a_batch(value, codec=codec), acks=acks)
            request.topic_data[0].partition_data += [
                PartitionProduceData(index=3, records=a_batch(value, codec=codec)),
                PartitionProduceData(index=1, records=a_batch(b"small")),
            ]
            if acks == 0:
                with pytest.raises(CloseConnection):
                    await broker.call(produce, request, 9)
            else:
                response = await broker.call(produce, request, 9)
                codes = [result.error_code for result in response.responses[0].partition_responses]
                assert codes == [0, 3, 0]
            assert values_in(broker) == [value]
            assert values_in(broker, partition=1) == [b"small"]
            (batch,) = broker.log("t").read_batches(0, 1)
            assert batch.codec == Codec.LZ4

    run(main())


def test_a_large_bad_batch_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            batch = bytearray(a_batch(bytes(range(256)) * 300, codec=Codec.NONE))
            batch[22] |= Codec.GZIP
            result = only(await broker.call(produce, a_request(bytes(batch)), 9))
            assert result.error_code == ErrorCode.CORRUPT_MESSAGE
            batch = bytearray(a_batch(bytes(range(256)) * 300, codec=Codec.NONE, base_offset=1))
            batch[22] |= Codec.GZIP
            result = only(await broker.call(produce, a_request(bytes(batch)), 9))
            assert result.error_code == ErrorCode.INVALID_RECORD
            large = a_request(a_batch(b"x" * 100_000), topic="nope")
            assert only(await broker.call(produce, large, 9)).error_code == 3
            plain = a_request(a_batch(b"x" * 100_000))
            assert only(await broker.call(produce, plain, 9)).error_code == 0

    run(main())


@pytest.mark.interpreted
@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTD])
def test_a_small_batch_that_becomes_large_is_left_to_a_thread(
    tmp_path: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def note_thread(*args: Any, **kwargs: Any) -> RecordBatch:
        threads.append(threading.current_thread())
        return validate_batch(*args, **kwargs)

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            value = bytes(produce.MAX_INFLATED_AT_ONCE_BYTES + 1)
            request = a_request(a_batch(value, codec=codec))
            assert only(await broker.call(produce, request, 9)).error_code == 0
            assert values_in(broker) == [value]
            assert threading.main_thread() is threads[0]
            assert threading.main_thread() is not threads[-1]

    monkeypatch.setattr(produce, "validate_batch", note_thread)
    run(main())


def test_small_compressed_batches_are_judged_as_large_ones(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            garbage = bytearray(a_batch(b"abc" * 100, codec=Codec.NONE))
            garbage[22] |= Codec.GZIP
            struct.pack_into(">I", garbage, 17, crc32c.crc32c(garbage[21:]))
            wrong_count = bytearray(a_batch(b"abc" * 100, codec=Codec.GZIP))
            struct.pack_into(">i", wrong_count, 57, 2)
            struct.pack_into(">i", wrong_count, 23, 1)
            struct.pack_into(">I", wrong_count, 17, crc32c.crc32c(wrong_count[21:]))
            for batch in (garbage, wrong_count):
                result = only(await broker.call(produce, a_request(bytes(batch)), 9))
                assert result.error_code == ErrorCode.INVALID_RECORD
            assert values_in(broker) == []

    run(main())


def test_the_error_response_repeats_the_error() -> None:
    request = a_request(a_batch())
    code = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    for message, expected in ((code.message, None), ("why", "why"), (None, None)):
        result = only(produce.error_response(request, code, message))
        assert (result.error_code, result.base_offset) == (code, -1)
        assert result.error_message == expected
