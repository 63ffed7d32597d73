"""Group commands of confluent-kafka's admin client that the three lives have no need of."""

from collections.abc import Callable
from typing import Any

import pytest

from compat.members import member, with_coordinator
from compat.targets import Target

pytest.importorskip("confluent_kafka")

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient

from compat.confluent_kafka.client import new_topic, result

Names = Callable[[str], str]
NO_OFFSET = -1001


@pytest.fixture
def group_name(fresh_broker: Target, name: Names) -> Names:
    """Makes names of groups whose coordinator serves them."""
    return lambda kind: with_coordinator(fresh_broker, name(kind))


@pytest.fixture
def admin(fresh_broker: Target) -> Any:
    return AdminClient({"bootstrap.servers": fresh_broker.address})


@pytest.fixture
def topic(admin: Any, name: Names) -> str:
    return new_topic(admin, name("topic"))


def alter(admin: Any, group: str, offsets: dict[TopicPartition, int]) -> Any:
    wanted = [TopicPartition(each.topic, each.partition, to) for each, to in offsets.items()]
    return result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))


def test_offsets_are_listed_for_some_partitions_and_only_when_they_are_stable(
    admin: Any, topic: str, group_name: Names
) -> None:
    group, place = group_name("group"), TopicPartition(topic, 0)
    altered = alter(admin, group, {place: 7})
    assert [each.error for each in altered.topic_partitions] == [None]

    asked = ConsumerGroupTopicPartitions(group, [place, TopicPartition(topic, 1)])
    found = result(admin.list_consumer_group_offsets([asked], require_stable=True))

    assert [each.offset for each in found.topic_partitions] == [7, NO_OFFSET]


def test_offsets_of_an_unknown_partition_are_not_altered(
    admin: Any, topic: str, group_name: Names
) -> None:
    group = group_name("group")
    altered = alter(admin, group, {TopicPartition(topic, 0): 1, TopicPartition(topic, 9): 1})

    codes = [each.error.code() if each.error else 0 for each in altered.topic_partitions]
    assert codes == [0, KafkaError.UNKNOWN_TOPIC_OR_PART]


def test_many_groups_are_described_and_deleted_at_once(
    admin: Any, fresh_broker: Target, topic: str, group_name: Names
) -> None:
    empty, stable, unknown = (group_name(kind) for kind in ("empty", "stable", "unknown"))
    alter(admin, empty, {TopicPartition(topic, 0): 1})
    with member("confluent_kafka", fresh_broker, stable, topic) as only:
        only.assignment(lambda partitions: partitions == {0, 1})

        described = admin.describe_consumer_groups(
            [empty, stable], include_authorized_operations=True
        )
        found = {group: future.result(timeout=60) for group, future in described.items()}
        assert found[empty].state == ConsumerGroupState.EMPTY
        assert found[stable].state == ConsumerGroupState.STABLE
        assert found[stable].type == ConsumerGroupType.CLASSIC
        assert found[stable].partition_assignor == "range"
        (one,) = found[stable].members
        assigned = {each.partition for each in one.assignment.topic_partitions}
        assert assigned == {0, 1}
        assert AclOperation.DELETE in found[stable].authorized_operations

        deleted = admin.delete_consumer_groups([empty, stable, unknown])
        codes = {group: _code(future) for group, future in deleted.items()}
        assert codes == {
            empty: 0,
            stable: KafkaError.NON_EMPTY_GROUP,
            unknown: KafkaError.GROUP_ID_NOT_FOUND,
        }
        assert only.stop() == 0


def _code(future: Any) -> int:
    try:
        future.result(timeout=60)
    except KafkaException as refused:
        code: int = refused.args[0].code()
        return code
    return 0
