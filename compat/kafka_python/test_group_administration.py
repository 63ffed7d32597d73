"""Every group command of kafka-python's admin client."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from compat.members import with_coordinator
from compat.processes import eventually
from compat.targets import Target

kafka = pytest.importorskip("kafka")

from kafka import (  # noqa: E402 - after importorskip
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.admin import (  # noqa: E402
    KafkaAdminClient,
    MemberToRemove,
    OffsetSpec,
    OffsetTimestamp,
)
from kafka.errors import (  # noqa: E402
    GroupIdNotFoundError,
    GroupSubscribedToTopicError,
    NoError,
    NonEmptyGroupError,
    UnknownMemberIdError,
)

Names = Callable[[str], str]


@pytest.fixture
def group_name(fresh_broker: Target, name: Names) -> Names:
    """Makes names of groups whose coordinator serves them."""
    return lambda kind: with_coordinator(fresh_broker, name(kind))


@pytest.fixture
def admin(fresh_broker: Target) -> Iterator[Any]:
    with closing(KafkaAdminClient(bootstrap_servers=fresh_broker.address)) as client:
        yield client


@pytest.fixture
def topic(admin: Any, fresh_broker: Target, name: Names) -> str:
    """A topic of two partitions with four records in each."""
    topic = name("topic")
    admin.create_topics({topic: {"num_partitions": 2}}, wait_for_metadata=True)
    with closing(KafkaProducer(bootstrap_servers=fresh_broker.address)) as producer:
        for number in range(8):
            producer.send(topic, b"%d" % number, partition=number % 2).get(timeout=60)
    return topic


def committed(admin: Any, group: str) -> dict[int, int]:
    """The offsets of a group by partition."""
    found = admin.list_group_offsets(group)[group]
    return {where.partition: offset.offset for where, offset in found.items()}


@pytest.fixture
def running(fresh_broker: Target, topic: str, group_name: Names) -> Iterator[tuple[str, Any]]:
    """A group and its only member, which has the topic and reads on when it is polled."""
    group = group_name("group")
    consumer = KafkaConsumer(
        bootstrap_servers=fresh_broker.address,
        group_id=group,
        group_instance_id="fixed",
        session_timeout_ms=6000,
        enable_auto_commit=False,
    )
    with closing(consumer):
        consumer.subscribe([topic])
        consumer.topics()  # as in member.py
        eventually(lambda: consumer.poll(100) is not None and len(consumer.assignment()) == 2)
        yield group, consumer


def test_offsets_of_an_empty_group_are_altered_reset_and_deleted(
    admin: Any, topic: str, group_name: Names
) -> None:
    group, places = group_name("group"), [TopicPartition(topic, part) for part in (0, 1)]
    altered = admin.alter_group_offsets(
        group, {place: OffsetAndMetadata(2, "by hand", -1) for place in places}
    )
    assert set(altered.values()) == {NoError}
    assert committed(admin, group) == {0: 2, 1: 2}

    admin.reset_group_offsets(group, {places[0]: OffsetSpec.EARLIEST, places[1]: OffsetSpec.LATEST})
    assert committed(admin, group) == {0: 0, 1: 4}
    admin.reset_group_offsets(group, {places[0]: OffsetTimestamp(1 << 42)})
    assert committed(admin, group) == {0: 4, 1: 4}

    assert admin.delete_group_offsets(group, places[:1]) == {places[0]: NoError}
    assert committed(admin, group) == {1: 4}


def test_offsets_of_many_groups_come_in_one_call(admin: Any, topic: str, group_name: Names) -> None:
    groups, place = [group_name("group") for _ in range(3)], TopicPartition(topic, 0)
    for number, group in enumerate(groups):
        admin.alter_group_offsets(group, {place: OffsetAndMetadata(number, "", -1)})

    nobody = group_name("nobody")
    found = admin.list_group_offsets([*groups, nobody])

    offsets = [[each.offset for each in found[group].values()] for group in [*groups, nobody]]
    assert offsets == [[0], [1], [2], []]


def test_a_group_that_is_read_with_is_left_alone(
    admin: Any, topic: str, running: tuple[str, Any]
) -> None:
    group, _ = running
    place = TopicPartition(topic, 0)

    altered = admin.alter_group_offsets(group, {place: OffsetAndMetadata(0, "", -1)})
    assert altered == {place: UnknownMemberIdError}
    assert admin.delete_group_offsets(group, [place]) == {place: GroupSubscribedToTopicError}
    assert admin.delete_groups([group]) == {group: NonEmptyGroupError.__name__}
    (described,) = admin.describe_groups([group], include_authorized_operations=True).values()
    assert described["group_state"] == "Stable"
    (member,) = described["members"]
    assert member["group_instance_id"] == "fixed"
    assert described["authorized_operations"]


def test_groups_are_listed_by_state_and_type(
    admin: Any, topic: str, group_name: Names, running: tuple[str, Any]
) -> None:
    stable, empty = running[0], group_name("group")
    admin.alter_group_offsets(empty, {TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})

    def listed(**filters: Any) -> set[str]:
        return {each["group_id"] for each in admin.list_groups(**filters)} & {stable, empty}

    assert listed() == {stable, empty}
    assert listed(states_filter=["Stable"]) == {stable}
    assert listed(states_filter=["Empty", "Dead"]) == {empty}
    assert listed(types_filter=["classic"]) == {stable, empty}
    assert listed(types_filter=["consumer"]) == set()


def test_a_static_member_is_removed_and_its_partitions_are_free(
    admin: Any, running: tuple[str, Any]
) -> None:
    group, _ = running
    member = MemberToRemove(group_instance_id="fixed", reason="it is gone for good")
    stranger = MemberToRemove(group_instance_id="stranger")

    removed = admin.remove_group_members(group, [member, stranger])

    assert removed == {"fixed": NoError, "stranger": UnknownMemberIdError}
    assert admin.describe_groups([group])[group]["group_state"] == "Empty"


def test_groups_that_do_not_exist_are_told(admin: Any, topic: str, group_name: Names) -> None:
    unknown = group_name("unknown")

    assert admin.delete_groups([unknown]) == {unknown: GroupIdNotFoundError.__name__}
    with pytest.raises(GroupIdNotFoundError):
        admin.delete_group_offsets(unknown, [TopicPartition(topic, 0)])
    assert committed(admin, unknown) == {}
