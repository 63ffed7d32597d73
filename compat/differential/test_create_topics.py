"""CreateTopics: what may be created, what it gets, and how the rest is refused."""

from collections.abc import Mapping, Sequence

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

NODE_ID = 1
BY_NAME = {"topics": "name"}


def topic(
    name: str,
    partitions: int = 1,
    factor: int = 1,
    *,
    assignments: Sequence[tuple[int, Sequence[int]]] = (),
    configs: Sequence[tuple[str, str | None]] = (),
) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=list(replicas))
            for index, replicas in assignments
        ],
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in configs],
    )


def assigned(name: str, *assignments: tuple[int, Sequence[int]]) -> CreatableTopic:
    return topic(name, -1, -1, assignments=assignments)


def create(
    session: Session,
    version: int,
    *topics: CreatableTopic,
    timeout_ms: int = 30_000,
    validate_only: bool = False,
) -> None:
    request = CreateTopicsRequest(
        topics=list(topics), timeout_ms=timeout_ms, validate_only=validate_only
    )
    session.send(request, version, sort=BY_NAME)


def show(session: Session, names: Mapping[str, int]) -> None:
    """Compare what came of it, for topics that are there, by their number of partitions."""
    for name, partitions in names.items():
        session.await_topic(name, partitions)
    asked = [MetadataRequestTopic(name=name) for name in names]
    request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
    session.send(request, 12, sort={"topics": "name", "partitions": "partition_index"})


def absent(session: Session, *names: str) -> None:
    """Compare that topics are not there."""
    asked = [MetadataRequestTopic(name=name) for name in names]
    request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
    session.send(request, 12, sort=BY_NAME)


@case(CreateTopicsRequest)
def test_plain(session: Session, version: int) -> None:
    name = session.name()
    create(session, version, topic(name, 3))
    show(session, {name: 3})
    create(session, version, topic(name, 3))


@case(CreateTopicsRequest)
def test_defaults(session: Session, version: int) -> None:
    """KIP-464 speaks of v4, but the older ones take -1 as well."""
    name = session.name()
    create(session, version, topic(name, -1, -1))
    show(session, {name: 2})


@case(CreateTopicsRequest, versions=(2, 7))
def test_nothing(session: Session, version: int) -> None:
    create(session, version)
    create(session, version, timeout_ms=0)


@case(CreateTopicsRequest, versions=(2, 5, 7))
def test_validate_only(session: Session, version: int) -> None:
    name = session.name()
    create(session, version, topic(name, 2), validate_only=True)
    create(session, version, topic(name, 0), validate_only=True)
    absent(session, name)
    session.create_topic()
    create(session, version, topic(name), validate_only=True)


@case(CreateTopicsRequest, versions=(2, 4, 5, 7))
def test_bad_names(session: Session, version: int) -> None:
    for name in ("", ".", "..", "a b", "a/b", "a:b", "ü", "a\n", "a\x00b", "x" * 250, "x" * 32767):
        create(session, version, topic(name))


@case(CreateTopicsRequest, versions=(2, 7))
def test_odd_but_good_names(session: Session, version: int) -> None:
    stem = session.name()
    names = ["...", f"{stem}-...", f"__{stem}", f"-{stem}", (stem + "x" * 249)[:249]]
    for name in names:
        create(session, version, topic(name), validate_only=True)


@case(CreateTopicsRequest, versions=(2, 5, 7))
def test_internal_names(session: Session, version: int) -> None:
    create(session, version, topic("__cluster_metadata"))
    create(session, version, topic("__consumer_offsets"))
    create(session, version, topic("__cluster_metadata_"), validate_only=True)


@case(CreateTopicsRequest, versions=(2, 7))
def test_collisions_of_dot_and_underscore(session: Session, version: int) -> None:
    stem = session.name()
    create(session, version, topic(f"{stem}.a_b"))
    for name in (f"{stem}_a_b", f"{stem}.a.b", f"{stem}_a.b", f"{stem}.a-b"):
        create(session, version, topic(name), validate_only=True)
    create(session, version, topic(f"{stem}.1"), topic(f"{stem}_1"))
    show(session, {f"{stem}.1": 1, f"{stem}_1": 1})


