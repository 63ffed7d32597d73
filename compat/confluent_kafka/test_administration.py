"""AdminClient: what it is refused, and calls that the three lives have no need of."""

from collections.abc import Callable
from typing import Any

import pytest

from compat.members import member
from compat.processes import eventually
from compat.targets import Target

pytest.importorskip("confluent_kafka")

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    ElectionType,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from compat.confluent_kafka.client import consume, consumer, new_topic, produce, result

BEYOND_THE_END = 100
TO_THE_END = -1

Names = Callable[[str], str]


@pytest.fixture
def admin(fresh_broker: Target) -> Any:
    return AdminClient({"bootstrap.servers": fresh_broker.address})


@pytest.fixture
def topic(admin: Any, name: Names) -> str:
    """A topic of two partitions."""
    return new_topic(admin, name("topic"))


def refusal(call: Callable[[], Any]) -> int:
    """The code of the error that a call ends with."""
    with pytest.raises(KafkaException) as refused:
        call()
    code: int = refused.value.args[0].code()
    return code


@pytest.mark.parametrize(
    ("partitions", "replicas", "settings", "code"),
    [
        (0, 1, {}, KafkaError.INVALID_PARTITIONS),
        (1, 3, {}, KafkaError.INVALID_REPLICATION_FACTOR),
        (1, 1, {"no.such.setting": "1"}, KafkaError.INVALID_CONFIG),
        (1, 1, {"segment.bytes": "1"}, KafkaError.INVALID_CONFIG),
    ],
)
def test_topics_that_cannot_be_made_are_refused(
    admin: Any, name: Names, partitions: int, replicas: int, settings: dict[str, str], code: int
) -> None:
    wanted = NewTopic(name("topic"), partitions, replicas, config=settings)

    assert refusal(lambda: result(admin.create_topics([wanted]))) == code


def test_a_name_that_cannot_be_is_refused(admin: Any) -> None:
    code = refusal(lambda: result(admin.create_topics([NewTopic("a/b", 1)])))

    assert code == KafkaError.TOPIC_EXCEPTION


def test_a_topic_that_is_only_validated_is_not_made(admin: Any, name: Names) -> None:
    topic = name("topic")

    result(admin.create_topics([NewTopic(topic, 1)], validate_only=True))

    assert topic not in admin.list_topics(timeout=60).topics


def test_replicas_may_be_named_by_broker(admin: Any, name: Names) -> None:
    topic = name("topic")
    node = admin.describe_cluster().result(timeout=60).nodes[0].id

    result(admin.create_topics([NewTopic(topic, 2, replica_assignment=[[node], [node]])]))

    def replicas() -> list[list[int]]:
        found = admin.list_topics(timeout=60).topics.get(topic)
        return [part.replicas for part in found.partitions.values()] if found else []

    eventually(lambda: replicas() == [[node], [node]], what="two partitions")


def test_calls_for_unknown_topics_say_so(admin: Any, name: Names) -> None:
    topic = name("nowhere")
    unknown = KafkaError.UNKNOWN_TOPIC_OR_PART
    described = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])

    assert refusal(lambda: result(admin.delete_topics([topic]))) == unknown
    assert refusal(lambda: result(admin.create_partitions([NewPartitions(topic, 4)]))) == unknown
    assert refusal(lambda: result(admin.describe_topics(TopicCollection([topic])))) == unknown
    assert refusal(lambda: result(described)) == unknown


@pytest.mark.parametrize("count", [1, 2])
def test_partitions_cannot_become_fewer(admin: Any, topic: str, count: int) -> None:
    code = refusal(lambda: result(admin.create_partitions([NewPartitions(topic, count)])))

    assert code == KafkaError.INVALID_PARTITIONS


def test_records_are_deleted_to_the_end_but_not_beyond(
    admin: Any, fresh_broker: Target, topic: str
) -> None:
    produce(fresh_broker, topic, [(None, b"v")] * 5)
    beyond = TopicPartition(topic, 0, BEYOND_THE_END)

    assert refusal(lambda: result(admin.delete_records([beyond]))) == KafkaError.OFFSET_OUT_OF_RANGE
    deleted = result(admin.delete_records([TopicPartition(topic, 0, TO_THE_END)]))
    assert deleted.low_watermark == 5
    consume(fresh_broker, topic, 0)
    assert produce(fresh_broker, topic, [(None, b"next")]) == [5]


