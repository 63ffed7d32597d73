import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.metadata.image import BrokerImage, PartitionImage, TopicImage
from pykbroker.metadata.topics import (
    FoundTopic,
    NewPartitions,
    NewTopic,
    TopicToDelete,
    adopt,
    collision_index,
    find_topics_to_delete,
    grow,
    is_internal_topic,
    is_valid_topic_name,
    place_partitions,
    plan_partitions,
    validate_new_name,
    validate_replicas,
    validate_topic_name,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.metadata import a_partition, a_topic, an_id, an_image

ONE = {1: BrokerImage(1)}
TAKEN = ("a.b", "c", "d-e")
THREE = {number: BrokerImage(number) for number in (1, 2, 3)}


def plan(
    topic: NewTopic, brokers: dict[int, BrokerImage] = ONE, cap: bool = False
) -> tuple[PartitionImage, ...]:
    return plan_partitions(
        topic, brokers, num_partitions=2, replication_factor=1, cap_replication_factor=cap
    )


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "...", "a" * 249, "-", "__consumer_offsets"])
def test_good_names(name: str) -> None:
    validate_topic_name(name)
    assert is_valid_topic_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("a b", "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_'"),
        ("é", "'é' contains one or more characters other than ASCII alphanumerics, '.', '_'"),
        ("a\n", "contains one or more characters"),
        ("a" * 250, "is longer than the max allowed length 249"),
    ],
)
def test_bad_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_topic_name(name)

    assert caught.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert caught.value.message.startswith("Topic name is invalid: ")
    assert reason in caught.value.message
    assert not is_valid_topic_name(name)


