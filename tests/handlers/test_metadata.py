import asyncio
from pathlib import Path

import pytest

from pykbroker.handlers import metadata
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
)
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run

VERSIONS = range(14)
NEWEST = 13
UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
INVALID_NAME = ErrorCode.INVALID_TOPIC_EXCEPTION
NOT_REQUESTED = -(2**31)
NO_ID = bytes(16)
UNKNOWN_ID = bytes(15) + b"\x12"


def a_request(
    *names: str, auto_create: bool = False, ids: tuple[bytes, ...] = ()
) -> MetadataRequest:
    return MetadataRequest(
        topics=[MetadataRequestTopic(name=name) for name in names]
        + [MetadataRequestTopic(topic_id=topic_id, name=None) for topic_id in ids],
        allow_auto_topic_creation=auto_create,
    )


def found(response: MetadataResponse) -> dict[str | None, tuple[int, int]]:
    """The error and the number of partitions by name."""
    rows = {topic.name: (int(topic.error_code), len(topic.partitions)) for topic in response.topics}
    assert len(rows) == len(response.topics), "a topic is listed twice"
    return rows


async def ask(
    broker: BrokerHarness, request: MetadataRequest, version: int = NEWEST
) -> MetadataResponse:
    response = await answer(broker, metadata, request, version)
    assert isinstance(response, MetadataResponse)
    host, port = broker.broker.advertised_endpoint(broker.connection)
    # Whatever is asked: librdkafka hangs on an empty list of brokers.
    rack = broker.image.brokers[1].rack if version >= 1 else None
    assert response.brokers == [MetadataResponseBroker(1, host, port, rack)]
    return response


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_is_described_as_far_as_the_version_can_say(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, broker_rack="r1") as broker:
            topic_id = await broker.create_topic("t", partitions=2)
            request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
            response = await ask(broker, request, version)

            assert response.controller_id == (1 if version >= 1 else -1)
            assert response.cluster_id == (broker.image.cluster_id if version >= 2 else None)
            assert response.error_code == ErrorCode.NONE
            (topic,) = response.topics
            assert (topic.error_code, topic.name, topic.is_internal) == (0, "t", False)
            assert topic.topic_id == (topic_id if version >= 10 else NO_ID)
            assert topic.partitions == [
                MetadataResponsePartition(
                    partition_index=index,
                    leader_id=1,
                    leader_epoch=0 if version >= 7 else -1,
                    replica_nodes=[1],
                    isr_nodes=[1],
                )
                for index in range(2)
            ]
            assert topic.topic_authorized_operations == NOT_REQUESTED
            assert response.cluster_authorized_operations == NOT_REQUESTED

    run(scenario())


def test_an_empty_list_is_all_in_v0_and_none_later_when_null_is_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("a")
            await broker.create_topic("b", partitions=3)
            all_topics = {"a": (0, 1), "b": (0, 3)}

            assert found(await ask(broker, MetadataRequest(topics=[]), 0)) == all_topics
            for version in VERSIONS[1:]:
                empty = await ask(broker, MetadataRequest(topics=[]), version)
                assert found(empty) == {}, f"v{version}"
                null = await ask(broker, MetadataRequest(topics=None), version)
                assert found(null) == all_topics, f"v{version}"

    run(scenario())


def test_an_unknown_topic_is_created_and_shown_in_the_same_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, num_partitions="3") as broker:
            for version in VERSIONS:
                name = f"new{version}"
                request = MetadataRequest(topics=[MetadataRequestTopic(name=name)])
                assert found(await ask(broker, request, version)) == {name: (0, 3)}
                assert broker.log(name, 2).log_end_offset == 0

    run(scenario())


def test_a_client_may_forbid_the_creation_since_v4(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            for version in VERSIONS[4:]:
                response = await ask(broker, a_request("new", auto_create=False), version)
                assert found(response) == {"new": (UNKNOWN, 0)}, f"v{version}"
            assert broker.image.topic("new") is None

    run(scenario())


def test_the_broker_may_forbid_the_creation(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, auto_create_topics_enable="false") as broker:
            response = await ask(broker, a_request("new", auto_create=True))
            assert found(response) == {"new": (UNKNOWN, 0)}
            assert broker.image.topic("new") is None

    run(scenario())


def test_what_cannot_be_created_leaves_the_others_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("a.b")
            names = ("a_b", "a b", "..", "", "x" * 250, "__cluster_metadata", "good", "a.b")
            response = await ask(broker, a_request(*names, auto_create=True))
            assert found(response) == {
                "a_b": (UNKNOWN, 0),
                "a b": (INVALID_NAME, 0),
                "..": (INVALID_NAME, 0),
                "": (INVALID_NAME, 0),
                "x" * 250: (INVALID_NAME, 0),
                "__cluster_metadata": (UNKNOWN, 0),
                "good": (0, 1),
                "a.b": (0, 1),
            }

    run(scenario())


def test_two_clients_that_need_the_same_new_topic_both_get_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = a_request("new", "__consumer_offsets", auto_create=True)
            both = await asyncio.gather(ask(broker, request), ask(broker, request))
            for response in both:
                assert found(response) == {"new": (0, 1), "__consumer_offsets": (0, 50)}

    run(scenario())


def test_more_replicas_than_brokers_by_default_creates_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, default_replication_factor="3") as broker:
            response = await ask(broker, a_request("new", auto_create=True))
            assert found(response) == {"new": (UNKNOWN, 0)}

    run(scenario())


