from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.coordinator.group.shard import GroupShard
from pykbroker.coordinator.group.step import Step
from pykbroker.coordinator.runtime import partition as partition_module
from pykbroker.coordinator.runtime.partition import CoordinatorPartition
from pykbroker.coordinator.transition import Transition
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup
from pykbroker.protocol.messages.sync_group import SyncGroupRequest
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record
from pykbroker.storage.producer_state import AppendOrigin
from tests.harness.coordinators import CALLER, World
from tests.harness.groups import a_commit, a_join, a_txn_commit
from tests.harness.loop import run, turns, until

T0 = {("t", 0): 5}


def partition_of(world: World, group_id: str = "g") -> CoordinatorPartition[GroupShard, Step]:
    return world.groups._topic.partitions[partition_for(group_id, 2)]


def forget_topic(partition: CoordinatorPartition[GroupShard, Step], name: str) -> None:
    deleted = [(name, b"t" * 16)]
    partition.run_when_loaded(lambda step: partition.shard.forget_topics(step, deleted))


class StalledLog:
    """A real log whose flush waits until it is told to go on, or fails."""

    def __init__(self, world: World) -> None:
        self.partition = partition_of(world)
        self.log = self.partition.log
        self.partition.log = self  # type: ignore[assignment]
        self.may_flush = threading.Event()
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)

    def flush(self) -> None:
        self.may_flush.wait()
        if self.error is not None:
            raise self.error
        self.log.flush()


class RefusingLog:
    """A real log that refuses to append as often as it is told to."""

    def __init__(self, world: World, refusals: int, code: ErrorCode) -> None:
        partition = partition_of(world)
        self.log = partition.log
        partition.log = self  # type: ignore[assignment]
        self.refusals = refusals
        self.code = code

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)

    def append_records(
        self,
        records: list[Record],
        now_ms: int,
        codec: Codec,
        producer: tuple[int, int] | None = None,
        base_sequence: int = -1,
    ) -> object:
        if self.refusals:
            self.refusals -= 1
            raise KafkaError(self.code)
        return self.log.append_records(records, now_ms, codec, producer, base_sequence)


async def code_of(call: Callable[[], Awaitable[object]]) -> ErrorCode:
    try:
        await call()
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def test_answers_wait_for_the_disk_and_heartbeats_do_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, is_durable=True) as world:
            member_id = await world.stable_member()
            stalled = StalledLog(world)
            commit = a_commit(T0, member_id=member_id, generation_id=1)
            committing = asyncio.ensure_future(world.commit(commit, 9))
            fetching = asyncio.ensure_future(world.committed("t"))
            await turns()  # something is to be flushed from here on
            syncing = world.groups.sync_group(
                SyncGroupRequest(group_id="g", member_id=member_id, generation_id=1)
            )
            await turns(20)
            assert not committing.done()
            assert not fetching.done()
            assert not syncing.done()
            beat = HeartbeatRequest(group_id="g", member_id=member_id, generation_id=1)
            assert world.groups.heartbeat(beat).error_code == ErrorCode.NONE
            stalled.may_flush.set()
            assert (await committing).topics[0].partitions[0].error_code == ErrorCode.NONE
            assert await fetching == 5
            assert (await syncing).assignment == b"all"

    run(main())


def test_a_disk_that_fails_confirms_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, is_durable=True) as world:
            await world.stable_member()
            stalled = StalledLog(world)
            stalled.error = OSError("the disk is gone")
            committing = asyncio.ensure_future(world.commit(a_commit(T0, group_id="i"), 9))
            assert partition_of(world, "i") is stalled.partition
            await turns()  # something is to be flushed from here on
            joining = world.groups.join_group(a_join(), CALLER)
            stalled.may_flush.set()
            assert await code_of(lambda: committing) is ErrorCode.NOT_COORDINATOR
            assert await code_of(lambda: joining) is ErrorCode.NOT_COORDINATOR
            # The group knows the offset by now, but nobody is told what is not on the disk.
            reading = world.committed("t", group_id="i")
            assert await code_of(lambda: reading) is ErrorCode.NOT_COORDINATOR
            describing = world.groups.describe_group("i")
            assert await code_of(lambda: describing) is ErrorCode.NOT_COORDINATOR
            assert "i" not in {each.group_id for each in await world.groups.list_groups([], [])}

    run(main())


def test_groups_are_written_in_the_codec_that_was_chosen(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, offsets_topic_compression_codec="4") as world:
            await world.commit(a_commit(T0))
            (batch,) = batches_of(partition_of(world))
            assert batch.codec is Codec.ZSTD
        async with World(tmp_path, offsets_load_buffer_size="1") as world:
            assert await world.committed("t") == 5

    run(main())


