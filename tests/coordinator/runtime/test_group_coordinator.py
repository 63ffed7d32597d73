from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from pykbroker.protocol.messages.sync_group import SyncGroupRequest
from tests.harness.coordinators import CALLER, OFFSETS_ID, OFFSETS_TOPIC, World, a_topic, an_image
from tests.harness.groups import a_commit, a_join, a_txn_commit
from tests.harness.loop import run, turns

T0 = {("t", 0): 5}


def a_heartbeat(member_id: str = "m", generation_id: int = 1, group: str = "g") -> HeartbeatRequest:
    return HeartbeatRequest(group_id=group, member_id=member_id, generation_id=generation_id)


async def code_of(call: Callable[[], Awaitable[object]]) -> ErrorCode:
    try:
        await call()
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def test_a_group_lives_on_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            member_id = await world.stable_member()
            commit = a_commit(T0, member_id=member_id, generation_id=1)
            await world.commit(commit, 9)
            await world.commit(a_commit(T0, group_id="other"), 9)
        async with World(tmp_path) as world:
            assert await world.committed("t") == 5
            assert await world.committed("t", group_id="other") == 5
            assert world.groups.heartbeat(a_heartbeat(member_id)).error_code == ErrorCode.NONE
            described = await world.groups.describe_group("g")
            assert (described.group_state, described.members[0].member_assignment) == (
                "Stable",
                b"all",
            )
            await world.advance(10_000)
            assert (await world.groups.describe_group("g")).group_state == "Empty"

    run(main())


def test_while_a_partition_is_loaded_clients_are_told_to_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0), 9)
        world = World(tmp_path)
        world.groups.start()
        loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert await code_of(lambda: world.committed("t")) is loading
        assert await code_of(lambda: world.groups.join_group(a_join(), CALLER)) is loading
        with pytest.raises(KafkaError) as refused:
            await world.groups.list_groups([], [])
        assert refused.value.code is loading
        # A member must not lose its place because its coordinator has just started.
        assert world.groups.heartbeat(a_heartbeat()).error_code == ErrorCode.NONE
        # The topic goes before the log is read: its offsets must not come back.
        world.metadata.publish(an_image(world.offsets_topic, a_topic("t", b"t" * 16)))
        world.metadata.publish(an_image(world.offsets_topic))
        await world.groups.loaded()
        assert await world.committed("t") == -1
        await world.close()

    run(main())


def test_a_group_belongs_to_the_partition_of_its_hash(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, partitions=3) as world:
            for group_id in ("a", "b", "simple"):
                await world.commit(a_commit(T0, group_id=group_id), 9)
                log = world.logs.get(OFFSETS_TOPIC, partition_for(group_id, 3))
                assert log is not None
                assert log.log_end_offset >= 1
            listed = {group.group_id for group in await world.groups.list_groups([], [])}
            assert listed == {"a", "b", "simple"}

    run(main())


def test_before_the_start_and_after_the_end_nobody_coordinates(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path)
        unavailable = ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert await code_of(lambda: world.groups.join_group(a_join(), CALLER)) is unavailable
        async with world:
            assert await code_of(lambda: world.groups.delete_group("g")) is ErrorCode.NONE
        assert await code_of(lambda: world.groups.sync_group(SyncGroupRequest("g"))) is unavailable
        world.metadata.publish(an_image())

    run(main())


def test_only_the_leader_of_the_partition_coordinates(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0), 9)
            world.metadata.publish(an_image(a_topic(OFFSETS_TOPIC, OFFSETS_ID, 2, leader=7)))
            assert await code_of(lambda: world.committed("t")) is ErrorCode.NOT_COORDINATOR
            with pytest.raises(KafkaError) as refused:
                world.groups.heartbeat(a_heartbeat())
            assert refused.value.code is ErrorCode.NOT_COORDINATOR
            world.metadata.publish(an_image())
            assert await code_of(lambda: world.committed("t")) is ErrorCode.NOT_COORDINATOR
            in_transaction = world.commit_in_transaction(a_txn_commit(T0))
            assert await code_of(lambda: in_transaction) is ErrorCode.COORDINATOR_NOT_AVAILABLE

            world.metadata.publish(an_image(world.offsets_topic))
            await world.groups.loaded()
            assert await world.committed("t") == 5

    run(main())


