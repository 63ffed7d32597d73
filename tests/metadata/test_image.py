import pytest

from pykbroker.metadata.image import MetadataImage, ResourceType
from tests.harness.metadata import a_partition, a_topic, an_id, an_image


def test_topics_are_found_by_name_and_by_id() -> None:
    topic = a_topic("t", topic_id=an_id(7))
    image = an_image(topic)

    assert image.topic("t") is topic
    assert image.topic_by_id(an_id(7)) is topic
    assert image.topic("u") is None
    assert image.topic_by_id(an_id(8)) is None


def test_partitions_are_found_by_number() -> None:
    image = an_image(a_topic("t", partitions=2))

    assert image.partition("t", 1) == a_partition(1)
    for name, partition in (("t", 2), ("t", -1), ("u", 0)):
        assert image.partition(name, partition) is None


def test_a_change_leaves_the_old_image_alone() -> None:
    old = an_image(a_topic("t"))

    new = old.with_topics([a_topic("u")]).without_topics(["t"])

    assert list(old.topics) == ["t"]
    assert list(new.topics) == ["u"]
    assert list(new.topics_by_id) == [a_topic("u").topic_id]


def test_a_topic_replaces_the_one_of_the_same_name() -> None:
    image = an_image(a_topic("t", topic_id=an_id(1))).with_topics([a_topic("t", topic_id=an_id(2))])

    assert list(image.topics_by_id) == [an_id(2)]


@pytest.mark.parametrize(
    "resource_type", [ResourceType.BROKER, ResourceType.GROUP, ResourceType.CLIENT_METRICS]
)
def test_settings_belong_to_a_resource_until_they_are_emptied(resource_type: ResourceType) -> None:
    image = an_image().with_configs(resource_type, "x", {"a": "1"})

    assert image.configs(resource_type, "x") == {"a": "1"}
    assert image.configs(resource_type, "y") == {}
    assert image.configs_by_name(resource_type) == {"x": {"a": "1"}}
    assert image.with_configs(resource_type, "x", {}) == an_image()
    assert image.with_configs(resource_type, "y", {}) == image


def test_topics_hold_their_own_settings() -> None:
    image = an_image(a_topic("t")).with_configs(ResourceType.TOPIC, "t", {"a": "1"})

    assert image.topics["t"].configs == {"a": "1"}
    assert image.configs(ResourceType.TOPIC, "t") == {"a": "1"}
    assert image.configs(ResourceType.TOPIC, "u") == {}
    assert image.topics_by_id[a_topic("t").topic_id] is image.topics["t"]


def test_settings_cannot_be_changed_behind_the_images_back() -> None:
    settings = {"a": "1"}
    image = an_image().with_configs(ResourceType.GROUP, "g", settings)

    settings["a"] = "2"

    assert image.configs(ResourceType.GROUP, "g") == {"a": "1"}


def test_producer_ids_move_on() -> None:
    image: MetadataImage = an_image()

    assert image.with_next_producer_id(1000).next_producer_id == 1000
    assert image.next_producer_id == 0


@pytest.mark.parametrize(
    ("name", "is_internal"),
    [("__consumer_offsets", True), ("__transaction_state", True), ("__mine", False)],
)
def test_some_topics_are_internal(name: str, is_internal: bool) -> None:
    assert a_topic(name).is_internal is is_internal


def test_deleted_topics_are_remembered_until_they_are_forgotten() -> None:
    image = an_image(a_topic("t", topic_id=an_id(5)), a_topic("u", topic_id=an_id(6)))

    deleted = image.without_topics(["t"]).without_topics(["u"])

    assert deleted.deleted_topics == {an_id(5): "t", an_id(6): "u"}
    assert deleted.without_deleted_topics([an_id(5)]).deleted_topics == {an_id(6): "u"}
    assert image.deleted_topics == {}