def test_a_log_that_refuses_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0), 9)
            RefusingLog(world, 3, ErrorCode.KAFKA_STORAGE_ERROR)
            again = a_commit({("t", 0): 6})
            refused = await code_of(lambda: world.commit(again, 9))
            assert refused is ErrorCode.NOT_COORDINATOR
            assert await world.committed("t") == 5
            assert (
                await code_of(lambda: world.groups.delete_group("g")) is ErrorCode.NOT_COORDINATOR
            )
            forget_topic(partition_of(world), "t")
            assert await world.committed("t") == 5
            assert caplog.text.count("coordinator_append_failed") == 1, "one line a minute"
            await world.commit(again, 9)
            assert await world.committed("t") == 6

    run(main())


def test_a_group_that_cannot_be_written_does_not_exist(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            RefusingLog(world, 1, ErrorCode.RECORD_LIST_TOO_LARGE)
            answer = await world.join(a_join())
            assert answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            assert partition_of(world).shard.groups == {}
            assert (await world.join(a_join())).error_code == ErrorCode.MEMBER_ID_REQUIRED

    run(main())


def test_a_session_ends_even_when_the_log_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.stable_member()
            RefusingLog(world, 1, ErrorCode.KAFKA_STORAGE_ERROR)
            await world.advance(10_000)
            assert (await world.groups.describe_group("g")).group_state == "Empty"

    run(main())


def test_leaving_is_answered_though_others_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            member_id = await world.stable_member()
            joining = asyncio.ensure_future(
                world.groups.join_group(a_join(instance_id="i"), CALLER)
            )
            await turns()
            leaving = LeaveGroupRequest("g", members=[MemberIdentity(member_id)])
            response = await world.groups.leave_group(leaving)
            assert response.members[0].error_code == ErrorCode.NONE
            assert (await joining).generation_id == 2

    run(main())


def test_many_tombstones_go_in_several_batches(tmp_path: Path) -> None:
    async def main() -> None:
        count = 2 * partition_module.HOUSEKEEPING_BATCH_RECORDS + 1
        async with World(tmp_path) as world:
            await world.commit(a_commit({("t", n): n for n in range(count)}), 9)
            partition = partition_of(world)
            before = len(batches_of(partition))
            forget_topic(partition, "t")
            assert len(batches_of(partition)) == before + 3
            everything = OffsetFetchRequestGroup(group_id="g", topics=None)
            answer = await world.groups.fetch_offsets(everything, require_stable=False)
            assert answer.topics == []

    run(main())


def test_tombstones_of_long_names_go_in_batches_that_the_topic_takes(tmp_path: Path) -> None:
    async def main() -> None:
        long = "t" * 30_000
        async with World(tmp_path) as world:
            partition = partition_of(world)
            for index in range(50):
                await world.commit(a_commit({(long, index): index}))
            before = len(batches_of(partition))
            forget_topic(partition, long)
            assert len(batches_of(partition)) == before + 2
            assert await world.committed(long, 49) == -1

    run(main())


def test_what_is_larger_than_the_topic_takes_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            request = a_join()
            request.protocols[0].metadata = bytes(1_100_000)
            request.member_id = (await world.join(request)).member_id
            joined = await world.join(request)
            syncing = SyncGroupRequest("g", joined.generation_id, joined.member_id)
            refused = await world.groups.sync_group(syncing)
            assert refused.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
            described = await world.groups.describe_group("g")
            assert described.group_state == "PreparingRebalance"

    run(main())


def batches_of(partition: CoordinatorPartition[GroupShard, Step]) -> list[RecordBatch]:
    log = partition.log
    found: Iterator[RecordBatch] = log.read_batches(0, log.log_end_offset)
    return list(found)


def test_offsets_of_transactions_count_from_their_marker_on(tmp_path: Path) -> None:
    """Kafka writes such batches; a directory of its may be ours now."""

    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit({("t", 0): 1, ("u", 0): 2}), 9)
            partition = partition_of(world)
            log = world.logs.get("__consumer_offsets", partition.index)
            assert log is not None
            (batch,) = batches_of(partition)
            records = list(batch.records(1 << 20))
            for producer_id, (record, marker) in enumerate(
                zip(records, (b"\x00\x00\x00\x01", b"\x00\x00\x00\x00"), strict=True), start=7
            ):
                value = bytearray(record.value or b"")
                value[2:10] = (9).to_bytes(8, "big")
                moved = Record(0, 0, record.key, bytes(value))
                end = Record(0, 0, marker, bytes(6))
                for record_of_batch, is_control in ((moved, False), (end, True)):
                    log.append(
                        RecordBatch.parse(
                            build_batch(
                                [record_of_batch],
                                producer_id=producer_id,
                                producer_epoch=0,
                                is_transactional=True,
                                is_control=is_control,
                            )
                        ),
                        0,
                        origin=AppendOrigin.COORDINATOR,
                    )
        async with World(tmp_path) as world:
            assert [await world.committed(topic) for topic in ("t", "u")] == [9, 2]

    run(main())