def test_who_waits_when_the_leadership_goes_looks_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.stable_member()
            joining = asyncio.ensure_future(
                world.groups.join_group(a_join(instance_id="i"), CALLER)
            )
            await turns()
            assert not joining.done()
            world.metadata.publish(an_image(a_topic(OFFSETS_TOPIC, OFFSETS_ID, 2, leader=7)))
            assert await code_of(lambda: joining) is ErrorCode.NOT_COORDINATOR
            timers = world.clock.pending_timers
            assert timers == 1, "that of the retention check"

    run(main())


def test_a_load_that_is_overtaken_by_a_new_leader_comes_to_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0), 9)
        world = World(tmp_path)
        world.groups.start()
        world.metadata.publish(an_image())
        await world.groups.loaded()
        assert await world.groups.list_groups([], []) == []
        await world.close()

    run(main())


def test_a_partition_whose_log_is_missing_or_damaged_is_not_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0), 9)
            log = world.logs.get(OFFSETS_TOPIC, partition_for("g", 2))
            assert log is not None
            more = a_topic(OFFSETS_TOPIC, OFFSETS_ID, 3)
            world.metadata.publish(an_image(more))
            segment = log.path / "00000000000000000000.log"
            data = bytearray(segment.read_bytes())
            world.metadata.publish(an_image())
            data[-1] ^= 1
            segment.write_bytes(data)
            world.metadata.publish(an_image(world.offsets_topic))
            await world.groups.loaded()
            assert await code_of(lambda: world.committed("t")) is ErrorCode.NOT_COORDINATOR

    run(main())


@pytest.mark.parametrize(
    ("group_id", "session_timeout_ms", "code"),
    [
        ("", 10_000, ErrorCode.INVALID_GROUP_ID),
        ("g", 5_999, ErrorCode.INVALID_SESSION_TIMEOUT),
        ("g", 1_800_001, ErrorCode.INVALID_SESSION_TIMEOUT),
        ("g", 6_000, ErrorCode.MEMBER_ID_REQUIRED),
    ],
)
def test_a_join_is_checked_before_any_group(
    tmp_path: Path, group_id: str, session_timeout_ms: int, code: ErrorCode
) -> None:
    async def main() -> JoinGroupResponse:
        async with World(tmp_path) as world:
            return await world.join(a_join(group_id, session_timeout_ms=session_timeout_ms))

    assert run(main()).error_code == code


