"""All groups and offsets of one partition of __consumer_offsets.

This is the coordinator that the runtime drives. Operations return a `Transition`; `replay` takes
over records that are in the log, in live work and at start alike. The runtime hands every record
of a transition to `replay` right after the append and before it does anything else.

Source: KIP-848's coordinator runtime; Kafka's GroupCoordinatorShard and GroupMetadataManager.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pykbroker.coordinator.group import admin, expiry, offset_requests
from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.consumer import classic_leave, classic_members, departure
from pykbroker.coordinator.group.consumer import describe as consumer_describe
from pykbroker.coordinator.group.consumer import heartbeat as consumer_heartbeat
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.lookup import existing_group, group_to_join
from pykbroker.coordinator.group.consumer.member import (
    JOIN_EPOCH,
    LEAVE_EPOCH,
    STATIC_LEAVE_EPOCH,
)
from pykbroker.coordinator.group.consumer.regex import ResolveAgain
from pykbroker.coordinator.group.heartbeat import heartbeat
from pykbroker.coordinator.group.join import join
from pykbroker.coordinator.group.joining import Join, join_error
from pykbroker.coordinator.group.kinds import RECORDS_OF_KIND, AnyGroup, KindRecords, kind_of
from pykbroker.coordinator.group.leave import leave
from pykbroker.coordinator.group.offsets import NO_PRODUCER_ID, OffsetStore
from pykbroker.coordinator.group.records import (
    decode_record,
    encode_record,
    new_group_record,
)
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.static_member import RestoreStaticMember, restore_static_member
from pykbroker.coordinator.group.step import Caller, Step
from pykbroker.coordinator.group.sync import AbandonSync, sync, undo_assignment
from pykbroker.coordinator.transition import (
    ComputationKey,
    CoordinatorRecord,
    TimerKey,
    Transition,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_describe import (
    DescribedGroup as DescribedConsumerGroup,
)
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pykbroker.protocol.messages.delete_groups import DeletableGroupResult
from pykbroker.protocol.messages.describe_groups import DescribedGroup
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataKey, GroupMetadataValue
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.join_group import JoinGroupRequest
from pykbroker.protocol.messages.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberResponse,
)
from pykbroker.protocol.messages.list_groups import ListedGroup
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from pykbroker.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
)
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)


@dataclass(slots=True, frozen=True)
class DropGroup:
    """The group whose creation could not be written, and the JoinGroup that asked for it.

    `replaced` is the empty group of another kind that was to give way.
    """

    group_id: str
    token: int
    replaced: AnyGroup | None = None


@dataclass(slots=True)
class GroupShard:
    """The state of one coordinator partition and the operations on it.

    `new_uuid` makes the random part of member ids. Until `loaded` is called only `replay` and
    `end_transaction` may be.
    """

    new_uuid: Callable[[], str]
    groups: dict[str, AnyGroup] = field(default_factory=dict)
    offsets: OffsetStore = field(default_factory=OffsetStore)
    is_loaded: bool = False

    @staticmethod
    def encode(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
        """Return the key and value bytes that go into the log."""
        return encode_record(record)

    @staticmethod
    def decode(key: bytes, value: bytes | None) -> CoordinatorRecord | None:
        """Read a record back; None for a type that belongs to another kind of group."""
        return decode_record(key, value)

    def __len__(self) -> int:
        return len(self.groups)

    # Membership

    def join(
        self, step: Step, request: JoinGroupRequest, caller: Caller, token: int
    ) -> Transition[None]:
        """Handle JoinGroup; the answer goes by token, now or when the join phase ends.

        A group comes to be by the first JoinGroup without a member id, and is written down at
        once, so that it is there for the client's second attempt.
        """
        group = self.groups.get(request.group_id)
        if isinstance(group, ClassicGroup):
            join(group, step, Join.of(request, caller, token), self.new_uuid)
        elif group is not None and not kind_of(group).is_empty(group):
            self._join_consumer_group(group, step, Join.of(request, caller, token))
        elif request.member_id:
            error = join_error(ErrorCode.UNKNOWN_MEMBER_ID, request.member_id)
            step.answer(token, error)
        else:
            if group is not None:
                step.records.extend(kind_of(group).tombstones(group))
            new_group = self._create(request.group_id, step.now_ms)
            join(new_group, step, Join.of(request, caller, token), self.new_uuid)
            step.records.append(new_group_record(request.group_id, step.now_ms))
            step.if_append_fails = DropGroup(request.group_id, token, group)
        return step.done(None)

    def _join_consumer_group(self, group: ConsumerGroup, step: Step, joining: Join) -> None:
        try:
            response = classic_members.join(group, step, joining, self.new_uuid)
        except KafkaError as error:
            step.records.clear()
            response = join_error(error.code, joining.request.member_id)
        step.answer(joining.token, response)

    def sync(self, step: Step, request: SyncGroupRequest, token: int) -> Transition[None]:
        """Handle SyncGroup; the answer goes by token, now or when the leader has synced."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ClassicGroup):
            sync(group, step, request, token)
        elif group is None:
            step.answer(token, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
        else:
            try:
                response = classic_members.sync(group, step, request)
            except KafkaError as error:
                response = SyncGroupResponse(error_code=error.code)
            step.answer(token, response)
        return step.done(None)

    def heartbeat(self, step: Step, request: HeartbeatRequest) -> Transition[HeartbeatResponse]:
        """Handle Heartbeat; raises KafkaError when a consumer group refuses it."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ClassicGroup):
            return step.done(heartbeat(group, step, request))
        if group is None:
            return step.done(HeartbeatResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
        return step.done(classic_members.heartbeat(group, step, request))

    def leave(self, step: Step, request: LeaveGroupRequest) -> Transition[LeaveGroupResponse]:
        """Handle LeaveGroup; of a group that does not exist nobody is a member."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ClassicGroup):
            return step.done(leave(group, step, request))
        if group is not None and not kind_of(group).is_empty(group):
            return step.done(classic_leave.leave(group, step, request))
        strangers = [
            MemberResponse(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                error_code=ErrorCode.UNKNOWN_MEMBER_ID,
            )
            for member in request.members
        ]
        return step.done(LeaveGroupResponse(members=strangers))

    def consumer_heartbeat(
        self, step: Step, request: ConsumerGroupHeartbeatRequest, caller: Caller
    ) -> Transition[ConsumerGroupHeartbeatResponse]:
        """Handle ConsumerGroupHeartbeat; raises KafkaError when it is refused."""
        if request.member_epoch in (LEAVE_EPOCH, STATIC_LEAVE_EPOCH):
            group = existing_group(self.groups, request.group_id)
            return step.done(departure.leave(group, step, request))
        if request.member_epoch == JOIN_EPOCH:
            group = group_to_join(self.groups, step, request.group_id)
        else:
            group = existing_group(self.groups, request.group_id)
        member_id = request.member_id or self.new_uuid()
        return step.done(
            consumer_heartbeat.heartbeat(group, step, request, caller, member_id=member_id)
        )

    # Offsets

    def commit_offsets(
        self, step: Step, request: OffsetCommitRequest, api_version: int
    ) -> Transition[OffsetCommitResponse]:
        """Handle OffsetCommit; raises KafkaError when the whole request is refused."""
        group = self.groups.get(request.group_id)
        return step.done(offset_requests.commit(group, step, request, api_version=api_version))

    def commit_offsets_in_transaction(
        self, step: Step, request: TxnOffsetCommitRequest
    ) -> Transition[TxnOffsetCommitResponse]:
        """Handle TxnOffsetCommit; the records belong into a batch of the request's producer.

        Raises KafkaError when the whole request is refused.
        """
        group = self.groups.get(request.group_id)
        return step.done(offset_requests.commit_in_transaction(group, step, request))

    def fetch_offsets(
        self, request: OffsetFetchRequestGroup, *, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        """Handle OffsetFetch for one group; raises KafkaError when the member is refused."""
        group = self.groups.get(request.group_id)
        return offset_requests.fetch(group, self.offsets, request, require_stable=require_stable)

    def delete_offsets(
        self, step: Step, request: OffsetDeleteRequest
    ) -> Transition[OffsetDeleteResponse]:
        """Handle OffsetDelete; raises KafkaError when the whole request is refused."""
        group = self.groups.get(request.group_id)
        if group is None:
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
        return step.done(offset_requests.delete(group, self.offsets, step, request))

    def forget_topics(self, step: Step, deleted: Iterable[tuple[str, bytes]]) -> Transition[None]:
        """Drop the offsets of deleted topics, given by name and topic id."""
        expiry.forget_topics(self.offsets, step, deleted)
        return step.done(None)

    def expire_offsets(self, step: Step) -> Transition[None]:
        """Drop what has outlived `offsets.retention.minutes`, and groups that are spent."""
        for group in self.groups.values():
            expiry.expire_group(group, self.offsets, step)
        return step.done(None)

    # Administration

    def describe(self, group_id: str) -> DescribedGroup:
        """Handle DescribeGroups for one group."""
        return admin.describe(group_id, self.groups.get(group_id))

    def describe_consumer_group(self, step: Step, group_id: str) -> DescribedConsumerGroup:
        """Handle ConsumerGroupDescribe for one group; raises KafkaError for any other."""
        return consumer_describe.describe(existing_group(self.groups, group_id), step)

    def list_groups(self, states: Sequence[str], types: Sequence[str]) -> list[ListedGroup]:
        """Handle ListGroups for this partition."""
        return admin.list_groups(self.groups.values(), states, types)

    def delete_groups(
        self, step: Step, group_ids: Iterable[str]
    ) -> Transition[list[DeletableGroupResult]]:
        """Handle DeleteGroups for groups of this partition."""
        return step.done(
            [
                DeletableGroupResult(
                    group_id=group_id,
                    error_code=admin.delete_group(
                        group_id, self.groups.get(group_id), self.offsets, step
                    ),
                )
                for group_id in group_ids
            ]
        )

    # Time, failure, and the log

    def expire(self, step: Step, key: TimerKey) -> Transition[None]:
        """A timer ran out. A group that is gone by now needs nothing."""
        group = self.groups.get(key[1])
        if group is not None:
            kind_of(group).expire(group, step, key)
        return step.done(None)

    def computed(self, step: Step, key: ComputationKey, result: object | None) -> Transition[None]:
        """A computation has ended; without a result it failed. The group may be gone by now."""
        group = self.groups.get(key[1])
        if group is not None:
            kind_of(group).computed(group, step, result)
        return step.done(None)

    def topics_changed(self, *, has_new: bool) -> None:
        """The cluster's topics are not what they were; consumer groups look with the next beat."""
        for group in self.groups.values():
            kind_of(group).topics_changed(group, has_new=has_new)

    def undo(self, step: Step, failed: object, error_code: ErrorCode) -> Transition[None]:
        """The records of a transition could not be written: put the soft state right."""
        if isinstance(failed, DropGroup):
            self.groups.pop(failed.group_id, None)
            if failed.replaced is not None:
                self.groups[failed.group_id] = failed.replaced
            step.answer(failed.token, join_error(error_code))
        elif isinstance(failed, classic_members.RefuseJoin):
            step.answer(failed.token, join_error(error_code))
        elif isinstance(failed, departure.FenceAgain):
            departure.fence_again(existing_group(self.groups, failed.group_id), step, failed)
        elif isinstance(failed, ResolveAgain):
            existing_group(self.groups, failed.group_id).regexes_are_stale = True
        elif isinstance(failed, AbandonSync):
            undo_assignment(self._classic(failed.group_id), step, failed, error_code)
        else:
            assert isinstance(failed, RestoreStaticMember)
            restore_static_member(self._classic(failed.group_id), step, failed, error_code)
        return step.done(None)

    def replay(
        self,
        record: CoordinatorRecord,
        record_offset: int,
        now_ms: int,
        producer_id: int = NO_PRODUCER_ID,
    ) -> None:
        """Take over one record of the log; the only place where hard state changes.

        `producer_id` is given for records of a transaction, which count from its marker on.
        """
        key, value = record.key, record.value
        if isinstance(key, OffsetCommitKey):
            assert value is None or isinstance(value, OffsetCommitValue)
            if value is not None and key.group not in self.groups:
                # Offsets without members: a simple group.
                self._create(key.group, now_ms)
            self.offsets.replay(key, value, record_offset, producer_id)
            return
        if isinstance(key, GroupMetadataKey):
            assert value is None or isinstance(value, GroupMetadataValue)
            self._replay_classic(key.group, value, now_ms)
        else:
            self._replay_of_kind(record, RECORDS_OF_KIND[type(key)])

    def _replay_classic(self, group_id: str, value: GroupMetadataValue | None, now_ms: int) -> None:
        group = self.groups.get(group_id)
        if value is None:
            # The group may be of another kind by now, with records of its own.
            if isinstance(group, ClassicGroup):
                del self.groups[group_id]
                group.transition_to(GroupState.DEAD, now_ms)
            return
        if isinstance(group, ClassicGroup):
            group.apply(value, now_ms)
            return
        group = self._create(group_id, now_ms)
        group.apply(value, now_ms)
        if self.is_loaded and value.members:
            # It was a consumer group a moment ago. When the log is loaded, all groups are restored
            # at its end.
            group.restore()

    def _replay_of_kind(self, record: CoordinatorRecord, kind: KindRecords) -> None:
        key, value = record.key, record.value
        group_id: str = key.group_id  # type: ignore[attr-defined]  # all of these keys have it
        group = self.groups.get(group_id)
        if not isinstance(group, kind.group_type):
            if value is None:
                return
            # What was there held offsets only: a group proper has written its tombstones.
            group = self.groups[group_id] = kind.group_type(group_id)
        if value is None and isinstance(key, kind.own_key):
            del self.groups[group_id]
            return
        kind.replay[type(key)](group, key, value)

    def end_transaction(self, producer_id: int, *, is_committed: bool) -> None:
        """Take over a transaction's marker."""
        self.offsets.end_transaction(producer_id, is_committed=is_committed)

    def loaded(self, step: Step) -> Transition[None]:
        """The whole log has been replayed: members get a new session, and work begins."""
        self.is_loaded = True
        for group in self.groups.values():
            kind_of(group).loaded(group, step)
        if self.groups:
            step.log(f"groups_loaded count={len(self.groups)}")
        return step.done(None)

    def _create(self, group_id: str, now_ms: int) -> ClassicGroup:
        group = ClassicGroup(group_id, state_timestamp_ms=now_ms)
        self.groups[group_id] = group
        return group

    def _classic(self, group_id: str) -> ClassicGroup:
        group = self.groups[group_id]
        assert isinstance(group, ClassicGroup)
        return group
