from typing import Any

import pytest

from pykbroker.faults.marking import MarkedSubject
from pykbroker.faults.matching import Item
from pykbroker.metadata.image import MetadataImage, PartitionImage, TopicImage
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages import describe_topic_partitions as described
from pykbroker.protocol.messages import fetch, metadata, offset_fetch

ID = bytes(range(16))
UNKNOWN_ID = bytes(15) + b"\x01"
CODE = ErrorCode.NOT_LEADER_OR_FOLLOWER
PARTITIONS = tuple(PartitionImage(number, 1, 0, (1,), (1,)) for number in (0, 1))
IMAGE = MetadataImage("c", 1, 1, {}).with_topics([TopicImage("t", ID, PARTITIONS)])


def subject(api: int, version: int, request: Any, session: Any = ()) -> MarkedSubject:
    return MarkedSubject(api, version, request, IMAGE, session)


# --- Fetch -----------------------------------------------------------------------------------


def a_fetch(**topic: Any) -> fetch.FetchRequest:
    partition = fetch.FetchPartition(partition=1)
    return fetch.FetchRequest(
        max_wait_ms=500, topics=[fetch.FetchTopic(**topic, partitions=[partition])]
    )


def fetched(*numbers: int, **topic: Any) -> fetch.FetchableTopicResponse:
    partitions = [fetch.PartitionData(number, records=b"xyz") for number in numbers]
    return fetch.FetchableTopicResponse(**topic, partitions=partitions)


def test_a_fetch_is_about_its_partitions_and_those_of_its_session() -> None:
    by_name, by_id = a_fetch(topic="t"), a_fetch(topic_id=ID)
    by_id.forgotten_topics_data = [fetch.ForgottenTopic(topic_id=ID, partitions=[2])]
    session = [(ID, 0), (ID, 2), (UNKNOWN_ID, 0)]
    assert subject(ApiKey.FETCH, 12, by_name).items() == [Item("t", 1)]
    assert subject(ApiKey.FETCH, 13, by_id, session).items() == [
        Item("t", 0),
        Item(None, 0),
        Item("t", 1),
    ]
    assert subject(ApiKey.FETCH, 12, fetch.FetchRequest()).items() == [Item()]


def test_a_fetch_that_fails_does_not_wait() -> None:
    request = a_fetch(topic="t")
    subject(ApiKey.FETCH, 12, request).prepare()
    assert request.max_wait_ms == 0


@pytest.mark.parametrize(("version", "topic"), [(12, {"topic": "t"}), (13, {"topic_id": ID})])
def test_partitions_fail_in_place_of_their_records(version: int, topic: dict[str, Any]) -> None:
    response = fetch.FetchResponse(responses=[fetched(1, **topic), fetched(0, 1, **topic)])

    subject(ApiKey.FETCH, version, a_fetch(**topic)).mark(
        response, [Item("t", 1), Item(None, 0), Item("gone", 0), Item("t")], CODE, narrowly=False
    )

    first, second = response.responses
    (failed,) = first.partitions
    assert (failed.partition_index, failed.error_code, failed.records) == (1, CODE, b"")
    assert failed.high_watermark == failed.log_start_offset == -1
    assert [partition.partition_index for partition in second.partitions] == [0]


def test_a_partition_fails_that_the_session_had_nothing_to_say_of() -> None:
    response = fetch.FetchResponse()
    subject(ApiKey.FETCH, 13, fetch.FetchRequest()).mark(
        response, [Item("t", 0), Item("t", 1)], CODE, narrowly=False
    )
    (topic,) = response.responses
    assert (topic.topic, topic.topic_id) == ("t", ID)
    assert [partition.partition_index for partition in topic.partitions] == [0, 1]


# --- Metadata, DescribeTopicPartitions -------------------------------------------------------


ALL = [Item("t", 0), Item("t", 1)]
NAMED = [metadata.MetadataRequestTopic(name="t"), metadata.MetadataRequestTopic(name="new")]


@pytest.mark.parametrize(
    ("version", "topics", "items"),
    [
        (0, [], ALL),
        (1, [], [Item()]),
        (1, None, ALL),
        (1, NAMED, [*ALL, Item("new")]),
        (12, [metadata.MetadataRequestTopic(ID, None)], ALL),
        (12, [metadata.MetadataRequestTopic(UNKNOWN_ID, None)], [Item()]),
    ],
)
def test_metadata_is_about_all_partitions_of_topics(
    version: int, topics: list[metadata.MetadataRequestTopic] | None, items: list[Item]
) -> None:
    request = metadata.MetadataRequest(topics=topics)
    assert subject(ApiKey.METADATA, version, request).items() == items


@pytest.mark.parametrize("names", [[], ["t"]])
def test_a_description_is_about_all_partitions_of_topics(names: list[str]) -> None:
    topics = [described.TopicRequest(name) for name in names]
    request = described.DescribeTopicPartitionsRequest(topics=topics)
    assert subject(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, request).items() == ALL


