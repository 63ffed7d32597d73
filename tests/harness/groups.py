"""A coordinator shard with a log, a clock and clients, all in memory and stepped by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeVar

from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.offsets import NO_PRODUCER_ID
from pykbroker.coordinator.group.records import decode_record, encode_record
from pykbroker.coordinator.group.shard import GroupShard
from pykbroker.coordinator.group.step import Caller, GroupSettings, Step
from pykbroker.coordinator.group.topics_view import NO_TOPICS, TopicsView
from pykbroker.coordinator.transition import ComputationKey, SetTimer, TimerKey, Transition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
)
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
)
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from pykbroker.protocol.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)

ResponseT = TypeVar("ResponseT")
START_MS = 1_000_000
LATEST_JOIN = 9


def a_subscription(*topics: str, version: int = 1) -> bytes:
    """Return the metadata of a consumer that wants these topics."""
    body = ConsumerProtocolSubscription(topics=list(topics)).encode(version)
    return version.to_bytes(2, "big") + b"".join(body)


def a_join(
    group_id: str = "g",
    member_id: str = "",
    *,
    instance_id: str | None = None,
    protocols: dict[str, bytes] | None = None,
    protocol_type: str = "consumer",
    session_timeout_ms: int = 10_000,
    rebalance_timeout_ms: int = 30_000,
    reason: str | None = None,
) -> JoinGroupRequest:
    """Return a JoinGroup request of a consumer of topic `t`."""
    if protocols is None:
        protocols = {"range": a_subscription("t")}
    return JoinGroupRequest(
        group_id=group_id,
        member_id=member_id,
        group_instance_id=instance_id,
        protocol_type=protocol_type,
        protocols=[JoinGroupRequestProtocol(name, data) for name, data in protocols.items()],
        session_timeout_ms=session_timeout_ms,
        rebalance_timeout_ms=rebalance_timeout_ms,
        reason=reason,
    )


def a_txn_commit(
    offsets: dict[tuple[str, int], int],
    *,
    producer_id: int = 4,
    group_id: str = "g",
    member_id: str = "",
    instance_id: str | None = None,
    generation_id: int = -1,
    metadata: str | None = "",
) -> TxnOffsetCommitRequest:
    """Return a TxnOffsetCommit request: (topic, partition) -> offset."""
    topics: dict[str, TxnOffsetCommitRequestTopic] = {}
    for (topic, partition), offset in offsets.items():
        entry = topics.setdefault(topic, TxnOffsetCommitRequestTopic(name=topic))
        entry.partitions.append(
            TxnOffsetCommitRequestPartition(
                partition_index=partition, committed_offset=offset, committed_metadata=metadata
            )
        )
    return TxnOffsetCommitRequest(
        transactional_id=f"txn-{producer_id}",
        group_id=group_id,
        producer_id=producer_id,
        producer_epoch=0,
        generation_id=generation_id,
        member_id=member_id,
        group_instance_id=instance_id,
        topics=list(topics.values()),
    )


def a_commit(
    offsets: dict[tuple[str, int], int],
    *,
    group_id: str = "g",
    member_id: str = "",
    instance_id: str | None = None,
    generation_id: int = -1,
    retention_ms: int = -1,
    metadata: str | None = "",
) -> OffsetCommitRequest:
    """Return an OffsetCommit request: (topic, partition) -> offset."""
    topics: dict[str, OffsetCommitRequestTopic] = {}
    for (topic, partition), offset in offsets.items():
        entry = topics.setdefault(topic, OffsetCommitRequestTopic(name=topic))
        entry.partitions.append(
            OffsetCommitRequestPartition(
                partition_index=partition, committed_offset=offset, committed_metadata=metadata
            )
        )
    return OffsetCommitRequest(
        group_id=group_id,
        member_id=member_id,
        group_instance_id=instance_id,
        generation_id_or_member_epoch=generation_id,
        retention_time_ms=retention_ms,
        topics=list(topics.values()),
    )


class Logged(NamedTuple):
    """One record of a shard's log as it would be on the disk, or the marker of a transaction."""

    key: bytes = b""
    value: bytes | None = None
    producer_id: int = NO_PRODUCER_ID
    is_commit_marker: bool | None = None


def replay(shard: GroupShard, log: Sequence[Logged], now_ms: int, first_offset: int = 0) -> None:
    """Have a shard take over part of a log, as a restart does."""
    for offset, logged in enumerate(log, first_offset):
        if logged.is_commit_marker is not None:
            shard.end_transaction(logged.producer_id, is_committed=logged.is_commit_marker)
            continue
        record = decode_record(logged.key, logged.value)
        assert record is not None
        shard.replay(record, offset, now_ms, logged.producer_id)


