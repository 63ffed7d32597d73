import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pykbroker.broker import OFFSETS_TOPIC
from pykbroker.faults.enforcement import Enforcement
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.rules import Rules
from pykbroker.handlers import APIS, elect_leaders, load, offset_fetch
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
)
from pykbroker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest
from pykbroker.protocol.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from pykbroker.protocol.messages.produce import PartitionProduceData, ProduceRequest
from pykbroker.protocol.messages.sasl_handshake import SaslHandshakeRequest
from pykbroker.request_context import CloseConnection, RequestContext
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.fetched import a_fetch, numbers, values
from tests.harness.loop import run, turns, until
from tests.harness.produced import a_batch, a_request, append

NEWEST_PRODUCE = 12


class Faulty:
    """A broker without sockets whose handlers obey rules."""

    def __init__(self, broker: BrokerHarness) -> None:
        self.broker = broker
        self.rules = Rules()
        self.enforcement = Enforcement(self.rules, broker.broker)

    async def call(self, request: Any, version: int) -> Any:
        api: Any = self.enforcement.wrap(load(APIS[request.API_KEY]))
        return await self.broker.call(api, request, version)

    async def produce(self, *partitions: int, acks: int = 1) -> dict[int, int]:
        """Append one record to each partition of `t`; returns their error codes."""
        request = a_request(None, acks=acks)
        request.topic_data[0].partition_data = [
            PartitionProduceData(number, a_batch()) for number in partitions
        ]
        response = await self.call(request, NEWEST_PRODUCE)
        (topic,) = response.responses
        return {each.index: each.error_code for each in topic.partition_responses}

    def end_offsets(self) -> list[int]:
        return [self.broker.log("t", number).log_end_offset for number in (0, 1)]


@asynccontextmanager
async def a_faulty_broker(directory: Path) -> AsyncIterator[Faulty]:
    async with a_broker(directory) as broker:
        await broker.create_topic("t", partitions=2)
        yield Faulty(broker)


def test_what_no_rule_is_for_takes_its_ordinary_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", topic="other", close="before")
            api = faulty.enforcement.wrap(load(APIS[ApiKey.PRODUCE]))
            request = a_request(a_batch())
            response = api.handle(faulty.broker.context(NEWEST_PRODUCE), request)
            assert isinstance(response, api.response_type), "and not a task"

    run(main())


def test_partitions_fail_and_are_not_appended_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", partition=1, error="NOT_LEADER_OR_FOLLOWER", times=1)
            assert await faulty.produce(0, 1) == {0: 0, 1: ErrorCode.NOT_LEADER_OR_FOLLOWER}
            assert faulty.end_offsets() == [1, 0]
            assert await faulty.produce(0, 1) == {0: 0, 1: 0}

    run(main())


def test_partitions_fail_that_are_appended_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            code = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
            faulty.rules.add("Produce", partition=1, error=code.name, after_effect=True)
            assert await faulty.produce(0, 1) == {0: 0, 1: code}
            assert faulty.end_offsets() == [1, 1]

    run(main())


@pytest.mark.parametrize(("after_effect", "end_offsets"), [(False, [0, 0]), (True, [1, 1])])
def test_one_error_for_all_is_that_of_the_request(
    tmp_path: Path, after_effect: bool, end_offsets: list[int]
) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", error="REQUEST_TIMED_OUT", after_effect=after_effect)
            with pytest.raises(KafkaError, match="REQUEST_TIMED_OUT"):
                await faulty.produce(0, 1)
            assert faulty.end_offsets() == end_offsets

    run(main())


def test_two_errors_may_leave_nothing_to_be_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", partition=0, error="REQUEST_TIMED_OUT")
            faulty.rules.add("Produce", partition=1, error="CORRUPT_MESSAGE")
            assert await faulty.produce(0, 1) == {
                0: ErrorCode.REQUEST_TIMED_OUT,
                1: ErrorCode.CORRUPT_MESSAGE,
            }
            assert faulty.end_offsets() == [0, 0]

    run(main())


@pytest.mark.parametrize(("partitions", "end_offsets"), [((0, 1), [1, 0]), ((1,), [0, 0])])
def test_who_wants_no_answer_is_disconnected(
    tmp_path: Path, partitions: tuple[int, ...], end_offsets: list[int]
) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", partition=1, error="NOT_LEADER_OR_FOLLOWER")
            with pytest.raises(CloseConnection, match="acks=0"):
                await faulty.produce(*partitions, acks=0)
            assert faulty.end_offsets() == end_offsets

    run(main())


@pytest.mark.parametrize(("close", "end_offsets"), [("before", [0, 0]), ("after", [1, 0])])
def test_a_connection_is_closed_before_or_after_the_effect(
    tmp_path: Path, close: Any, end_offsets: list[int]
) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", close=close)
            with pytest.raises(CloseConnection, match=f"{close} the request"):
                await faulty.produce(0)
            assert faulty.end_offsets() == end_offsets

    run(main())