def test_internal_topics_are_created_with_settings_of_their_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, offsets_topic_num_partitions="2") as broker:
            name = "__consumer_offsets"
            unknown = await ask(broker, a_request(name, auto_create=False))
            assert found(unknown) == {name: (UNKNOWN, 0)}
            assert unknown.topics[0].is_internal

            created = await ask(broker, a_request(name, auto_create=True))
            assert found(created) == {name: (0, 2)}
            assert created.topics[0].is_internal
            assert broker.broker.metadata.topic_config(name).is_compacted

            # There are no share groups here.
            share = await ask(broker, a_request("__share_group_state", auto_create=True))
            assert found(share) == {"__share_group_state": (UNKNOWN, 0)}

    run(scenario())


def test_a_topic_listed_twice_is_answered_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            twice = await ask(broker, a_request("t", "t", "gone", "gone"))
            assert found(twice) == {"t": (0, 1), "gone": (UNKNOWN, 0)}
            by_id = await ask(broker, a_request(ids=(topic_id, topic_id)))
            assert found(by_id) == {"t": (0, 1)}

    run(scenario())


@pytest.mark.parametrize("version", [12, 13])
def test_topics_are_found_by_id_and_then_names_do_not_count(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            topic_id = await broker.create_topic("t")
            await broker.create_topic("other")
            request = a_request("other", "new", ids=(topic_id, UNKNOWN_ID), auto_create=True)
            response = await ask(broker, request, version)
            assert [
                (topic.error_code, topic.name, topic.topic_id) for topic in response.topics
            ] == [
                (0, "t", topic_id),
                (ErrorCode.UNKNOWN_TOPIC_ID, None, UNKNOWN_ID),
            ]
            assert broker.image.topic("new") is None

            # Also when the same entry has a name.
            request = MetadataRequest(topics=[MetadataRequestTopic(topic_id, "other")])
            assert found(await ask(broker, request, version)) == {"t": (0, 1)}

    run(scenario())


@pytest.mark.parametrize("version", [10, 11])
@pytest.mark.parametrize(
    "topic",
    [MetadataRequestTopic(UNKNOWN_ID, "t"), MetadataRequestTopic(name=None)],
)
def test_ids_are_refused_before_v12(
    tmp_path: Path, version: int, topic: MetadataRequestTopic
) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = MetadataRequest(topics=[topic, MetadataRequestTopic(name="t")])
            response = await ask(broker, request, version)
            codes = [(row.error_code, row.name, row.topic_id) for row in response.topics]
            assert codes == [
                (ErrorCode.INVALID_REQUEST, topic.name or "", topic.topic_id),
                (ErrorCode.INVALID_REQUEST, "t", NO_ID),
            ]

    run(scenario())


def test_neither_name_nor_id_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = MetadataRequest(topics=[MetadataRequestTopic(name=None)])
            response = await ask(broker, request)
            assert response.error_code == ErrorCode.INVALID_REQUEST
            assert [topic.error_code for topic in response.topics] == [ErrorCode.INVALID_REQUEST]

    run(scenario())


def test_authorized_operations_come_when_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            request = a_request("t", "gone")
            request.include_topic_authorized_operations = True
            for version in VERSIONS[8:]:
                # v11 has given this to DescribeCluster.
                request.include_cluster_authorized_operations = version < 11
                response = await ask(broker, request, version)
                shown = [topic.topic_authorized_operations for topic in response.topics]
                assert shown == [3576, 3576]
                cluster = 8096 if version < 11 else NOT_REQUESTED
                assert response.cluster_authorized_operations == cluster

            unknown = a_request(ids=(UNKNOWN_ID,))
            unknown.include_topic_authorized_operations = True
            (topic,) = (await ask(broker, unknown)).topics
            assert topic.topic_authorized_operations == NOT_REQUESTED

    run(scenario())


def test_a_partition_without_a_live_leader_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            broker.change_partition("t", 0, leader=7, replicas=(7, 1), leader_epoch=4)
            ((partition,),) = [
                topic.partitions for topic in (await ask(broker, a_request("t"))).topics
            ]
            assert partition.error_code == ErrorCode.LEADER_NOT_AVAILABLE
            assert (partition.leader_id, partition.leader_epoch) == (-1, 4)
            assert (partition.replica_nodes, partition.offline_replicas) == ([7, 1], [7])

    run(scenario())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unexpected_failure_is_said_for_each_topic(version: int) -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
    response = metadata.error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR)
    data = memoryview(b"".join(response.encode(version)))
    (topic,) = MetadataResponse.decode(data, version).topics
    assert (topic.name, topic.error_code) == ("t", ErrorCode.UNKNOWN_SERVER_ERROR)
    assert metadata.error_response(MetadataRequest(topics=None), ErrorCode.NONE).topics == []
