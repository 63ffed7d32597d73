"""Requests made at random, the same for both brokers: what nobody thought of.

`--rounds N` plays the seeds 1 to N; one is the usual.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from compat.differential.cases import case
from compat.differential.data_plane import batch, fill
from compat.differential.plain import Sort
from compat.differential.random_requests import PARTITIONS, RandomRequests
from compat.differential.session import Session
from compat.differential.wire import Request
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.messages.delete_records import DeleteRecordsRequest
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.describe_topic_partitions import DescribeTopicPartitionsRequest
from pykbroker.protocol.messages.fetch import FetchRequest
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest
from pykbroker.protocol.messages.list_offsets import ListOffsetsRequest
from pykbroker.protocol.messages.metadata import MetadataRequest
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest
from pykbroker.protocol.messages.offset_delete import OffsetDeleteRequest
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequest
from pykbroker.protocol.messages.offset_for_leader_epoch import OffsetForLeaderEpochRequest
from pykbroker.protocol.primitives import NULL_UUID

REQUESTS = 12
TIME_ENOUGH = 5.0
BY_TOPIC: Sort = {"topics": "topic", "partitions": "partition"}
BY_NAME: Sort = {"topics": "name", "partitions": "partition_index"}


def send_some(
    session: Session,
    request_type: type[Request],
    version: int,
    sort: Sort | None = None,
    left_out: Sequence[Any] = (),
) -> None:
    """Send requests that are the same in every run and differ from case to case."""
    topics = []
    for label in ("a", "b"):
        topics.append(session.create_topic(label, partitions=PARTITIONS))
        for partition in range(PARTITIONS):
            fill(session, topics[-1], batch(session), batch(session, [b"c"]), partition=partition)
    api = ApiKey(request_type.API_KEY)
    for seed in range(1, session.rounds + 1):
        requests = RandomRequests(session, api, Random(f"{seed} {api} {version}"), topics, left_out)
        for _ in range(REQUESTS):
            request = requests.make(version)
            if session.attempt(request, version, sort=sort, seconds=TIME_ENOUGH) is None:
                session.reconnect()


@case(FetchRequest)
def test_fetch(session: Session, version: int) -> None:
    # Kafka fails on several partitions of the null id: it takes them for topics by name.
    send_some(session, FetchRequest, version, left_out=[NULL_UUID])


@case(ListOffsetsRequest)
def test_list_offsets(session: Session, version: int) -> None:
    send_some(session, ListOffsetsRequest, version, BY_NAME)


@case(OffsetForLeaderEpochRequest)
def test_offset_for_leader_epoch(session: Session, version: int) -> None:
    send_some(session, OffsetForLeaderEpochRequest, version, BY_TOPIC)


@case(DeleteRecordsRequest)
def test_delete_records(session: Session, version: int) -> None:
    send_some(session, DeleteRecordsRequest, version, BY_NAME)


@case(MetadataRequest, versions=(*range(4, 10), 12, 13))
def test_metadata(session: Session, version: int) -> None:
    """Without making topics, which is asynchronous, and without all topics, which others make.

    Ids in versions 10 and 11 are refused in another way on purpose.
    """
    send_some(session, MetadataRequest, version, BY_NAME, left_out=[None])


@case(DescribeTopicPartitionsRequest)
def test_describe_topic_partitions(session: Session, version: int) -> None:
    """Not all topics, and none without a name, on which Kafka fails."""
    send_some(session, DescribeTopicPartitionsRequest, version, BY_NAME, left_out=[None, ""])


@case(FindCoordinatorRequest)
def test_find_coordinator(session: Session, version: int) -> None:
    send_some(session, FindCoordinatorRequest, version)


@case(OffsetCommitRequest)
def test_offset_commit(session: Session, version: int) -> None:
    send_some(session, OffsetCommitRequest, version)


@case(OffsetFetchRequest)
def test_offset_fetch(session: Session, version: int) -> None:
    by_id: Sort = {"topics": "topic_id", "partitions": "partition_index"}
    send_some(session, OffsetFetchRequest, version, BY_NAME if version < 10 else by_id, [""])


@case(OffsetDeleteRequest)
def test_offset_delete(session: Session, version: int) -> None:
    send_some(session, OffsetDeleteRequest, version, BY_NAME)


@case(DescribeGroupsRequest)
def test_describe_groups(session: Session, version: int) -> None:
    send_some(session, DescribeGroupsRequest, version, {"groups": "group_id"})


@case(HeartbeatRequest)
def test_heartbeat(session: Session, version: int) -> None:
    send_some(session, HeartbeatRequest, version)


@case(LeaveGroupRequest)
def test_leave_group(session: Session, version: int) -> None:
    send_some(session, LeaveGroupRequest, version)
