"""Metadata without a cluster: topics, images, and a controller on a file of its own."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import MappingProxyType

from pykbroker.config.broker import BrokerConfig
from pykbroker.metadata.controller import Listener, MetadataController
from pykbroker.metadata.features import GROUP_VERSION, FeatureUpdate, UpgradeType
from pykbroker.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
NO_CONSUMER_GROUPS = [FeatureUpdate(GROUP_VERSION, 0, UpgradeType.SAFE_DOWNGRADE)]


def an_id(number: int) -> bytes:
    """Return a topic id that is easy to recognise."""
    return number.to_bytes(16, "big")


def a_partition(
    partition: int = 0,
    *,
    leader: int = 1,
    leader_epoch: int = 0,
    replicas: Sequence[int] = (1,),
    isr: Sequence[int] | None = None,
) -> PartitionImage:
    """Return a partition, led by broker 1 unless said otherwise."""
    in_sync = replicas if isr is None else isr
    return PartitionImage(partition, leader, leader_epoch, tuple(replicas), tuple(in_sync))


def a_topic(
    name: str = "topic",
    *,
    topic_id: bytes | None = None,
    partitions: int = 1,
    leader: int = 1,
    leader_epoch: int = 0,
    configs: Mapping[str, str] | None = None,
) -> TopicImage:
    """Return a topic whose partitions are all alike; the id is derived from the name."""
    return TopicImage(
        name,
        topic_id if topic_id is not None else name.encode()[:16].rjust(16, b"\0"),
        tuple(
            a_partition(index, leader=leader, leader_epoch=leader_epoch, replicas=(leader,))
            for index in range(partitions)
        ),
        MappingProxyType(dict(configs or {})),
    )


def an_image(*topics: TopicImage, node_id: int = 1, brokers: Sequence[int] = (1,)) -> MetadataImage:
    """Return the image of a cluster with these topics and brokers."""
    return MetadataImage(
        cluster_id=CLUSTER_ID,
        node_id=node_id,
        controller_id=node_id,
        brokers=MappingProxyType({broker: BrokerImage(broker) for broker in brokers}),
    ).with_topics(topics)


def numbered_ids() -> Callable[[], bytes]:
    """Return a source of topic ids: 2, 3, 4 and so on."""
    numbers = count(2)
    return lambda: an_id(next(numbers))


def a_controller(
    directory: Path,
    *,
    settings: Mapping[str, str] | None = None,
    prepare: Listener | None = None,
    cluster_id: str | None = CLUSTER_ID,
) -> MetadataController:
    """Return an opened controller with numbered topic ids; opening it again finds everything.

    It does not wait for the disk: what it says survives the process only. Its `close` stops a
    thread, so tests must call it.
    """
    config = BrokerConfig.from_settings({"pykbroker.fsync": "never", **(settings or {})})
    controller = MetadataController(config, prepare=prepare, new_uuid=numbered_ids())
    controller.open(directory, cluster_id)
    return controller
