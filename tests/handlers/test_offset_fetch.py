from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import offset_commit, offset_fetch
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness
from tests.harness.coordinators import OFFSETS_TOPIC, a_group_broker
from tests.harness.groups import a_commit
from tests.harness.loop import run

EVERY_VERSION = pytest.mark.parametrize("version", range(1, 11))
FIRST_BATCHED, FIRST_BY_ID = 8, 10
NO_SUCH_ID = b"n" * 16


def a_fetch(
    version: int, group_id: str, topics: dict[str, list[int]] | None, ids: dict[str, bytes]
) -> OffsetFetchRequest:
    """Ask the way this version does; None asks for everything."""
    if version < FIRST_BATCHED:
        old = None
        if topics is not None:
            old = [OffsetFetchRequestTopic(name, list(p)) for name, p in topics.items()]
        return OffsetFetchRequest(group_id=group_id, topics=old)
    new = None
    if topics is not None:
        new = [
            OffsetFetchRequestTopics(partition_indexes=list(p), topic_id=ids.get(name, NO_SUCH_ID))
            if version >= FIRST_BY_ID
            else OffsetFetchRequestTopics(name, partition_indexes=list(p))
            for name, p in topics.items()
        ]
    return OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id, topics=new)])


def told(response: Any, ids: dict[str, bytes]) -> dict[tuple[str, int], tuple[int, str, int]]:
    names = {topic_id: name for name, topic_id in ids.items()} | {NO_SUCH_ID: "unknown"}
    topics = response.groups[0].topics if response.groups else response.topics
    return {
        (topic.name or names[topic.topic_id], p.partition_index): (
            p.committed_offset,
            p.metadata,
            p.error_code,
        )
        for topic in topics
        for p in topic.partitions
    }


async def prepare(broker: BrokerHarness) -> dict[str, bytes]:
    ids = {name: await broker.create_topic(name, 2) for name in ("t", "u")}
    await broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
    request = a_commit({("t", 0): 5, ("u", 1): 6}, metadata="m")
    await answer(broker, offset_commit, request, 9)
    return ids


@EVERY_VERSION
def test_offsets_are_told_for_partitions_and_for_everything(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            ids = await prepare(broker)
            request = a_fetch(version, "g", {"t": [0, 1]}, ids)
            response = await answer(broker, offset_fetch, request, version)
            assert told(response, ids) == {("t", 0): (5, "m", 0), ("t", 1): (-1, "", 0)}
            if version >= 2:
                request = a_fetch(version, "g", None, ids)
                response = await answer(broker, offset_fetch, request, version)
                assert told(response, ids) == {("t", 0): (5, "m", 0), ("u", 1): (6, "m", 0)}
            for group_id, topics in (("g", {}), ("absent", {"t": [0]})):
                request = a_fetch(version, group_id, topics, ids)
                response = await answer(broker, offset_fetch, request, version)
                assert response.error_code == ErrorCode.NONE
                assert told(response, ids) == {(name, 0): (-1, "", 0) for name in topics}

    run(scenario())


def test_topics_that_are_gone_keep_their_names_but_not_their_ids(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            ids = await prepare(broker)
            unknown = a_fetch(10, "g", {"t": [0], "x": [0]}, ids)
            response = await answer(broker, offset_fetch, unknown, 10)
            assert told(response, ids) == {
                ("t", 0): (5, "m", 0),
                ("unknown", 0): (-1, "", ErrorCode.UNKNOWN_TOPIC_ID),
            }
            # An offset that a client with its own expiry committed does not know the topic's id.
            old = a_commit({("t", 0): 7, ("u", 0): 8})
            old.retention_time_ms = 100_000
            await answer(broker, offset_commit, old, 4)
            everything = a_fetch(10, "g", None, ids)
            response = await answer(broker, offset_fetch, everything, 10)
            assert told(response, ids)["t", 0] == (7, "", 0)
            broker.show_image(broker.image.without_topics(["t"]))
            response = await answer(broker, offset_fetch, everything, 10)
            assert {name for name, _ in told(response, ids)} == {"u"}
            by_name = await answer(broker, offset_fetch, a_fetch(9, "g", None, ids), 9)
            assert {name for name, _ in told(by_name, ids)} == {"t", "u"}

    run(scenario())


def test_an_error_of_the_coordinator_is_told_where_the_version_can(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(1, 11):
                request = a_fetch(version, "g", {"t": [0]}, {"t": b"t" * 16})
                response = await answer(broker, offset_fetch, request, version)
                code = ErrorCode.NOT_COORDINATOR
                if version >= FIRST_BATCHED:
                    assert [group.error_code for group in response.groups] == [code]
                elif version >= 2:
                    assert (response.error_code, response.topics) == (code, [])
                else:
                    assert told(response, {}) == {("t", 0): (-1, "", code)}

    run(scenario())


def test_many_groups_are_told_apart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            await prepare(broker)
            topics = [OffsetFetchRequestTopics("t", partition_indexes=[0])]
            groups = [OffsetFetchRequestGroup(name, topics=topics) for name in ("g", "h")]
            response = await answer(broker, offset_fetch, OffsetFetchRequest(groups=groups), 8)
            assert [
                (group.group_id, group.topics[0].partitions[0].committed_offset)
                for group in response.groups
            ] == [("g", 5), ("h", -1)]

    run(scenario())


@EVERY_VERSION
def test_every_version_can_tell_an_error(version: int) -> None:
    for topics in ({"t": [0]}, None):
        if version == 1 and topics is None:
            continue
        request = a_fetch(version, "g", topics, {})
        response = offset_fetch.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR)
        response.encode(version)
