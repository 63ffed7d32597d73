from pykbroker.coordinator.group.topics_view import NO_TOPICS, TopicsView
from pykbroker.metadata.image import MetadataImage


def test_a_cluster_without_topics_has_none() -> None:
    assert not NO_TOPICS.topics
    assert not NO_TOPICS.topics_by_id
    assert not NO_TOPICS.brokers


def test_the_metadata_image_can_be_seen_as_topics() -> None:
    def see(view: TopicsView) -> TopicsView:
        return view

    see_image: type[MetadataImage] = MetadataImage
    assert {"topics", "topics_by_id", "brokers"} <= set(see_image.__annotations__)
    assert see(NO_TOPICS) is NO_TOPICS