def test_metadata_that_fails_makes_no_topic() -> None:
    request = metadata.MetadataRequest(topics=NAMED, allow_auto_topic_creation=True)
    subject(ApiKey.METADATA, 12, request).prepare()
    assert not request.allow_auto_topic_creation


def some_metadata() -> metadata.MetadataResponse:
    return metadata.MetadataResponse(
        topics=[
            metadata.MetadataResponseTopic(
                name=name,
                partitions=[
                    metadata.MetadataResponsePartition(partition_index=number, leader_id=1)
                    for number in (0, 1)
                ],
            )
            for name in ("t", "other")
        ]
    )


def test_topics_fail_as_a_whole() -> None:
    response = some_metadata()
    request = metadata.MetadataRequest()
    subject(ApiKey.METADATA, 12, request).mark(response, ALL, CODE, narrowly=False)
    failed, other = response.topics
    assert (failed.error_code, failed.partitions) == (CODE, [])
    assert (other.error_code, len(other.partitions)) == (0, 2)


def test_partitions_fail_within_their_topics() -> None:
    response = some_metadata()
    request = metadata.MetadataRequest()
    subject(ApiKey.METADATA, 12, request).mark(response, [ALL[1]], CODE, narrowly=True)
    for topic, expected in zip(response.topics, (-1, 1), strict=True):
        assert topic.error_code == 0
        assert [p.leader_id for p in topic.partitions] == [1, expected]
    assert [p.error_code for p in response.topics[0].partitions] == [0, CODE]


# --- OffsetFetch -----------------------------------------------------------------------------


GROUPS = offset_fetch.OffsetFetchRequest(
    groups=[
        offset_fetch.OffsetFetchRequestGroup("all", topics=None),
        offset_fetch.OffsetFetchRequestGroup(
            "some", topics=[offset_fetch.OffsetFetchRequestTopics("t", partition_indexes=[0, 1])]
        ),
    ]
)


def test_offsets_are_those_of_groups() -> None:
    one = offset_fetch.OffsetFetchRequest("g", [offset_fetch.OffsetFetchRequestTopic("t", [0, 1])])
    assert subject(ApiKey.OFFSET_FETCH, 7, one).items() == [
        Item("t", 0, "g"),
        Item("t", 1, "g"),
    ]
    assert subject(ApiKey.OFFSET_FETCH, 8, GROUPS).items() == [
        Item(group="all"),
        Item("t", 0, "some"),
        Item("t", 1, "some"),
    ]
    subject(ApiKey.OFFSET_FETCH, 8, GROUPS).prepare()


def some_offsets() -> offset_fetch.OffsetFetchResponse:
    return offset_fetch.OffsetFetchResponse(
        groups=[
            offset_fetch.OffsetFetchResponseGroup(
                group,
                [
                    offset_fetch.OffsetFetchResponseTopics(
                        topic_id=ID,
                        partitions=[
                            offset_fetch.OffsetFetchResponsePartitions(number, 5, metadata="m")
                            for number in (0, 1)
                        ],
                    )
                ],
            )
            for group in ("all", "some")
        ]
    )


def test_groups_fail_as_a_whole() -> None:
    response = some_offsets()
    items = subject(ApiKey.OFFSET_FETCH, 10, GROUPS).items()[1:]
    subject(ApiKey.OFFSET_FETCH, 10, GROUPS).mark(response, items, CODE, narrowly=False)
    spared, failed = response.groups
    assert (spared.error_code, len(spared.topics)) == (0, 1)
    assert (failed.error_code, failed.topics) == (CODE, [])


def test_offsets_fail_within_their_groups() -> None:
    response = some_offsets()
    subject(ApiKey.OFFSET_FETCH, 10, GROUPS).mark(
        response, [Item("t", 1, "some")], CODE, narrowly=True
    )
    spared, failed = ([p.error_code for p in g.topics[0].partitions] for g in response.groups)
    assert (spared, failed) == ([0, 0], [0, CODE])
    partition = response.groups[1].topics[0].partitions[1]
    assert (partition.committed_offset, partition.metadata) == (-1, "")


def test_of_old_offsets_both_the_group_and_its_partitions_tell_the_error() -> None:
    request = offset_fetch.OffsetFetchRequest("g", [offset_fetch.OffsetFetchRequestTopic("t", [0])])
    partition = offset_fetch.OffsetFetchResponsePartition(0, 5)
    response = offset_fetch.OffsetFetchResponse(
        topics=[offset_fetch.OffsetFetchResponseTopic("t", [partition])]
    )
    asked = subject(ApiKey.OFFSET_FETCH, 1, request)
    asked.mark(response, asked.items(), CODE, narrowly=False)
    assert (response.error_code, partition.error_code) == (CODE, CODE)
