from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import offset_commit, offset_delete
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from tests.harness.answers import answer
from tests.harness.coordinators import GroupClient, a_group_broker
from tests.harness.groups import a_commit
from tests.harness.loop import run


def a_delete(group_id: str, topics: dict[str, list[int]]) -> OffsetDeleteRequest:
    return OffsetDeleteRequest(
        group_id=group_id,
        topics=[
            OffsetDeleteRequestTopic(name, [OffsetDeleteRequestPartition(index) for index in p])
            for name, p in topics.items()
        ],
    )


def codes(response: Any) -> dict[tuple[str, int], int]:
    return {
        (topic.name, p.partition_index): p.error_code
        for topic in response.topics
        for p in topic.partitions
    }


def test_every_partition_is_answered_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for topic in ("t", "u"):
                await broker.create_topic(topic)
            member_id = await GroupClient(broker).become_member()
            commit = a_commit({("u", 0): 1}, member_id=member_id, generation_id=1)
            await answer(broker, offset_commit, commit, 9)
            request = a_delete("g", {"t": [0], "u": [0, 5], "gone": [0]})
            response = await answer(broker, offset_delete, request, 0)
            assert response.error_code == ErrorCode.NONE
            assert codes(response) == {
                ("t", 0): ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
                ("u", 0): ErrorCode.NONE,
                ("u", 5): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ("gone", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            }
            assert len(response.topics) == 3

    run(scenario())


def test_an_unknown_topic_is_told_of_even_where_no_partition_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await GroupClient(broker).become_member()
            response = await answer(broker, offset_delete, a_delete("g", {"t": [], "gone": []}), 0)
            assert [topic.name for topic in response.topics] == ["gone"]

    run(scenario())


@pytest.mark.parametrize(
    ("group_id", "code"),
    [
        ("", ErrorCode.INVALID_GROUP_ID),
        ("absent", ErrorCode.GROUP_ID_NOT_FOUND),
        ("opaque", ErrorCode.NON_EMPTY_GROUP),
    ],
)
def test_a_group_without_deletable_offsets_is_told_at_the_top(
    tmp_path: Path, group_id: str, code: ErrorCode
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await broker.create_topic("t")
            await GroupClient(broker).become_member("opaque", protocol_type="connect")
            refused = await answer(broker, offset_delete, a_delete(group_id, {"t": [0]}), 0)
            assert (refused.error_code, refused.topics) == (code, [])

    run(scenario())