def test_settings_count_from_the_moment_they_change(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.reconfigure(group_min_session_timeout_ms=20_000)
            answer = await world.join(a_join())
            assert answer.error_code == ErrorCode.INVALID_SESSION_TIMEOUT
            world.reconfigure(group_min_session_timeout_ms=1)
            assert (await world.join(a_join())).error_code == ErrorCode.MEMBER_ID_REQUIRED

    run(main())


def a_consumer_heartbeat(group_id: str = "g") -> ConsumerGroupHeartbeatRequest:
    return ConsumerGroupHeartbeatRequest(
        group_id=group_id,
        member_id="m",
        rebalance_timeout_ms=1_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )


async def heartbeat_interval_ms(world: World) -> int:
    response = world.groups.consumer_group_heartbeat(a_consumer_heartbeat(), CALLER)
    if not isinstance(response, ConsumerGroupHeartbeatResponse):
        response = await response
    return response.heartbeat_interval_ms


def test_a_consumer_groups_own_times_hold_from_the_moment_they_change(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            assert await heartbeat_interval_ms(world) == 5_000
            image = replace(
                world.metadata.image,
                group_configs={"g": {"consumer.heartbeat.interval.ms": "7000"}},
            )
            world.metadata.publish(image)
            assert await heartbeat_interval_ms(world) == 7_000
            world.reconfigure(group_consumer_max_heartbeat_interval_ms=6_000)
            assert await heartbeat_interval_ms(world) == 6_000

    run(main())


def test_a_protocol_that_is_left_out_is_not_spoken(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            world.reconfigure(group_coordinator_rebalance_protocols=("classic",))
            with pytest.raises(KafkaError, match="leaves consumer groups out"):
                await heartbeat_interval_ms(world)
            described = world.groups.describe_consumer_group("g")
            assert await code_of(lambda: described) == ErrorCode.UNSUPPORTED_VERSION

    run(main())


def test_a_group_id_is_needed_for_membership(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            invalid = ErrorCode.INVALID_GROUP_ID
            assert await code_of(lambda: world.groups.sync_group(SyncGroupRequest(""))) is invalid
            assert await code_of(lambda: world.groups.leave_group(LeaveGroupRequest(""))) is invalid
            assert (
                await code_of(lambda: world.groups.delete_offsets(OffsetDeleteRequest("")))
                is invalid
            )
            with pytest.raises(KafkaError):
                world.groups.heartbeat(a_heartbeat(group=""))
            assert await code_of(lambda: world.commit(a_commit(T0, group_id=""), 9)) == 0

    run(main())


def test_members_leave_and_groups_and_offsets_are_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            member_id = await world.stable_member()
            result = await world.groups.delete_group("g")
            assert result.error_code == ErrorCode.NON_EMPTY_GROUP
            leaving = LeaveGroupRequest("g", members=[MemberIdentity(member_id)])
            assert (await world.groups.leave_group(leaving)).members[0].error_code == 0
            await world.commit(a_commit({("t", 0): 1, ("t", 1): 2}), 9)
            topic = OffsetDeleteRequestTopic("t", [OffsetDeleteRequestPartition(0)])
            await world.groups.delete_offsets(OffsetDeleteRequest("g", [topic]))
            assert [await world.committed("t", n) for n in (0, 1)] == [-1, 2]
            assert (await world.groups.delete_group("g")).error_code == ErrorCode.NONE
            result = await world.groups.delete_group("g")
            assert result.error_code == ErrorCode.GROUP_ID_NOT_FOUND
            assert await world.committed("t", 1) == -1

    run(main())


def test_offsets_of_deleted_topics_are_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit({("t", 0): 1, ("u", 0): 2}), 9)
            topics = a_topic("t", b"t" * 16), a_topic("u", b"u" * 16)
            world.metadata.publish(an_image(world.offsets_topic, *topics))
            world.metadata.publish(an_image(world.offsets_topic, topics[1]))
            assert [await world.committed(name) for name in ("t", "u")] == [-1, 2]

    run(main())


def test_offsets_expire_at_the_next_retention_check(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(
            tmp_path, offsets_retention_minutes="10", offsets_retention_check_interval_ms="60000"
        ) as world:
            await world.commit(a_commit(T0), 9)
            await world.advance(9 * 60_000)
            assert await world.committed("t") == 5
            await world.advance(60_000)
            assert await world.committed("t") == -1
            assert await world.groups.list_groups([], []) == []

    run(main())


def test_what_a_client_waited_for_leaves_no_trace_but_its_membership(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.stable_member()
            joining = world.groups.join_group(a_join(instance_id="i"), CALLER)
            await turns()
            partition = world.groups._topic.partitions[partition_for("g", 2)]
            assert len(partition.parked) == 1
            await world.advance(10_000)  # the other member's session ends, so the join completes
            assert joining.done()
            assert partition.parked == {}
            assert len(partition.shard.groups["g"].members) == 1
            assert (await world.groups.describe_group("g")).group_state == "CompletingRebalance"

    run(main())


def joining_a_consumer_group(member_id: str = "m") -> ConsumerGroupHeartbeatRequest:
    return ConsumerGroupHeartbeatRequest(
        group_id="g",
        member_id=member_id,
        rebalance_timeout_ms=1_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )


def test_a_heartbeat_that_writes_nothing_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, is_durable=True) as world:
            joining = world.groups.consumer_group_heartbeat(joining_a_consumer_group(), CALLER)
            steady = ConsumerGroupHeartbeatRequest(group_id="g", member_id="m", member_epoch=2)
            answer = world.groups.consumer_group_heartbeat(steady, CALLER)
            assert isinstance(answer, ConsumerGroupHeartbeatResponse)
            assert not isinstance(joining, ConsumerGroupHeartbeatResponse)
            assert (await joining).member_epoch == answer.member_epoch == 2

    run(main())


def test_a_new_topic_leads_to_a_new_target(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, group_consumer_assignment_interval_ms="0") as world:
            world.groups.consumer_group_heartbeat(joining_a_consumer_group(), CALLER)
            world.metadata.publish(an_image(world.offsets_topic, a_topic("t", b"t" * 16, 2)))
            beat = ConsumerGroupHeartbeatRequest(group_id="g", member_id="m", member_epoch=2)
            answer = world.groups.consumer_group_heartbeat(beat, CALLER)
            assert isinstance(answer, ConsumerGroupHeartbeatResponse)
            assert answer.member_epoch == 3
            assert answer.assignment is not None
            assert answer.assignment.topic_partitions[0].partitions == [0, 1]
            described = await world.groups.describe_consumer_group("g")
            assert described.group_epoch == 3

    run(main())


@pytest.mark.parametrize(("is_commit", "offset"), [(True, 6), (False, 5)])
def test_a_transaction_is_as_open_after_a_restart_as_before(
    tmp_path: Path, is_commit: bool, offset: int
) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0))
            request = a_txn_commit({("t", 0): 6})
            assert await world.commit_in_transaction(request) is ErrorCode.NONE
        async with World(tmp_path) as world:
            partition = world.groups._topic.partition_of("g")
            assert partition.shard.offsets.has_pending("g", "t", 0)
            assert await world.committed("t") == 5
            world.end_transaction(is_commit=is_commit)
            assert await world.committed("t") == offset
        async with World(tmp_path) as world:
            assert await world.committed("t") == offset
            partition = world.groups._topic.partition_of("g")
            assert not partition.shard.offsets.has_pending("g", "t", 0)

    run(main())


def test_the_coordinator_of_transactions_is_asked_once_in_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            index = world.groups.offsets_partition("g")
            for offset in range(3):
                await world.commit_in_transaction(a_txn_commit({("t", 0): offset}))
            assert world.confirmed == [index]
            world.end_transaction(is_commit=True)
            await world.commit_in_transaction(a_txn_commit(T0))
            assert world.confirmed == [index] * 2
            await world.commit_in_transaction(a_txn_commit(T0, producer_id=5))
            assert world.confirmed == [index] * 3

    run(main())


def test_a_transaction_that_is_not_in_order_commits_nothing(tmp_path: Path) -> None:
    async def refuse(index: int) -> None:
        raise KafkaError(ErrorCode.INVALID_TXN_STATE)

    async def main() -> None:
        async with World(tmp_path) as world:
            # Even who may not commit hears of the transaction first, as in Kafka.
            request = a_txn_commit(T0, generation_id=7)
            refused = world.groups.commit_offsets_in_transaction(request, refuse)
            assert await code_of(lambda: refused) is ErrorCode.INVALID_TXN_STATE
            assert await code_of(lambda: world.commit_in_transaction(request)) is (
                ErrorCode.ILLEGAL_GENERATION
            )
            request = a_txn_commit(T0, group_id="")
            assert await code_of(lambda: world.commit_in_transaction(request)) is (
                ErrorCode.INVALID_GROUP_ID
            )
            assert world.groups._topic.partition_of("g").log.log_end_offset == 0

    run(main())


def test_a_producer_of_an_older_epoch_is_fenced(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            request = a_txn_commit(T0)
            request.producer_epoch = 1
            await world.commit_in_transaction(request)
            old = world.commit_in_transaction(a_txn_commit({("t", 0): 4}))
            assert await code_of(lambda: old) is ErrorCode.INVALID_PRODUCER_EPOCH
            with pytest.raises(KafkaError) as refused:
                world.end_transaction(is_commit=True)
            assert refused.value.code is ErrorCode.INVALID_PRODUCER_EPOCH
            world.end_transaction(epoch=1, is_commit=True)
            assert await world.committed("t") == 5

    run(main())


def test_only_the_coordinator_of_a_loaded_partition_ends_transactions(tmp_path: Path) -> None:
    def end(world: World, index: int) -> ErrorCode:
        with pytest.raises(KafkaError) as refused:
            world.groups.end_transaction(index, 4, 0, is_commit=True, coordinator_epoch=0)
        return refused.value.code

    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0))
            assert end(world, 2) is ErrorCode.NOT_COORDINATOR
            index = world.groups.offsets_partition("g")
        assert end(world, index) is ErrorCode.COORDINATOR_NOT_AVAILABLE
        world = World(tmp_path)
        world.groups.start()
        assert end(world, index) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        await world.groups.loaded()
        world.end_transaction(is_commit=True)
        await world.close()

    run(main())


def test_a_group_has_its_partition_before_the_topic_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, offsets_topic_num_partitions="7") as world:
            assert world.groups.offsets_partition("g") == partition_for("g", 2)
            world.metadata.publish(an_image())
            assert world.groups.offsets_partition("g") == partition_for("g", 7)
        with pytest.raises(KafkaError):
            world.groups.offsets_partition("g")

    run(main())
