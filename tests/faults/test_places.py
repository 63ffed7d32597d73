from importlib import import_module
from random import Random
from typing import Any

import pytest

from pykbroker.faults.matching import Item
from pykbroker.faults.places import PLACES, TOPIC_RESOURCE, Subject, merge
from pykbroker.handlers import APIS, load
from pykbroker.metadata.image import MetadataImage, PartitionImage, TopicImage
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from tests.harness.protocol_values import MESSAGES, encoded, random_value

ID = bytes(range(16))
IMAGE = MetadataImage("c", 1, 1, {}).with_topics(
    [TopicImage("by-id", ID, (PartitionImage(0, 1, 0, (1,), (1,)),))]
)


def new(name: str, *args: Any, **fields: Any) -> Any:
    """Make a message, or a part of one, by `Api.Class`."""
    api, _, part = name.partition(".")
    key = next(each for each in ApiKey if each.display_name == api)
    module = import_module(f"pykbroker.protocol.messages.{key.stem}")
    return getattr(module, part)(*args, **fields)


def a_produce() -> Any:
    parts = [new("Produce.PartitionProduceData", number, b"x") for number in (0, 1)]
    return new(
        "Produce.ProduceRequest",
        transactional_id="x",
        topic_data=[
            new("Produce.TopicProduceData", "a", partition_data=parts),
            new("Produce.TopicProduceData", topic_id=ID, partition_data=parts[:1]),
        ],
    )


REQUESTS: dict[str, tuple[Any, list[Item]]] = {
    "Produce": (
        a_produce(),
        [
            Item("a", 0, None, "x"),
            Item("a", 1, None, "x"),
            Item("by-id", 0, None, "x"),
        ],
    ),
    "Heartbeat": (new("Heartbeat.HeartbeatRequest", group_id="g"), [Item(group="g")]),
    "EndTxn": (new("EndTxn.EndTxnRequest", "x"), [Item(transactional_id="x")]),
    "AddOffsetsToTxn": (
        new("AddOffsetsToTxn.AddOffsetsToTxnRequest", "x", group_id="g"),
        [Item(group="g", transactional_id="x")],
    ),
    "ApiVersions": (new("ApiVersions.ApiVersionsRequest"), [Item()]),
    "AddPartitionsToTxn": (
        new(
            "AddPartitionsToTxn.AddPartitionsToTxnRequest",
            v3_and_below_transactional_id="x",
            v3_and_below_topics=[new("AddPartitionsToTxn.AddPartitionsToTxnTopic", "a", [0, 2])],
        ),
        [Item("a", 0, None, "x"), Item("a", 2, None, "x")],
    ),
    "DescribeGroups": (
        new("DescribeGroups.DescribeGroupsRequest", ["g", "h"]),
        [Item(group="g"), Item(group="h")],
    ),
    "DescribeTransactions": (
        new("DescribeTransactions.DescribeTransactionsRequest", ["x"]),
        [Item(transactional_id="x")],
    ),
    "ElectLeaders": (
        new(
            "ElectLeaders.ElectLeadersRequest",
            topic_partitions=[new("ElectLeaders.TopicPartitions", "a", [0, 2])],
        ),
        [Item("a", 0), Item("a", 2)],
    ),
    "DescribeLogDirs": (
        new(
            "DescribeLogDirs.DescribeLogDirsRequest",
            topics=[new("DescribeLogDirs.DescribableLogDirTopic", "a", [1])],
        ),
        [Item("a", 1)],
    ),
    "AlterConfigs": (
        new(
            "AlterConfigs.AlterConfigsRequest",
            [
                new("AlterConfigs.AlterConfigsResource", TOPIC_RESOURCE, "a"),
                new("AlterConfigs.AlterConfigsResource", 4, "1"),
            ],
        ),
        [Item("a"), Item()],
    ),
}


@pytest.mark.parametrize("api", REQUESTS)
def test_a_request_is_about_what_it_names(api: str) -> None:
    request, items = REQUESTS[api]
    assert Subject(request.API_KEY, request, IMAGE).items() == items


@pytest.mark.parametrize(
    ("key_type", "item"),
    [(0, Item(group="k")), (1, Item(transactional_id="k")), (2, Item())],
)
def test_a_coordinator_is_looked_for_by_a_key_of_a_kind(key_type: int, item: Item) -> None:
    old = new("FindCoordinator.FindCoordinatorRequest", "k", key_type)
    many = new("FindCoordinator.FindCoordinatorRequest", "", key_type, ["k"])
    for request in (old, many):
        assert Subject(ApiKey.FIND_COORDINATOR, request, IMAGE).items() == [item]


