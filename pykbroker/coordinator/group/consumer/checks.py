"""What a ConsumerGroupHeartbeat must say, and who may say it.

The messages are Kafka's, word for word: people search for them. Source: KIP-848; Kafka's
GroupCoordinatorService and GroupMetadataManager.
"""

from typing import Final

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup
from pykbroker.coordinator.group.consumer.member import (
    JOIN_EPOCH,
    LEAVE_EPOCH,
    STATIC_LEAVE_EPOCH,
    ConsumerMember,
)
from pykbroker.coordinator.group.consumer.reconcile import Owned
from pykbroker.coordinator.group.consumer.settings import ConsumerGroupSettings
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest

FIRST_VERSION_WITH_CLIENT_MEMBER_ID: Final = 1
NO_TIMEOUT: Final = -1
# Java's String.trim takes away all characters up to the blank.
_TRIMMED_BY_JAVA: Final = "".join(map(chr, range(0x21)))


def check_request(
    request: ConsumerGroupHeartbeatRequest, api_version: int, settings: ConsumerGroupSettings
) -> None:
    """Check what can be checked before any group is looked at.

    Raises:
        KafkaError: INVALID_REQUEST or UNSUPPORTED_ASSIGNOR.
    """
    epoch = request.member_epoch
    if api_version >= FIRST_VERSION_WITH_CLIENT_MEMBER_ID or epoch > 0 or epoch == LEAVE_EPOCH:
        _refuse_empty(request.member_id, "MemberId can't be empty.")
    _refuse_empty(request.group_id, "GroupId can't be empty.")
    _refuse_empty(request.instance_id, "InstanceId can't be empty.")
    _refuse_empty(request.rack_id, "RackId can't be empty.")
    if epoch == JOIN_EPOCH:
        _check_joining(request)
    elif epoch == STATIC_LEAVE_EPOCH:
        if request.instance_id is None:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "InstanceId can't be null.")
    elif epoch < STATIC_LEAVE_EPOCH:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "MemberEpoch is invalid.")
    assignor = request.server_assignor
    if assignor is not None and assignor not in settings.assignors:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {assignor} is not supported. "
            f"Supported assignors: {', '.join(settings.assignors)}.",
        )


def _refuse_empty(text: str | None, message: str) -> None:
    if text is not None and not text.strip(_TRIMMED_BY_JAVA):
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)


def _check_joining(request: ConsumerGroupHeartbeatRequest) -> None:
    if request.rebalance_timeout_ms == NO_TIMEOUT:
        message = "RebalanceTimeoutMs must be provided in first request."
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)
    if request.topic_partitions is None or request.topic_partitions:
        message = "TopicPartitions must be empty when (re-)joining."
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)
    if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
        message = (
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
            "when (re-)joining."
        )
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)


def check_room(group: ConsumerGroup, member_id: str, max_size: int) -> None:
    """Let nobody new into a full group.

    Raises:
        KafkaError: GROUP_MAX_SIZE_REACHED.
    """
    if len(group.members) >= max_size and member_id not in group.members:
        raise KafkaError(
            ErrorCode.GROUP_MAX_SIZE_REACHED,
            f"The consumer group has reached its maximum capacity of {max_size} members.",
        )


def check_epoch(member: ConsumerMember, received_epoch: int, owned: Owned | None) -> None:
    """Fence a member whose epoch is not the one it was told last.

    The one before counts too, as long as the member has nothing that it should not have: the
    answer with the newer epoch may have been lost. Joining anew is always allowed.

    Raises:
        KafkaError: FENCED_MEMBER_EPOCH.
    """
    if received_epoch in (JOIN_EPOCH, member.member_epoch):
        return
    if received_epoch > member.member_epoch:
        _fence("greater", received_epoch, member.member_epoch)
    is_previous = received_epoch == member.previous_member_epoch
    if not is_previous or not _owns_only_assigned(owned, member):
        _fence("smaller", received_epoch, member.member_epoch)


def _owns_only_assigned(owned: Owned | None, member: ConsumerMember) -> bool:
    if owned is None:
        return False
    for topic in owned:
        assigned = member.assigned.get(topic.topic_id)
        if assigned is None or any(index not in assigned for index in topic.partitions):
            return False
    return True


def _fence(how: str, received_epoch: int, known_epoch: int) -> None:
    raise KafkaError(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The consumer group member has a {how} member epoch ({received_epoch}) than the one known "
        f"by the group coordinator ({known_epoch}). "
        "The member must abandon all its partitions and rejoin.",
    )


def check_instance(member: ConsumerMember | None, instance_id: str, member_id: str) -> None:
    """Make sure that an instance id belongs to the member that uses it.

    Raises:
        KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    """
    if member is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if member.member_id != member_id:
        raise KafkaError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{member.member_id}.",
        )


def check_released(elder: ConsumerMember, instance_id: str, member_id: str) -> None:
    """Let nobody take the place of a static member that has not left.

    Raises:
        KafkaError: UNRELEASED_INSTANCE_ID.
    """
    if elder.member_epoch != STATIC_LEAVE_EPOCH:
        raise KafkaError(
            ErrorCode.UNRELEASED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} cannot join the group "
            f"because the instance id is owned by {elder.member_id} member.",
        )
