"""Classic groups as a kind of group: what all kinds are asked, answered for this one."""

from collections.abc import Iterable

from pykbroker.coordinator.group.classic_group import NO_TIMESTAMP, ClassicGroup
from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.offsets import CommittedOffset
from pykbroker.coordinator.group.rebalance import (
    expire_join,
    expire_session,
    expire_sync,
    prepare_rebalance,
    renew_session,
)
from pykbroker.coordinator.group.records import group_tombstone
from pykbroker.coordinator.group.state import GroupState
from pykbroker.coordinator.group.step import DOWNGRADE, JOIN, REBALANCE, SESSION, SYNC, Step
from pykbroker.coordinator.transition import CoordinatorRecord, TimerKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup


class ClassicKind:
    """See `kinds.GroupKind`."""

    type_name = "classic"

    def protocol_type(self, group: ClassicGroup) -> str:
        """Return what the members are; nothing for a group without any so far."""
        return group.protocol_type or ""

    def state_name(self, group: ClassicGroup) -> str:
        """Return the state as clients see it."""
        return group.state.value

    def is_empty(self, group: ClassicGroup) -> bool:
        """Whether the group has no members."""
        return group.state is GroupState.EMPTY

    def check_commit(self, group: ClassicGroup, committer: Committer) -> None:
        """Refuse a commit by somebody who is not a member of the current generation.

        Without members anybody may commit by generation -1: simple consumers and administrators.
        In a transaction, with members too.

        Raises:
            KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, or
                REBALANCE_IN_PROGRESS while the assignment is not known.
        """
        if committer.epoch < 0 and group.state is GroupState.EMPTY:
            return
        if committer.is_anonymous:
            if not committer.is_transactional:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
            return
        error_code = group.check_member(committer.member_id, committer.group_instance_id)
        if error_code is not ErrorCode.NONE:
            raise KafkaError(error_code)
        if committer.epoch != group.generation_id:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        if group.state is GroupState.COMPLETING_REBALANCE and not committer.is_transactional:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)

    def has_committed(self, group: ClassicGroup, step: Step, member_id: str) -> None:
        """A commit keeps its member's session alive."""
        member = group.members.get(member_id)
        if member is not None:
            renew_session(group, step, member)

    def check_fetch(self, group: ClassicGroup, request: OffsetFetchRequestGroup) -> None:
        """Let everybody read: classic members do not say who they are."""

    def check_offset_delete(self, group: ClassicGroup) -> None:
        """Refuse where members' subscriptions are opaque.

        Raises:
            KafkaError: NON_EMPTY_GROUP.
        """
        if group.state is not GroupState.EMPTY and not group.uses_consumer_protocol():
            raise KafkaError(ErrorCode.NON_EMPTY_GROUP)

    def is_subscribed_to(self, group: ClassicGroup, topic: str) -> bool:
        """Whether a member consumes the topic."""
        return group.is_subscribed_to(topic)

    def offsets_may_expire(self, group: ClassicGroup) -> bool:
        """Whether offsets of topics that nobody consumes are too old one day."""
        if group.protocol_type is None or group.state is GroupState.EMPTY:
            return True
        return (
            group.state is GroupState.STABLE
            and group.uses_consumer_protocol()
            and group.subscribed_topics is not None
        )

    def offset_age_begins_ms(self, group: ClassicGroup, committed: CommittedOffset) -> int:
        """Return when an offset's time began: when the last member went, or at the commit."""
        counts_from_empty = (
            group.protocol_type is not None
            and group.state is GroupState.EMPTY
            and group.state_timestamp_ms != NO_TIMESTAMP
        )
        return group.state_timestamp_ms if counts_from_empty else committed.commit_timestamp_ms

    def may_go(self, group: ClassicGroup) -> bool:
        """Whether the group is deleted once it has no offsets.

        Somebody may be on the way back with a promised member id. Kafka deletes the group even so.
        """
        return group.state is GroupState.EMPTY and not group.pending_joins

    def tombstones(self, group: ClassicGroup) -> Iterable[CoordinatorRecord]:
        """Return what says that the group is gone."""
        return [group_tombstone(group.group_id)]

    def loaded(self, group: ClassicGroup, step: Step) -> None:
        """Begin to serve a group whose records have all been replayed."""
        group.restore()
        for member in group.members.values():
            renew_session(group, step, member)
        if len(group.members) > step.settings.max_size:
            prepare_rebalance(group, step, "loaded with more members than group.max.size")

    def expire(self, group: ClassicGroup, step: Step, key: TimerKey) -> None:
        """A timer of the group ran out; one of the consumer group that it was finds nobody."""
        kind = key[0]
        assert kind in (SESSION, JOIN, SYNC, REBALANCE, DOWNGRADE)
        if kind == SESSION:
            expire_session(group, step, member_id=key[2])
        elif kind == JOIN and len(key) == 2:
            expire_join(group, step)
        elif kind == SYNC and len(key) == 2:
            expire_sync(group, step)
        elif kind == DOWNGRADE and group.state is GroupState.STABLE:
            prepare_rebalance(group, step, "the last member of the consumer protocol has gone")

    def computed(self, group: ClassicGroup, step: Step, result: object | None) -> None:
        """Do nothing: what was computed was for the consumer group that it was."""

    def topics_changed(self, group: ClassicGroup, *, has_new: bool) -> None:
        """Do nothing: the members themselves watch the topics."""