def test_topics_to_delete_are_names_or_entries() -> None:
    names = new("DeleteTopics.DeleteTopicsRequest", topic_names=["a", "b"])
    topics = [
        new("DeleteTopics.DeleteTopicState", None, ID),
        new("DeleteTopics.DeleteTopicState", None, bytes(15) + b"\x01"),
    ]
    states = new("DeleteTopics.DeleteTopicsRequest", topics)
    assert Subject(ApiKey.DELETE_TOPICS, names, IMAGE).items() == [Item("a"), Item("b")]
    assert Subject(ApiKey.DELETE_TOPICS, states, IMAGE).items() == [Item("by-id"), Item()]
    part = Subject(ApiKey.DELETE_TOPICS, names, IMAGE).part(lambda item: item.topic == "b")
    assert part == new("DeleteTopics.DeleteTopicsRequest", topic_names=["b"])


def test_a_part_of_a_request_has_the_items_that_are_kept() -> None:
    request, (first, second, by_id) = REQUESTS["Produce"]
    subject = Subject(ApiKey.PRODUCE, request, IMAGE)

    part = subject.part({second, by_id}.__contains__)

    assert Subject(ApiKey.PRODUCE, part, IMAGE).items() == [second, by_id]
    assert (part.acks, part.transactional_id) == (request.acks, "x")
    assert subject.items() == [first, second, by_id], "the request is as it was"
    assert subject.part(lambda item: False).topic_data == []


@pytest.mark.parametrize("api", [APIS[key] for key in PLACES], ids=lambda api: api.name)
def test_what_is_taken_apart_is_put_together_again(api: Any) -> None:
    """For random requests of every version; an answer has each item once."""
    loaded = load(api)
    places = PLACES[api.key]
    (case,) = [case for case in MESSAGES if case.name == f"{api.name}Request"]
    random = Random(api.key)
    for version in range(api.min_version, api.max_version + 1):
        for _ in range(20):
            request = random_value(case, version, random)
            subject = Subject(api.key, request, IMAGE)
            whole = subject.part(lambda item: True)
            assert {*Subject(api.key, whole, IMAGE).items()} == {*subject.items()}
            refused = {item for item in subject.items() if random.random() < 0.5}
            if places.results is None:
                continue
            answer = loaded.error_response(whole, ErrorCode.REQUEST_TIMED_OUT, None)
            part = subject.part(refused.__contains__)
            other = loaded.error_response(part, ErrorCode.NOT_COORDINATOR, None)
            merge(places, answer, other)
            assert encoded(answer, version)


def results(request: Any, code: ErrorCode) -> Any:
    return load(APIS[request.API_KEY]).error_response(request, code, None)


def codes(response: Any) -> list[tuple[str, bytes, list[tuple[int, int]]]]:
    return [
        (topic.name, topic.topic_id, [(p.index, p.error_code) for p in topic.partition_responses])
        for topic in response.responses
    ]


def test_results_take_the_place_of_those_for_the_same_items() -> None:
    request, items = REQUESTS["Produce"]
    subject = Subject(ApiKey.PRODUCE, request, IMAGE)
    answer = results(request, ErrorCode.NONE)
    part = subject.part({items[0], items[2]}.__contains__)

    merge(PLACES[ApiKey.PRODUCE], answer, results(part, ErrorCode.REQUEST_TIMED_OUT))

    assert codes(answer) == [
        ("a", bytes(16), [(1, 0), (0, 7)]),
        ("", ID, [(0, 7)]),
    ]


def test_results_of_other_topics_are_added() -> None:
    request, items = REQUESTS["Produce"]
    subject = Subject(ApiKey.PRODUCE, request, IMAGE)
    answer = results(subject.part(items[:2].__contains__), ErrorCode.NONE)
    rest = results(subject.part(items[2:].__contains__), ErrorCode.REQUEST_TIMED_OUT)

    merge(PLACES[ApiKey.PRODUCE], answer, rest)

    assert codes(answer) == [("a", bytes(16), [(0, 0), (1, 0)]), ("", ID, [(0, 7)])]


def test_results_without_partitions_are_replaced_as_a_whole() -> None:
    places = PLACES[ApiKey.CREATE_TOPICS]
    made = new("CreateTopics.CreatableTopicResult", "a", ID, num_partitions=3)
    answer = new("CreateTopics.CreateTopicsResponse", topics=[made])
    failed = new("CreateTopics.CreatableTopicResult", "a", error_code=7)

    merge(places, answer, new("CreateTopics.CreateTopicsResponse", topics=[failed]))

    assert answer.topics == [failed]
