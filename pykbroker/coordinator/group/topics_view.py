"""What a coordinator sees of the cluster's topics; the metadata image has this shape."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol


class PartitionView(Protocol):
    """One partition of a topic."""

    @property
    def replicas(self) -> Sequence[int]:
        """The brokers that have a copy."""


class TopicView(Protocol):
    """One topic."""

    @property
    def name(self) -> str:
        """The topic's name."""

    @property
    def topic_id(self) -> bytes:
        """The 16 bytes of the topic's id."""

    @property
    def partitions(self) -> Sequence[PartitionView]:
        """The topic's partitions, in order."""


class BrokerView(Protocol):
    """One broker."""

    @property
    def rack(self) -> str | None:
        """Where the broker stands."""


class TopicsView(Protocol):
    """All topics and brokers at one moment."""

    @property
    def topics(self) -> Mapping[str, TopicView]:
        """The topics by name."""

    @property
    def topics_by_id(self) -> Mapping[bytes, TopicView]:
        """The topics by id."""

    @property
    def brokers(self) -> Mapping[int, BrokerView]:
        """The brokers by node id."""


class _NoTopics:
    topics: Mapping[str, TopicView] = {}
    topics_by_id: Mapping[bytes, TopicView] = {}
    brokers: Mapping[int, BrokerView] = {}


NO_TOPICS: Final[TopicsView] = _NoTopics()
"""A cluster without topics."""