def test_the_settings_of_the_broker_are_described_and_altered(admin: Any) -> None:
    node = admin.describe_cluster().result(timeout=60).nodes[0].id

    def described() -> Any:
        return result(admin.describe_configs([ConfigResource(ResourceType.BROKER, str(node))]))

    def alter(operation: Any, value: str | None) -> None:
        entry = ConfigEntry("log.retention.ms", value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.BROKER, str(node), incremental_configs=[entry])
        result(admin.incremental_alter_configs([resource]))

    assert described()["num.partitions"].value == "2"
    assert described()["num.partitions"].is_read_only
    alter(AlterConfigOpType.SET, "123456789")
    eventually(lambda: described()["log.retention.ms"].value == "123456789", what="the change")
    alter(AlterConfigOpType.DELETE, None)
    eventually(lambda: described()["log.retention.ms"].value != "123456789", what="the default")


def test_settings_that_cannot_be_are_refused(admin: Any, topic: str) -> None:
    def alter(kind: Any, owner: str, key: str, value: str) -> int:
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(kind, owner, incremental_configs=[entry])
        return refusal(lambda: result(admin.incremental_alter_configs([resource])))

    node = str(admin.describe_cluster().result(timeout=60).nodes[0].id)
    assert alter(ResourceType.TOPIC, topic, "retention.ms", "soon") == KafkaError.INVALID_CONFIG
    assert alter(ResourceType.TOPIC, topic, "no.such.one", "1") == KafkaError.INVALID_CONFIG
    assert alter(ResourceType.BROKER, node, "log.dirs", "/tmp") == KafkaError.INVALID_REQUEST


def test_a_leader_that_leads_needs_no_election(admin: Any, topic: str) -> None:
    where = TopicPartition(topic, 0)

    found = admin.elect_leaders(ElectionType.PREFERRED, [where]).result(timeout=60)

    assert found[where].code() == KafkaError.ELECTION_NOT_NEEDED


def test_groups_are_found_by_state_and_type(
    admin: Any, fresh_broker: Target, topic: str, name: Names
) -> None:
    empty, stable = name("group"), name("group")
    with consumer(fresh_broker, empty) as client:
        client.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)

    def listed(**filters: Any) -> set[str]:
        found = admin.list_consumer_groups(**filters).result(timeout=60)
        assert not found.errors
        return {each.group_id for each in found.valid}

    with member("confluent_kafka", fresh_broker, stable, topic) as only:
        only.assignment(lambda partitions: partitions == {0, 1})
        everything = {empty, stable}
        assert listed() >= everything
        assert listed(states={ConsumerGroupState.STABLE}) & everything == {stable}
        assert listed(states={ConsumerGroupState.EMPTY}) & everything == {empty}
        assert listed(types={ConsumerGroupType.CLASSIC}) >= everything
        assert only.stop() == 0


def test_groups_that_live_or_do_not_exist_keep_what_they_have(
    admin: Any, fresh_broker: Target, topic: str, name: Names
) -> None:
    group, unknown = name("group"), name("unknown")
    with member("confluent_kafka", fresh_broker, group, topic) as only:
        only.assignment(lambda partitions: partitions == {0, 1})
        delete = refusal(lambda: result(admin.delete_consumer_groups([group])))
        assert delete == KafkaError.NON_EMPTY_GROUP
        reset = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
        altered = result(admin.alter_consumer_group_offsets([reset]))
        assert altered.topic_partitions[0].error.code() == KafkaError.UNKNOWN_MEMBER_ID
        assert only.stop() == 0

    delete = refusal(lambda: result(admin.delete_consumer_groups([unknown])))
    assert delete == KafkaError.GROUP_ID_NOT_FOUND
    asked = ConsumerGroupTopicPartitions(unknown, [TopicPartition(topic, 0)])
    found = result(admin.list_consumer_group_offsets([asked]))
    assert [each.offset for each in found.topic_partitions] == [-1001]