class ShardDriver:
    """Does for one shard what the runtime does, and remembers everything.

    Attributes:
        log: The records as they would be on the disk.
        timers: When each running timer is due.
        computations: What is being computed; it ends when time moves on.
        answers: Responses that went by token.
        transitions: What was done, one entry for each operation.
        failing_appends: The next appends fail with this code.
        operations: How many there were, successful or not, with the markers of transactions.
            While it stays the same, so does the shard.
    """

    def __init__(self, settings: GroupSettings | None = None, now_ms: int = START_MS) -> None:
        self.settings = settings or GroupSettings()
        self.now_ms = now_ms
        self.log: list[Logged] = []
        self.timers: dict[TimerKey, int] = {}
        self.computations: dict[ComputationKey, Callable[[], object]] = {}
        self.answers: dict[int, Any] = {}
        self.transitions: list[Transition[Any]] = []
        self.failing_appends: ErrorCode | None = None
        self.operations = 0
        self.topics: TopicsView = NO_TOPICS
        self._uuids = count(1)
        self._tokens = count(1)
        self.shard = GroupShard(self._next_uuid, is_loaded=True)

    def _next_uuid(self) -> str:
        return str(next(self._uuids))

    def step(self) -> Step:
        return Step(self.now_ms, self.settings, self.topics)

    def group(self, group_id: str = "g") -> ClassicGroup:
        """Return a classic group."""
        group = self.shard.groups[group_id]
        assert isinstance(group, ClassicGroup)
        return group

    def classic_groups(self) -> dict[str, ClassicGroup]:
        """Return all groups, which are classic ones."""
        return {group_id: self.group(group_id) for group_id in self.shard.groups}

    def consumer_group(self, group_id: str = "g") -> ConsumerGroup:
        """Return a consumer group."""
        group = self.shard.groups[group_id]
        assert isinstance(group, ConsumerGroup)
        return group

    def run(
        self,
        operation: Callable[[Step], Transition[ResponseT]],
        producer_id: int = NO_PRODUCER_ID,
    ) -> ResponseT:
        self.operations += 1
        transition = operation(self.step())
        if transition.records and self.failing_appends is not None:
            code = self.failing_appends
            self.failing_appends = None
            failed = transition.if_append_fails
            if failed is None:
                self._take_effect(transition._replace(records=()))
            else:
                self.run(lambda step: self.shard.undo(step, failed, code))
            raise KafkaError(code)
        for record in transition.records:
            self._append(Logged(*encode_record(record), producer_id))
        self._take_effect(transition)
        return transition.response

    def _append(self, logged: Logged) -> None:
        self.log.append(logged)
        replay(self.shard, [logged], self.now_ms, len(self.log) - 1)

    def _take_effect(self, transition: Transition[Any]) -> None:
        self.transitions.append(transition)
        for timer in transition.timers:
            if isinstance(timer, SetTimer):
                if timer.keeps_running and timer.key in self.timers:
                    continue
                self.timers[timer.key] = self.now_ms + timer.delay_ms
            else:
                self.timers.pop(timer.key, None)
        for computation in transition.computations:
            self.computations.setdefault(computation.key, computation.task)
        for answer in transition.answers:
            assert answer.token not in self.answers, "answered twice"
            self.answers[answer.token] = answer.response

    def advance(self, ms: int) -> None:
        """Move time on and let due timers run out, each at its own time."""
        end_ms = self.now_ms + ms
        while self.computations:
            key = next(iter(self.computations))
            result = self.computations.pop(key)()
            with contextlib.suppress(KafkaError):
                self.run(partial(self.shard.computed, key=key, result=result))
        while self.timers:
            key = min(self.timers, key=self.timers.__getitem__)
            if self.timers[key] > end_ms:
                break
            self.now_ms = max(self.now_ms, self.timers.pop(key))
            with contextlib.suppress(KafkaError):
                self.run(partial(self.shard.expire, key=key))
        self.now_ms = end_ms

    def restarted(self) -> ShardDriver:
        """Return a new coordinator that has replayed this one's log."""
        successor = ShardDriver(self.settings, self.now_ms)
        successor.log = list(self.log)
        successor.topics = self.topics
        successor.shard.is_loaded = False
        successor._uuids, successor._tokens = self._uuids, self._tokens
        successor.operations = self.operations
        replay(successor.shard, self.log, self.now_ms)
        successor.run(successor.shard.loaded)
        return successor

    # Clients

    def send_join(
        self, request: JoinGroupRequest, client_id: str = "c", version: int = LATEST_JOIN
    ) -> int:
        """Send a JoinGroup and return its token; the answer may come later."""
        token = next(self._tokens)
        caller = Caller(client_id, "/127.0.0.1", version)
        with contextlib.suppress(KafkaError):
            self.run(lambda step: self.shard.join(step, request, caller, token))
        return token

    def join(
        self, request: JoinGroupRequest, client_id: str = "c", version: int = LATEST_JOIN
    ) -> JoinGroupResponse:
        """Send a JoinGroup whose answer comes at once."""
        answer = self.answers[self.send_join(request, client_id, version)]
        assert isinstance(answer, JoinGroupResponse)
        return answer

    def send_join_twice(self, request: JoinGroupRequest, client_id: str = "c") -> int:
        """Fetch a member id and come back with it, as clients do since KIP-394."""
        promised = self.join(request, client_id)
        assert promised.error_code == ErrorCode.MEMBER_ID_REQUIRED
        request.member_id = promised.member_id
        return self.send_join(request, client_id)

    def send_sync(
        self,
        member_id: str,
        generation_id: int,
        assignment: dict[str, bytes] | None = None,
        *,
        group_id: str = "g",
        instance_id: str | None = None,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
    ) -> int:
        """Send a SyncGroup and return its token; the answer may come later."""
        token = next(self._tokens)
        request = SyncGroupRequest(
            group_id=group_id,
            member_id=member_id,
            generation_id=generation_id,
            group_instance_id=instance_id,
            protocol_type=protocol_type,
            protocol_name=protocol_name,
            assignments=[
                SyncGroupRequestAssignment(name, data) for name, data in (assignment or {}).items()
            ],
        )
        with contextlib.suppress(KafkaError):
            self.run(lambda step: self.shard.sync(step, request, token))
        return token

    def sync(self, member_id: str, generation_id: int, **fields: Any) -> SyncGroupResponse:
        """Send a SyncGroup whose answer comes at once."""
        answer = self.answers[self.send_sync(member_id, generation_id, **fields)]
        assert isinstance(answer, SyncGroupResponse)
        return answer

    def heartbeat(
        self, member_id: str, generation_id: int, instance_id: str | None = None, group: str = "g"
    ) -> ErrorCode:
        request = HeartbeatRequest(
            group_id=group,
            member_id=member_id,
            generation_id=generation_id,
            group_instance_id=instance_id,
        )
        response = self.run(lambda step: self.shard.heartbeat(step, request))
        assert isinstance(response, HeartbeatResponse)
        return ErrorCode(response.error_code)

    def leave(self, *members: tuple[str, str | None], group_id: str = "g") -> list[ErrorCode]:
        request = LeaveGroupRequest(
            group_id=group_id,
            members=[MemberIdentity(member_id=m, group_instance_id=i) for m, i in members],
        )
        response = self.run(lambda step: self.shard.leave(step, request))
        assert isinstance(response, LeaveGroupResponse)
        return [ErrorCode(member.error_code) for member in response.members]

    def commit(self, request: OffsetCommitRequest, version: int = 9) -> ErrorCode:
        """Commit and return the error of the first partition, or of the whole request."""
        try:
            response = self.run(lambda step: self.shard.commit_offsets(step, request, version))
        except KafkaError as error:
            return error.code
        assert isinstance(response, OffsetCommitResponse)
        return ErrorCode(response.topics[0].partitions[0].error_code)

    def commit_in_transaction(self, request: TxnOffsetCommitRequest) -> ErrorCode:
        """Commit in a transaction; returns the error of the first partition or of the request."""
        operation = partial(self.shard.commit_offsets_in_transaction, request=request)
        try:
            response = self.run(operation, request.producer_id)
        except KafkaError as error:
            return error.code
        return ErrorCode(response.topics[0].partitions[0].error_code)

    def end_transaction(self, producer_id: int, *, is_commit: bool) -> None:
        """Write and take over the marker of a transaction."""
        self.operations += 1
        self._append(Logged(producer_id=producer_id, is_commit_marker=is_commit))

    def fetch(
        self, topic: str, partition: int, group_id: str = "g", *, require_stable: bool = True
    ) -> OffsetFetchResponsePartitions:
        """Return what OffsetFetch tells for one partition."""
        answer = self.fetch_many({topic: [partition]}, group_id, require_stable=require_stable)
        return answer[0].partitions[0]

    def fetch_many(
        self,
        partitions: Mapping[str, Sequence[int]],
        group_id: str = "g",
        *,
        require_stable: bool = True,
    ) -> list[OffsetFetchResponseTopics]:
        """Return what OffsetFetch tells for some topics' partitions."""
        asked = OffsetFetchRequestGroup(
            group_id=group_id,
            topics=[
                OffsetFetchRequestTopics(name=topic, partition_indexes=list(indexes))
                for topic, indexes in partitions.items()
            ],
        )
        return self.shard.fetch_offsets(asked, require_stable=require_stable).topics

    def committed(self, topic: str, partition: int, group_id: str = "g") -> int:
        """Return the offset that OffsetFetch tells for one partition."""
        return self.fetch(topic, partition, group_id, require_stable=False).committed_offset

    def stable_group(self, *client_ids: str, **join_fields: Any) -> list[str]:
        """Bring members into group `g` together and make it Stable; returns their ids."""
        tokens = [self.send_join_twice(a_join(**join_fields), name) for name in client_ids]
        self.advance(0)
        joined = [self.answers[token] for token in tokens]
        member_ids = [answer.member_id for answer in joined]
        generation_id = joined[0].generation_id
        leader = joined[0].leader
        for member_id in member_ids:
            if member_id != leader:
                self.send_sync(member_id, generation_id)
        self.send_sync(leader, generation_id, {m: m.encode() for m in member_ids})
        assert self.group().state.value == "Stable"
        return member_ids