def test_a_connection_is_closed_also_after_a_request_that_fails(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("CreateTopics", close="after")
            request = CreateTopicsRequest([CreatableTopic("x", 0)])
            with pytest.raises(CloseConnection):
                await faulty.call(request, 5)

    run(main())


def test_a_lost_answer_never_comes(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", lose_answer=True)
            waiting = asyncio.create_task(faulty.produce(0))
            await until(lambda: faulty.end_offsets() == [1, 0])
            await turns()
            assert not waiting.done()
            faulty.enforcement.release()
            with pytest.raises(CloseConnection, match="is stopping"):
                await waiting
            with pytest.raises(CloseConnection, match="is stopping"):
                await faulty.produce(0)

    run(main())


@pytest.mark.parametrize("fault", [{"delay_ms": 20}, {"read_bytes_per_s": 5_000}])
def test_a_request_is_begun_later(tmp_path: Path, fault: dict[str, Any]) -> None:
    """The request has about 100 bytes."""

    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", **fault)
            waiting = asyncio.create_task(faulty.produce(0))
            started = asyncio.get_running_loop().time()
            await turns()
            assert faulty.end_offsets() == [0, 0]
            assert await waiting == {0: 0}
            assert asyncio.get_running_loop().time() - started > 0.01
            assert faulty.end_offsets() == [1, 0]

    run(main())


def test_an_answer_tells_a_throttle_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add(throttle_ms=70)
            assert (await faulty.call(HeartbeatRequest("g"), 4)).throttle_time_ms == 70
            response = await faulty.call(SaslHandshakeRequest("PLAIN"), 1)
            assert response.error_code != 0, "it has no throttle time"
            unanswered = a_request(a_batch(), acks=0)
            assert await faulty.call(unanswered, NEWEST_PRODUCE) is None

    run(main())


def test_partitions_of_a_transaction_fail_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("AddPartitionsToTxn", partition=1, error="UNKNOWN_TOPIC_OR_PARTITION")
            request = AddPartitionsToTxnRequest(
                v3_and_below_transactional_id="x",
                v3_and_below_topics=[AddPartitionsToTxnTopic("t", [0, 1])],
            )
            response = await faulty.call(request, 3)
            (topic,) = response.results_by_topic_v3_and_below
            assert [
                (each.partition_index, each.partition_error_code)
                for each in topic.results_by_partition
            ] == [
                (0, ErrorCode.OPERATION_NOT_ATTEMPTED),
                (1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ]

    run(main())


def test_an_answer_with_room_for_one_error_fails_as_a_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add(topic="t", error="GROUP_SUBSCRIBED_TO_TOPIC")
            partitions = [OffsetDeleteRequestPartition(0)]
            topics = [OffsetDeleteRequestTopic(name, partitions) for name in ("t", "u")]
            with pytest.raises(KafkaError, match="GROUP_SUBSCRIBED_TO_TOPIC"):
                await faulty.call(OffsetDeleteRequest("g", topics), 0)

    run(main())


@pytest.mark.parametrize(
    ("match", "code_of_all", "codes"),
    [
        (
            {"topic": "t", "partition": 1},
            0,
            [ErrorCode.ELECTION_NOT_NEEDED, ErrorCode.NOT_CONTROLLER],
        ),
        ({"topic": "t"}, 0, [ErrorCode.NOT_CONTROLLER] * 2),
        ({}, ErrorCode.NOT_CONTROLLER, [ErrorCode.NOT_CONTROLLER] * 2),
    ],
)
def test_an_answer_with_room_at_both_levels_tells_an_error_where_the_rule_is_for(
    tmp_path: Path, match: dict[str, Any], code_of_all: int, codes: list[int]
) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("ElectLeaders", error="NOT_CONTROLLER", **match)
            request = ElectLeadersRequest(topic_partitions=[TopicPartitions("t", [0, 1])])
            try:
                response = await faulty.call(request, 2)
            except KafkaError as error:
                response = elect_leaders.error_response(request, error.code)
            (topic,) = response.replica_election_results
            partitions = {each.partition_id: each.error_code for each in topic.partition_result}
            assert (response.error_code, partitions) == (code_of_all, dict(enumerate(codes)))

    run(main())


def test_topics_that_fail_are_not_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add(topic="new-*", error="POLICY_VIOLATION")
            topics = [CreatableTopic(name, 1, 1) for name in ("new-1", "other")]
            response = await faulty.call(CreateTopicsRequest(topics), 7)
            assert {each.name: each.error_code for each in response.topics} == {
                "other": 0,
                "new-1": ErrorCode.POLICY_VIOLATION,
            }
            asked = [MetadataRequestTopic(name="new-2")]
            response = await faulty.call(MetadataRequest(asked), 12)
            assert [(each.name, each.error_code) for each in response.topics] == [
                ("new-2", ErrorCode.POLICY_VIOLATION)
            ]
            assert response.brokers
            assert set(faulty.broker.image.topics) == {"t", "other"}

    run(main())


def test_a_group_or_one_of_its_partitions_fails(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            asked = OffsetFetchRequestTopics("t", partition_indexes=[0, 1])
            request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup("g", topics=[asked])])
            await faulty.broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            await answer(faulty.broker, offset_fetch, request, 9)  # when the groups are loaded
            with faulty.rules.add("OffsetFetch", partition=1, topic="t", error=88):
                response = await faulty.call(request, 9)
                (group,) = response.groups
                assert group.error_code == 0
                assert [p.error_code for p in group.topics[0].partitions] == [0, 88]
            faulty.rules.add("OffsetFetch", group="g", error="NOT_COORDINATOR")
            (group,) = (await faulty.call(request, 9)).groups
            assert (group.error_code, group.topics) == (ErrorCode.NOT_COORDINATOR, [])

    run(main())


def test_a_fetch_fails_for_partitions_and_does_not_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            await append(faulty.broker, b"one")
            faulty.rules.add("Fetch", partition=1, error="NOT_LEADER_OR_FOLLOWER")
            request = a_fetch((0, 0), (1, 0), max_wait_ms=60_000, min_bytes=10_000)
            response = await faulty.call(request, 12)
            assert numbers(response) == [("t", 0, 0), ("t", 1, 6)]
            assert values(response.responses[0].partitions[0]) == [b"one"]
            faulty.rules.add("Fetch", error="FETCH_SESSION_ID_NOT_FOUND")
            with pytest.raises(KafkaError, match="FETCH_SESSION_ID_NOT_FOUND"):
                await faulty.call(request, 12)

    run(main())


def test_a_fetch_fails_for_partitions_that_only_its_session_names(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            topic_id = faulty.broker.image.topics["t"].topic_id
            for version, name in ((12, {"topic": "t"}), (16, {"topic": "", "topic_id": topic_id})):
                full = a_fetch((0, 0), (1, 0), session_epoch=0, **name)
                opened = await faulty.call(full, version)
                rule = faulty.rules.add("Fetch", topic="t", partition=1, error=6)
                request = a_fetch(session_id=opened.session_id, session_epoch=1)
                response = await faulty.call(request, version)
                assert [
                    (partition.partition_index, partition.error_code)
                    for topic in response.responses
                    for partition in topic.partitions
                ] == [(1, 6)]
                rule.remove()
                request.session_epoch = 2
                assert (await faulty.call(request, version)).responses == []

    run(main())


def test_offsets_are_listed_of_the_other_partitions(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("ListOffsets", partition=0, error="LEADER_NOT_AVAILABLE")
            partitions = [ListOffsetsPartition(number, timestamp=-1) for number in (0, 1)]
            request = ListOffsetsRequest(topics=[ListOffsetsTopic("t", partitions)])
            (topic,) = (await faulty.call(request, 9)).topics
            assert [(p.partition_index, p.error_code, p.offset) for p in topic.partitions] == [
                (1, 0, 0),
                (0, 5, -1),
            ]

    run(main())


def test_requests_without_items_left_have_their_own_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_faulty_broker(tmp_path) as faulty:
            faulty.rules.add("Produce", error="CLUSTER_AUTHORIZATION_FAILED")
            with pytest.raises(KafkaError, match="CLUSTER_AUTHORIZATION_FAILED"):
                await faulty.call(ProduceRequest(acks=1), NEWEST_PRODUCE)

    run(main())


def test_what_comes_while_time_is_moved_on_is_handled_behind_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            clock = MovableClock(lambda: 0.0, lambda: 0.0)
            loaded = load(APIS[ApiKey.HEARTBEAT])
            handled_ms = []

            async def later() -> HeartbeatResponse:
                return HeartbeatResponse()

            def handle(context: RequestContext, request: HeartbeatRequest) -> Any:
                handled_ms.append(clock.monotonic_ms())
                return HeartbeatResponse() if len(handled_ms) % 2 else later()

            enforcement = Enforcement(Rules(), broker.broker, clock)
            api: Any = enforcement.wrap(replace(loaded, handle=handle))
            calls = []

            def call() -> None:
                request = HeartbeatRequest(group_id="g", member_id="m")
                calls.append(asyncio.create_task(broker.call(api, request, 4)))

            for ms in (0, 1000, 2000):
                clock.call_later(ms, call)
            clock.call_later(9000, lambda: None)
            await asyncio.gather(clock.advance(10_000), clock.advance(5000))
            await asyncio.gather(*calls)
            call()
            await asyncio.gather(*calls)
            assert handled_ms == [15_000] * 4

    run(main())
