from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import offset_commit
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest
from tests.harness.answers import answer
from tests.harness.coordinators import OFFSETS_TOPIC, GroupClient, a_group_broker
from tests.harness.groups import a_commit
from tests.harness.loop import run

EVERY_VERSION = pytest.mark.parametrize("version", range(2, 11))
FIRST_BY_ID = 10
NO_SUCH_ID = b"n" * 16
MIXED = {("t", 0): 5, ("t", 7): 6, ("gone", 0): 7}


def named(request: OffsetCommitRequest, version: int, ids: dict[str, bytes]) -> OffsetCommitRequest:
    """Name topics the way this version does."""
    for topic in request.topics:
        if version >= FIRST_BY_ID:
            topic.name, topic.topic_id = "", ids.get(topic.name, NO_SUCH_ID)
    return request


def codes(response: Any) -> dict[tuple[str | bytes, int], int]:
    return {
        (topic.name or topic.topic_id, p.partition_index): p.error_code
        for topic in response.topics
        for p in topic.partitions
    }


@EVERY_VERSION
def test_what_exists_is_committed_and_the_rest_refused(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            ids = {"t": await broker.create_topic("t", 2)}
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            request = named(a_commit(MIXED), version, ids)
            response = await answer(broker, offset_commit, request, version)
            by_id = version >= FIRST_BY_ID
            gone = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            known, unknown = (ids["t"], NO_SUCH_ID) if by_id else ("t", "gone")
            assert codes(response) == {
                (known, 0): ErrorCode.NONE,
                (known, 7): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                (unknown, 0): gone,
            }
            assert len(response.topics) == 2
            offsets = broker.broker.groups._topic.partition_of("g").shard.offsets
            found = offsets.get("g", "t", 0)
            assert found is not None
            assert (found.offset, found.topic_id) == (5, ids["t"])

    run(scenario())


@EVERY_VERSION
def test_a_refusal_of_the_group_is_told_on_what_exists(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            ids = {"t": await broker.create_topic("t", 2)}
            member_id = await GroupClient(broker).become_member()
            stale = a_commit(MIXED, member_id=member_id, generation_id=9)
            response = await answer(broker, offset_commit, named(stale, version, ids), version)
            assert sorted(codes(response).values()) == sorted(
                [
                    ErrorCode.ILLEGAL_GENERATION,
                    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                    ErrorCode.UNKNOWN_TOPIC_ID
                    if version >= FIRST_BY_ID
                    else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ]
            )
            absent = a_commit({("t", 0): 1}, group_id="none", member_id="m", generation_id=1)
            response = await answer(broker, offset_commit, named(absent, version, ids), version)
            is_new = version >= 9
            expected = ErrorCode.GROUP_ID_NOT_FOUND if is_new else ErrorCode.ILLEGAL_GENERATION
            assert list(codes(response).values()) == [expected]

    run(scenario())


def test_a_commit_of_nothing_that_exists_asks_no_coordinator(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            response = await answer(broker, offset_commit, a_commit({("gone", 0): 1}), 9)
            assert codes(response) == {("gone", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
            response = await answer(broker, offset_commit, a_commit({}), 9)
            assert response.topics == []

    run(scenario())


@EVERY_VERSION
def test_a_topic_named_twice_is_answered_twice_unless_something_is_refused(
    tmp_path: Path, version: int
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            ids = {"t": await broker.create_topic("t", 2)}
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            for refused, counts in ({}, [1, 2]), ({("gone", 0): 7}, [1, 3]):
                request = a_commit({("t", 0): 5, **refused})
                request.topics += a_commit({("t", 0): 6, ("t", 1): 6}).topics
                response = await answer(
                    broker, offset_commit, named(request, version, ids), version
                )
                assert [len(topic.partitions) for topic in response.topics] == counts
            request = a_commit({("gone", 0): 5})
            request.topics += a_commit({("gone", 1): 6}).topics
            response = await answer(broker, offset_commit, named(request, version, ids), version)
            assert [len(topic.partitions) for topic in response.topics] == [2]

    run(scenario())


def test_versions_2_to_4_may_say_how_long_to_keep_the_offset(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            shard = broker.broker.groups._topic.partition_of("g").shard
            for version in range(2, 6):
                request = a_commit({("t", 0): version})
                request.retention_time_ms = 1_000 if version < 5 else -1
                await answer(broker, offset_commit, request, version)
                found = shard.offsets.get("g", "t", 0)
                assert found is not None
                expires_ms = broker.clock.now_ms() + 1_000 if version < 5 else -1
                assert (found.offset, found.expire_timestamp_ms) == (version, expires_ms)

    run(scenario())
