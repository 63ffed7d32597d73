"""What the cluster consists of, as one immutable value.

The image is what every request reads. A change makes a new image, which shares what did not
change; the store persists the difference between the two (`store.MetadataStore.save`), and
readers that hold an old image are not disturbed. Pure: ids and randomness come from outside.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from pykbroker.metadata.features import Features

INTERNAL_TOPICS: Final = frozenset(
    {"__consumer_offsets", "__transaction_state", "__share_group_state"}
)
NO_LEADER: Final = -1
NO_LEADER_EPOCH: Final = -1
NULL_TOPIC_ID: Final = bytes(16)
FIRST_PRODUCER_ID: Final = 0
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ResourceType(IntEnum):
    """What settings may belong to; Kafka's numbers (`ConfigResource.Type`)."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


@dataclass(frozen=True, slots=True)
class PartitionImage:
    """One partition: who leads it since which epoch, who has a copy, whose copy is in sync.

    No epoch has begun (`NO_LEADER_EPOCH`) as long as its log could not be adopted.
    """

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicImage:
    """One topic with all its partitions, in order, and its own settings."""

    name: str
    topic_id: bytes
    partitions: tuple[PartitionImage, ...]
    configs: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def is_internal(self) -> bool:
        """Say whether the broker itself keeps its state in this topic."""
        return self.name in INTERNAL_TOPICS


@dataclass(frozen=True, slots=True)
class BrokerImage:
    """One live broker."""

    node_id: int
    rack: str | None = None


def _empty_topics() -> Mapping[str, TopicImage]:
    return MappingProxyType({})


def _empty_ids() -> Mapping[bytes, TopicImage]:
    return MappingProxyType({})


Configs = Mapping[str, Mapping[str, str]]


def _no_configs() -> Configs:
    return MappingProxyType({})


def _no_deleted_topics() -> Mapping[bytes, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MetadataImage:
    """The whole cluster.

    `node_id` is the broker that holds this image. The `..._configs` map a resource's name (for
    brokers: the node id, or "" for all) to its dynamic settings; topics hold their own.
    `deleted_topics` maps the ids of deleted topics to their names as long as there may be a
    directory of them, which must not bring the topic back.
    """

    cluster_id: str
    node_id: int
    controller_id: int
    brokers: Mapping[int, BrokerImage]
    topics: Mapping[str, TopicImage] = field(default_factory=_empty_topics)
    topics_by_id: Mapping[bytes, TopicImage] = field(default_factory=_empty_ids)
    broker_configs: Configs = field(default_factory=_no_configs)
    group_configs: Configs = field(default_factory=_no_configs)
    client_metrics_configs: Configs = field(default_factory=_no_configs)
    next_producer_id: int = FIRST_PRODUCER_ID
    deleted_topics: Mapping[bytes, str] = field(default_factory=_no_deleted_topics)
    features: Features = field(default_factory=Features)

    def topic(self, name: str) -> TopicImage | None:
        """Return a topic by name."""
        return self.topics.get(name)

    def topic_by_id(self, topic_id: bytes) -> TopicImage | None:
        """Return a topic by id."""
        return self.topics_by_id.get(topic_id)

    def partition(self, name: str, partition: int) -> PartitionImage | None:
        """Return one partition of a topic by name."""
        topic = self.topics.get(name)
        if topic is None or not 0 <= partition < len(topic.partitions):
            return None
        return topic.partitions[partition]

    def configs(self, resource_type: ResourceType, name: str) -> Mapping[str, str]:
        """Return the settings that a resource has of its own; nothing for an unknown one."""
        if resource_type is ResourceType.TOPIC:
            topic = self.topics.get(name)
            return _NOTHING if topic is None else topic.configs
        return self.configs_by_name(resource_type).get(name, _NOTHING)

    def with_topics(self, topics: Iterable[TopicImage]) -> Self:
        """Add topics, or replace those of the same name."""
        by_name = dict(self.topics)
        by_id = dict(self.topics_by_id)
        for topic in topics:
            replaced = by_name.get(topic.name)
            if replaced is not None:
                by_id.pop(replaced.topic_id, None)
            by_name[topic.name] = topic
            by_id[topic.topic_id] = topic
        return self._with_topics(by_name, by_id)

    def without_topics(self, names: Iterable[str]) -> Self:
        """Remove topics with everything that belongs to them."""
        by_name = dict(self.topics)
        by_id = dict(self.topics_by_id)
        deleted = dict(self.deleted_topics)
        for name in names:
            topic_id = by_name.pop(name).topic_id
            del by_id[topic_id]
            deleted[topic_id] = name
        image = self._with_topics(by_name, by_id)
        return replace(image, deleted_topics=MappingProxyType(deleted))

    def without_deleted_topics(self, topic_ids: Iterable[bytes]) -> Self:
        """Forget deleted topics of which no directory is left."""
        gone = frozenset(topic_ids)
        left = {
            topic_id: name for topic_id, name in self.deleted_topics.items() if topic_id not in gone
        }
        return replace(self, deleted_topics=MappingProxyType(left))

    def with_configs(
        self, resource_type: ResourceType, name: str, configs: Mapping[str, str]
    ) -> Self:
        """Replace the settings of one resource; the topic must exist."""
        frozen = MappingProxyType(dict(configs))
        if resource_type is ResourceType.TOPIC:
            return self.with_topics([replace(self.topics[name], configs=frozen)])
        every = dict(self.configs_by_name(resource_type))
        if configs:
            every[name] = frozen
        else:
            every.pop(name, None)
        attribute = _CONFIG_ATTRIBUTES[resource_type]
        return replace(self, **{attribute: MappingProxyType(every)})  # type: ignore[arg-type]

    def with_next_producer_id(self, next_producer_id: int) -> Self:
        """Move on the first producer id that nobody has got yet."""
        return replace(self, next_producer_id=next_producer_id)

    def with_features(self, features: Features) -> Self:
        """Replace the levels of the cluster's features."""
        return replace(self, features=features)

    def configs_by_name(self, resource_type: ResourceType) -> Configs:
        """Return the settings of all resources of a type other than TOPIC, by their names."""
        configs: Configs = getattr(self, _CONFIG_ATTRIBUTES[resource_type])
        return configs

    def _with_topics(self, by_name: dict[str, TopicImage], by_id: dict[bytes, TopicImage]) -> Self:
        return replace(self, topics=MappingProxyType(by_name), topics_by_id=MappingProxyType(by_id))


_CONFIG_ATTRIBUTES: Final = {
    ResourceType.BROKER: "broker_configs",
    ResourceType.GROUP: "group_configs",
    ResourceType.CLIENT_METRICS: "client_metrics_configs",
}