@given(st.text(max_size=5))
@settings(max_examples=50)
def test_only_ascii_letters_digits_and_three_signs_are_names(name: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

    expected = bool(name) and name not in (".", "..") and set(name) <= allowed

    assert is_valid_topic_name(name) is expected


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("a.b", ErrorCode.TOPIC_ALREADY_EXISTS, "Topic 'a.b' already exists."),
        (
            "a_b",
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic 'a_b' collides with existing topic: a.b",
        ),
        (
            "__cluster_metadata",
            ErrorCode.INVALID_REQUEST,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
    ],
)
def test_a_new_name_must_be_free(name: str, code: ErrorCode, message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_new_name(name, TAKEN, collision_index(TAKEN))

    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize("name", ["ab", "a-b", "a.c", "A.b"])
def test_other_names_are_free(name: str) -> None:
    validate_new_name(name, TAKEN, collision_index(TAKEN))


def test_defaults_fill_in() -> None:
    assert plan(NewTopic("t")) == (a_partition(0), a_partition(1))
    assert plan(NewTopic("t", 1, 1)) == (a_partition(0),)


@pytest.mark.parametrize(
    ("topic", "code", "message"),
    [
        (
            NewTopic("t", 0, 0),
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            NewTopic("t", 1, -2),
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            NewTopic("t", -2, 1),
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            NewTopic("t", 1, 3),
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 "
            "cannot be reached because only 1 broker(s) are registered or some brokers have all "
            "their log directories cordoned.",
        ),
        (
            NewTopic("t", 1, 1, assignments=((0, (1,)),)),
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to "
            "-1.",
        ),
        (
            NewTopic("t", 1, -1, assignments=((0, (1,)),)),
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            NewTopic("t", assignments=((0, (1,)), (2, (1,)))),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            NewTopic("t", assignments=((0, (1,)), (0, (1,)))),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "Found multiple manual partition assignments for partition 0",
        ),
    ],
)
def test_impossible_layouts_are_refused(topic: NewTopic, code: ErrorCode, message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        plan(topic)

    assert (caught.value.code, caught.value.message) == (code, message)


def test_the_replication_factor_may_be_capped() -> None:
    assert plan(NewTopic("t", 1, 3), cap=True) == (a_partition(0),)


def test_an_assignment_is_taken_as_it_is() -> None:
    topic = NewTopic("t", assignments=((1, (3, 2)), (0, (1, 2))))

    assert plan(topic, THREE) == (
        a_partition(0, leader=1, replicas=(1, 2)),
        a_partition(1, leader=3, replicas=(3, 2)),
    )


@pytest.mark.parametrize(
    ("replicas", "message"),
    [
        ((), "The manual partition assignment includes an empty replica list."),
        (
            (1, 7),
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        ((2, 2), "The manual partition assignment includes the broker 2 more than once."),
        (
            (1, 2, 3),
            "The manual partition assignment includes a partition with 3 replica(s), but this is "
            "not consistent with previous partitions, which have 2 replica(s).",
        ),
    ],
)
def test_impossible_replicas_are_refused(replicas: tuple[int, ...], message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_replicas(replicas, THREE, 2)

    assert caught.value.code is ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert caught.value.message == message


@given(st.integers(0, 12), st.integers(1, 3))
@settings(max_examples=30)
def test_partitions_spread_evenly_over_different_brokers(partitions: int, factor: int) -> None:
    placed = place_partitions(range(partitions), factor, THREE)

    leaders = [partition.leader for partition in placed]
    assert all(len(set(partition.replicas)) == factor for partition in placed)
    assert all(partition.isr == partition.replicas for partition in placed)
    if leaders:
        counts = [leaders.count(broker) for broker in THREE]
        assert max(counts) - min(counts) <= 1


def test_a_topic_grows_with_as_many_replicas_as_it_has() -> None:
    topic = TopicImage("t", an_id(1), place_partitions(range(1), 2, THREE))

    grown = grow(topic, NewPartitions("t", 3), THREE)

    assert [partition.partition for partition in grown.partitions] == [0, 1, 2]
    assert [partition.replicas for partition in grown.partitions] == [(1, 2), (2, 3), (3, 1)]
    assert grown.partitions[0] is topic.partitions[0]


def test_a_topic_grows_as_assigned() -> None:
    grown = grow(a_topic("t"), NewPartitions("t", 3, ((2,), (3,))), THREE)

    assert [partition.leader for partition in grown.partitions] == [1, 2, 3]


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (NewPartitions("t", 2), ErrorCode.INVALID_PARTITIONS, "Topic already has 2 partition(s)."),
        (
            NewPartitions("t", 1),
            ErrorCode.INVALID_PARTITIONS,
            "The topic t currently has 2 partition(s); 1 would not be an increase.",
        ),
        (
            NewPartitions("t", 4, ((1,),)),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            NewPartitions("t", 3, ((7,),)),
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
    ],
)
def test_impossible_growth_is_refused(wanted: NewPartitions, code: ErrorCode, message: str) -> None:
    with pytest.raises(KafkaError) as caught:
        grow(a_topic("t", partitions=2), wanted, ONE)

    assert (caught.value.code, caught.value.message) == (code, message)


def deleted(*wanted: TopicToDelete) -> list[str | tuple[ErrorCode, str]]:
    image = an_image(a_topic("t", topic_id=an_id(1)), a_topic("u", topic_id=an_id(2)))
    return [
        result.name if isinstance(result, TopicImage) else (result.code, result.message)
        for result in find_topics_to_delete(wanted, image)
    ]


def test_topics_are_deleted_by_name_or_id() -> None:
    assert deleted(TopicToDelete("t"), TopicToDelete(topic_id=an_id(2))) == ["t", "u"]


def test_each_deletion_fails_on_its_own() -> None:
    unknown_name = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    unknown_id = ErrorCode.UNKNOWN_TOPIC_ID

    assert deleted(
        TopicToDelete("x"),
        TopicToDelete(topic_id=an_id(9)),
        TopicToDelete(),
        TopicToDelete("t", an_id(1)),
        TopicToDelete("u"),
    ) == [
        (unknown_name, unknown_name.message),
        (unknown_id, unknown_id.message),
        (ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified."),
        (ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id."),
        "u",
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((TopicToDelete("t"), TopicToDelete("t")), "Duplicate topic name."),
        (
            (TopicToDelete(topic_id=an_id(1)), TopicToDelete(topic_id=an_id(1))),
            "Duplicate topic id.",
        ),
        (
            (TopicToDelete("t"), TopicToDelete(topic_id=an_id(1))),
            "The provided topic name maps to an ID that was already supplied.",
        ),
    ],
)
def test_a_topic_that_is_named_twice_stays(wanted: tuple[TopicToDelete, ...], message: str) -> None:
    assert deleted(*wanted) == [(ErrorCode.INVALID_REQUEST, message)] * 2


def test_internal_topics_are_known_by_name() -> None:
    assert is_internal_topic("__consumer_offsets")
    assert not is_internal_topic("t")


def test_a_topic_is_made_of_the_logs_that_are_found() -> None:
    found = FoundTopic("t", an_id(7), {0: 0, 2: 5})

    topic = adopt(found, None, an_id(8), 1, {"retention.ms": "-1"})

    assert (topic.name, topic.topic_id, topic.configs) == ("t", an_id(7), {"retention.ms": "-1"})
    assert topic.partitions == tuple(
        a_partition(n, leader_epoch=e) for n, e in ((0, 0), (1, 0), (2, 5))
    )


def test_a_topic_that_is_found_without_an_id_gets_one() -> None:
    topic = adopt(FoundTopic("t", None, {0: 0}), None, an_id(8), 1, {}, min_partitions=3)

    assert (topic.topic_id, len(topic.partitions)) == (an_id(8), 3)


def test_a_known_topic_grows_by_the_partitions_that_are_found() -> None:
    known = a_topic("t", partitions=2, leader_epoch=9, configs={"retention.ms": "5"})

    topic = adopt(FoundTopic("t", known.topic_id, {3: 4}), known, an_id(8), 1, {})

    assert topic.partitions[:2] == known.partitions
    assert [partition.leader_epoch for partition in topic.partitions] == [9, 9, 0, 4]
    assert (topic.topic_id, topic.configs) == (known.topic_id, known.configs)


def test_a_partition_begins_its_epochs_once_its_log_can_be_used() -> None:
    known = adopt(FoundTopic("t", None, {0: -1, 1: -1, 2: 3}), None, an_id(8), 1, {})

    topic = adopt(FoundTopic("t", known.topic_id, {0: 6, 1: -1}), known, an_id(9), 1, {})

    assert [partition.leader_epoch for partition in known.partitions] == [-1, -1, 3]
    assert [partition.leader_epoch for partition in topic.partitions] == [6, -1, 3]