@case(CreateTopicsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    twice, once = session.name("twice"), session.name("once")
    create(session, version, topic(twice), topic(once), topic(twice, 2))
    create(session, version, topic(""), topic(""))
    show(session, {once: 1})
    absent(session, twice)


@case(CreateTopicsRequest, versions=(2, 4, 5, 7))
def test_bad_counts_of_partitions(session: Session, version: int) -> None:
    name = session.name()
    for count in (0, -2, -2147483648, 10_001, 2_147_483_647):
        create(session, version, topic(name, count))
    create(session, version, topic(name, 9_999), validate_only=True)
    create(session, version, topic(name, 6_000), topic(name + "2", 6_000))
    absent(session, name)


@case(CreateTopicsRequest, versions=(2, 4, 5, 7))
def test_bad_replication_factors(session: Session, version: int) -> None:
    name = session.name()
    for factor in (0, -2, 2, 3, 32_767, -32_768):
        create(session, version, topic(name, 1, factor))
    create(session, version, topic(name, 0, 0))
    create(session, version, topic(name, -1, 2))
    absent(session, name)


@case(CreateTopicsRequest)
def test_assignments(session: Session, version: int) -> None:
    name, unordered = session.name(), session.name("unordered")
    create(session, version, assigned(name, (0, [NODE_ID]), (1, [NODE_ID])))
    create(session, version, assigned(unordered, (2, [NODE_ID]), (0, [NODE_ID]), (1, [NODE_ID])))
    show(session, {name: 2, unordered: 3})


@case(CreateTopicsRequest, versions=(2, 4, 7))
def test_bad_assignments(session: Session, version: int) -> None:
    name, good = session.name(), (0, [NODE_ID])
    for bad in (
        assigned(name, good, (2, [NODE_ID])),
        assigned(name, (1, [NODE_ID])),
        assigned(name, (-1, [NODE_ID])),
        assigned(name, good, (0, [NODE_ID])),
        assigned(name, (0, [5])),
        assigned(name, (0, [-1])),
        assigned(name, (0, [NODE_ID, 5])),
        assigned(name, (0, [NODE_ID, NODE_ID])),
        assigned(name, (0, [])),
        assigned(name, good, (1, [NODE_ID, NODE_ID])),
        assigned(name, good, (1, [])),
        topic(name, 1, -1, assignments=[good]),
        topic(name, -1, 1, assignments=[good]),
        topic(name, 1, 1, assignments=[good]),
        topic(name, 0, 0, assignments=[good]),
    ):
        create(session, version, bad)
    absent(session, name)


@case(CreateTopicsRequest)
def test_settings(session: Session, version: int) -> None:
    """From v5 on the answer holds all settings of the topic."""
    name = session.name()
    configs = [("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]
    create(session, version, topic(name, configs=configs))
    create(session, version, topic(name + "-s", configs=[("retention.ms", " 7 ")]))
    twice = [("retention.ms", "5"), ("retention.ms", "6")]
    create(session, version, topic(name + "-t", configs=twice))


@case(CreateTopicsRequest, versions=(2, 5, 7))
def test_bad_settings(session: Session, version: int) -> None:
    name = session.name()
    for configs in (
        [("no.such.setting", "1")],
        [("", "1")],
        [("retention.ms", "abc")],
        [("retention.ms", "-5")],
        [("retention.ms", "")],
        [("retention.ms", "1.5")],
        [("retention.ms", "9223372036854775808")],
        [("segment.bytes", "14")],
        [("cleanup.policy", "shred")],
        [("compression.type", "brotli")],
        [("preallocate", "maybe")],
        [("min.cleanable.dirty.ratio", "1.1")],
        [("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "4")],
        [("message.format.version", "2.0")],
        [("message.downconversion.enable", "true")],
        [("num.partitions", "1")],
        [("no.such.setting", "1"), ("retention.ms", "abc")],
        [("retention.ms", None)],
        [("no.such.setting", None)],
        [("retention.ms", None), ("segment.ms", None), ("cleanup.policy", "delete")],
    ):
        create(session, version, topic(name, configs=configs))
    absent(session, name)


@case(CreateTopicsRequest, versions=(2, 7))
def test_order_of_the_checks(session: Session, version: int) -> None:
    name, taken = session.name(), session.create_topic("taken")
    bad: Sequence[tuple[str, str | None]] = [("no.such.setting", "1")]
    create(
        session,
        version,
        topic("a b", 0, 0, configs=bad),
        topic(taken, 0, 0, configs=bad),
        topic(name, 0, 0, configs=bad),
        topic(name + "2", 0, 5),
        topic(name + "3", 0, 1),
        topic(name + "4", 1, 1),
    )
    show(session, {name + "4": 1})


@case(CreateTopicsRequest)
def test_timeouts(session: Session, version: int) -> None:
    """What is left of no time is too little, though Kafka may have made the topic."""
    name = session.name()
    for timeout_ms in (0, -1, -2147483648):
        create(session, version, topic(name), topic("a b"), timeout_ms=timeout_ms)
    absent(session, name)
    create(session, version, topic(name), timeout_ms=0, validate_only=True)
