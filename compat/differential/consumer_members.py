"""Members of consumer groups (KIP-848) as the cases play them."""

from dataclasses import replace
from typing import Any, Final

from compat.differential.plain import Sort
from compat.differential.session import Session
from compat.processes import eventually
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    TopicPartitions,
)

LONG_MS: Final = 60_000
JOIN: Final = 0
LEAVE: Final = -1
STATIC_LEAVE: Final = -2
FIRST_WITH_REGEX: Final = 1

BY_PARTITIONS: Sort = {"topic_partitions": "partitions", "members": "member_id"}
OF_A_GROUP: Sort = {
    "groups": "group_id",
    "topic_partitions": "topic_name",
    "members": "member_id",
    "subscribed_topic_names": None,
}


class Consumer:
    """A member of a consumer group, or one who wants to be.

    It chooses its own member id, which every version allows.
    """

    def __init__(
        self,
        session: Session,
        group_id: str,
        name: str = "a",
        *,
        topics: list[str] | None = None,
        regex: str | None = None,
        instance_id: str | None = None,
        rebalance_timeout_ms: int = LONG_MS,
        version: int = ConsumerGroupHeartbeatRequest.MAX_VERSION,
    ) -> None:
        self.session = session
        self.group_id = group_id
        self.member_id = f"{group_id}-{name}"
        self.topics = topics
        self.regex = regex
        self.instance_id = instance_id
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.version = version
        self.epoch = JOIN
        self.owned: list[TopicPartitions] = []

    def request(self, **changes: Any) -> ConsumerGroupHeartbeatRequest:
        """A heartbeat that says nothing new."""
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group_id,
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.instance_id,
        )
        return replace(request, **changes)

    def joining(self, **changes: Any) -> ConsumerGroupHeartbeatRequest:
        """A heartbeat that joins."""
        request = self.request(
            member_epoch=JOIN,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            subscribed_topic_names=self.topics,
            subscribed_topic_regex=self.regex,
            topic_partitions=[],
        )
        return replace(request, **changes)

    def join(self, **changes: Any) -> Any:
        """Join, and hold what the answer says."""
        self.owned = []
        return self._told(
            self.session.send(self.joining(**changes), self.version, sort=BY_PARTITIONS)
        )

    def beat(self, **changes: Any) -> Any:
        """Send a heartbeat, and hold what the answer says."""
        return self._told(
            self.session.send(self.request(**changes), self.version, sort=BY_PARTITIONS)
        )

    def confirm(self, **changes: Any) -> Any:
        """Tell what it owns, which is what it was told last."""
        return self.beat(topic_partitions=list(self.owned), **changes)

    def leave(self, epoch: int = LEAVE) -> Any:
        """Leave for good, or for a while."""
        return self.session.send(self.request(member_epoch=epoch), self.version)

    def _told(self, answer: Any) -> Any:
        if answer.error_code == ErrorCode.NONE:
            self.member_id = answer.member_id
            self.epoch = answer.member_epoch
            if answer.assignment is not None:
                self.owned = answer.assignment.topic_partitions
        return answer


def describe(session: Session, *group_ids: str, version: int = 1) -> Any:
    """ConsumerGroupDescribe."""
    request = ConsumerGroupDescribeRequest(group_ids=list(group_ids))
    return session.send(request, version, sort=OF_A_GROUP)


def a_topic(session: Session, label: str = "t", partitions: int = 4) -> str:
    """Make a topic and wait until the coordinator knows of it; gives its name."""
    topic = session.create_topic(label, partitions=partitions)
    probe = Consumer(session, session.name(f"probe-{label}"), topics=[topic])

    def is_assigned() -> bool:
        answer = session.ask(probe.joining(), probe.version)
        return bool(answer.assignment and answer.assignment.topic_partitions)

    eventually(is_assigned, what=f"topic {topic} at the coordinator")
    session.ask(probe.request(member_epoch=LEAVE), probe.version)
    return topic


def joined_when_assigned(session: Session, member: Consumer) -> None:
    """Join when the coordinator knows of the topic, so that epochs are the same at both brokers."""
    probe = Consumer(session, session.name("probe"), topics=member.topics)
    while True:
        answer = session.ask(probe.joining(), probe.version)
        if answer.assignment and answer.assignment.topic_partitions:
            break
    member.join()
