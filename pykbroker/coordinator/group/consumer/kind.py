"""Consumer groups as a kind of group: what all kinds are asked, answered for this one."""

from collections.abc import Iterable
from typing import cast

from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.consumer import offsets
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup, ConsumerGroupState
from pykbroker.coordinator.group.consumer.departure import fence_members
from pykbroker.coordinator.group.consumer.member import MemberState
from pykbroker.coordinator.group.consumer.records import group_tombstones
from pykbroker.coordinator.group.consumer.regex import Resolution, take_resolution
from pykbroker.coordinator.group.offsets import CommittedOffset
from pykbroker.coordinator.group.step import (
    JOIN,
    REBALANCE,
    SESSION,
    SYNC,
    Step,
    rebalance_timer,
    session_timer,
)
from pykbroker.coordinator.group.subscription import CONSUMER_PROTOCOL_TYPE
from pykbroker.coordinator.transition import CoordinatorRecord, TimerKey
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup

_REASONS = {
    SESSION: "session expired",
    JOIN: "did not rejoin in time",
    SYNC: "did not sync in time",
    REBALANCE: "did not let its partitions go in time",
}


class ConsumerKind:
    """See `kinds.GroupKind`."""

    type_name = "consumer"

    def protocol_type(self, group: ConsumerGroup) -> str:
        """Return what the members are."""
        return CONSUMER_PROTOCOL_TYPE

    def state_name(self, group: ConsumerGroup) -> str:
        """Return the state as clients see it."""
        return group.state.value

    def is_empty(self, group: ConsumerGroup) -> bool:
        """Whether the group has no members."""
        return group.state is ConsumerGroupState.EMPTY

    def check_commit(self, group: ConsumerGroup, committer: Committer) -> None:
        """Refuse a commit by somebody who does not have the partitions; see `consumer.offsets`."""
        offsets.check_commit(group, committer)

    def has_committed(self, group: ConsumerGroup, step: Step, member_id: str) -> None:
        """Do nothing: only heartbeats keep a session alive."""

    def check_fetch(self, group: ConsumerGroup, request: OffsetFetchRequestGroup) -> None:
        """Refuse a member that is not up to date; see `consumer.offsets`."""
        offsets.check_fetch(group, request)

    def check_offset_delete(self, group: ConsumerGroup) -> None:
        """Let it be: what is subscribed to is refused topic by topic."""

    def is_subscribed_to(self, group: ConsumerGroup, topic: str) -> bool:
        """Whether a member consumes the topic."""
        return group.is_subscribed_to(topic)

    def offsets_may_expire(self, group: ConsumerGroup) -> bool:
        """Whether offsets of topics that nobody consumes are too old one day: always."""
        return True

    def offset_age_begins_ms(self, group: ConsumerGroup, committed: CommittedOffset) -> int:
        """Return when an offset's time began: at its commit."""
        return committed.commit_timestamp_ms

    def may_go(self, group: ConsumerGroup) -> bool:
        """Whether the group is deleted once it has no offsets."""
        return self.is_empty(group)

    def tombstones(self, group: ConsumerGroup) -> Iterable[CoordinatorRecord]:
        """Return what says that the group is gone."""
        return group_tombstones(group)

    def loaded(self, group: ConsumerGroup, step: Step) -> None:
        """Begin to serve a group whose records have all been replayed."""
        times = step.settings.consumer.times_of(group.group_id)
        for member in group.members.values():
            timeout_ms = times.session_timeout_ms
            if member.classic is not None:
                timeout_ms = member.classic.session_timeout_ms
            step.set_timer(session_timer(group.group_id, member.member_id), timeout_ms)
            if member.state is MemberState.UNREVOKED_PARTITIONS:
                timer = rebalance_timer(group.group_id, member.member_id)
                step.set_timer(timer, member.rebalance_timeout_ms)

    def expire(self, group: ConsumerGroup, step: Step, key: TimerKey) -> None:
        """A timer of the group ran out. One of a group that it was before finds nobody."""
        kind = key[0]
        member = group.members.get(key[2]) if len(key) > 2 else None
        if member is None:
            return
        if kind == REBALANCE and member.state is not MemberState.UNREVOKED_PARTITIONS:
            return
        fence_members(group, step, [member], _REASONS[kind])

    def computed(self, group: ConsumerGroup, step: Step, result: object | None) -> None:
        """The group's regular expressions are resolved, or could not be."""
        group.resolves_regexes = False
        if result is not None:
            take_resolution(group, step, cast("Resolution", result))

    def topics_changed(self, group: ConsumerGroup, *, has_new: bool) -> None:
        """Let the next heartbeat see whether the group needs a new target."""
        group.request_metadata_check()
        group.regexes_are_stale |= has_new
