"""Who may commit and read a consumer group's offsets: members, by their member epoch.

A commit may be of an older epoch than the member's, if the member has had the partition since
then: the heartbeat that moved the member on may have crossed the commit (KIP-1251). Without
members anybody may commit by epoch -1, and read always; in a transaction, with members too.

Source: KIP-848, KIP-1251; Kafka's ConsumerGroup.
"""

from typing import Final

from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup

NO_EPOCH: Final = -1


def check_commit(group: ConsumerGroup, committer: Committer) -> None:
    """Refuse a commit by somebody who does not have the partitions.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, STALE_MEMBER_EPOCH, or
            ILLEGAL_GENERATION for a member of the classic protocol.
    """
    epoch = committer.epoch
    if epoch < 0 and not group.members:
        return
    if committer.is_transactional and committer.is_anonymous and epoch == NO_EPOCH:
        return
    member = group.member(committer.member_id)
    if not member.uses_classic_protocol and not committer.knows_member_epochs:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    if epoch == member.member_epoch:
        return
    if epoch > member.member_epoch:
        raise KafkaError(_stale(member))
    for topic_id, index in committer.partitions:
        since = _held_since(member, topic_id, index)
        if since is None or epoch < since:
            raise KafkaError(_stale(member))


def _stale(member: ConsumerMember) -> ErrorCode:
    if member.uses_classic_protocol:
        return ErrorCode.ILLEGAL_GENERATION
    return ErrorCode.STALE_MEMBER_EPOCH


def _held_since(member: ConsumerMember, topic_id: bytes, index: int) -> int | None:
    epoch = member.assigned.get(topic_id, {}).get(index)
    return member.pending_revocation.get(topic_id, {}).get(index) if epoch is None else epoch


def check_fetch(group: ConsumerGroup, request: OffsetFetchRequestGroup) -> None:
    """Refuse a member that is not up to date; who does not say that it is a member may read.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a member of
            the classic protocol.
    """
    if request.member_id is None and request.member_epoch < 0:
        return
    member = group.member(request.member_id or "")
    if request.member_epoch != member.member_epoch:
        raise KafkaError(_stale(member))