def test_a_thread_reads_while_the_loop_lives(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            for _ in range(3):
                many = a_commit({("t", n): n for n in range(1_000)})
                await world.commit(many, 9)
        world = World(tmp_path)
        world.groups.start()
        partition = partition_of(world)
        await until(lambda: partition.shard.groups != {})
        assert partition.is_loading
        await world.groups.loaded()
        assert await world.committed("t", 999) == 999
        await world.close()

    run(main())


def test_a_timer_that_keeps_running_is_not_put_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            partition = partition_of(world)

            def start(step: Step) -> Transition[None]:
                step.start_timer(("session", "g", "m"), 10)
                return step.done(None)

            partition.run(start)
            world.clock.advance(6)
            partition.run(start)
            assert ("session", "g", "m") in partition.timers
            world.clock.advance(4)
            assert ("session", "g", "m") not in partition.timers

    run(main())


def test_what_is_part_of_a_transaction_counts_with_its_marker(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, offsets_topic_compression_codec="4") as world:
            partition = partition_of(world)

            def commit(step: Step) -> Transition[object]:
                return partition.shard.commit_offsets_in_transaction(step, a_txn_commit(T0))

            partition.run(commit, (4, 1))
            assert await world.committed("t") == -1
            with pytest.raises(KafkaError) as fenced:
                partition.end_transaction(4, 0, is_commit=True, coordinator_epoch=0)
            assert fenced.value.code is ErrorCode.INVALID_PRODUCER_EPOCH
            assert await world.committed("t") == -1
            partition.end_transaction(4, 1, is_commit=True, coordinator_epoch=2)
            assert await world.committed("t") == 5
            commit_batch, marker = batches_of(partition)
            assert (commit_batch.producer_id, commit_batch.producer_epoch) == (4, 1)
            assert (commit_batch.is_transactional, commit_batch.codec) == (True, Codec.ZSTD)
            assert (marker.is_control, marker.producer_epoch) == (True, 1)

    run(main())


class Work:
    """A computation that ends when it is told to."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.times = 0
        self.thread: threading.Thread | None = None

    def __call__(self) -> str:
        self.times += 1
        self.thread = threading.current_thread()
        assert self.may_end.wait(10)
        return "result"

    def begin(self, step: Step) -> Transition[None]:
        step.compute(("regex", "g"), self)
        return step.done(None)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Record what shards are told of computations."""
    results: list[object] = []

    def note(shard: GroupShard, step: Step, key: object, result: object) -> Transition[None]:
        results.append(result)
        return step.done(None)

    monkeypatch.setattr(GroupShard, "computed", note)
    return results


def test_a_computation_runs_in_a_thread_and_once_at_a_time(
    tmp_path: Path, computed: list[object]
) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            partition, work = partition_of(world), Work()
            partition.run(work.begin)
            await until(lambda: work.times == 1)
            partition.run(work.begin)
            await turns()
            assert work.times == 1
            assert computed == []
            work.may_end.set()
            await until(lambda: computed == ["result"])
            assert work.thread is not threading.current_thread()
            partition.run(work.begin)
            await until(lambda: computed == ["result", "result"])

    run(main())


def test_of_a_computation_that_fails_there_is_no_result(
    tmp_path: Path, computed: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    def begin(step: Step) -> Transition[None]:
        step.compute(("regex", "g"), lambda: 1 // 0)
        return step.done(None)

    async def main() -> None:
        async with World(tmp_path) as world:
            partition_of(world).run(begin)
            await until(lambda: computed == [None])

    run(main())
    assert "coordinator_computation_failed" in caplog.text


def test_a_computation_ends_in_vain_when_the_partition_is_not_led_any_more(
    tmp_path: Path, computed: list[object]
) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            partition, work = partition_of(world), Work()
            partition.run(work.begin)
            await until(lambda: work.times == 1)
            partition.unload()
            work.may_end.set()
            await turns(20)
            assert computed == []

    run(main())
