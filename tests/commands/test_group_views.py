from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pykbroker.client import Client
from pykbroker.commands.group_views import GroupView, MemberView, partitions_text, read_group
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages import consumer_group_describe as consumer
from pykbroker.protocol.messages import describe_groups as classic


class AnsweringClient(Client):
    """A client whose broker answers what a test says, by the class of the response."""

    def __init__(self, *answers: object) -> None:
        self.answers = {type(answer): answer for answer in answers}

    def connection(self, node_id: int | None = None) -> Any:
        knows = consumer.ConsumerGroupDescribeResponse in self.answers
        return SimpleNamespace(knows=lambda api: knows and api == ApiKey.CONSUMER_GROUP_DESCRIBE)

    def call(self, request: object, response_type: Any, node_id: int | None = None) -> Any:
        return self.answers[response_type]


def consumer_answer(**fields: Any) -> consumer.ConsumerGroupDescribeResponse:
    return consumer.ConsumerGroupDescribeResponse(
        groups=[consumer.DescribedGroup(group_id="g", **fields)]
    )


def classic_answer(**fields: Any) -> classic.DescribeGroupsResponse:
    return classic.DescribeGroupsResponse(groups=[classic.DescribedGroup(group_id="g", **fields)])


def test_a_group_of_the_consumer_protocol_is_seen_with_what_its_members_own() -> None:
    owned = consumer.TopicPartitions(topic_name="t", partitions=[0, 2])
    member = consumer.Member(
        member_id="m",
        client_id="c",
        client_host="/h",
        assignment=consumer.Assignment(topic_partitions=[owned]),
    )
    answer = consumer_answer(group_state="Stable", assignor_name="uniform", members=[member])

    view = read_group(AnsweringClient(answer), "g", 1)

    expected = MemberView("m", None, "c", "/h", [("t", 0), ("t", 2)])
    assert view == GroupView("g", "Stable", "consumer", "uniform", [expected])
    assert view.has_members
    assert view.owners == {("t", 0): expected, ("t", 2): expected}


def test_what_is_no_consumer_group_is_asked_for_as_a_classic_one() -> None:
    client = AnsweringClient(
        consumer_answer(error_code=ErrorCode.GROUP_ID_NOT_FOUND),
        classic_answer(
            group_state="Stable",
            protocol_type="connect",
            members=[classic.DescribedGroupMember(member_id="w", member_assignment=b"opaque")],
        ),
    )

    assert read_group(client, "g", 1) == GroupView(
        "g", "Stable", "classic", "", [MemberView("w", None, "", "", [])]
    )


@pytest.mark.parametrize(
    "fields", [{"error_code": ErrorCode.GROUP_ID_NOT_FOUND}, {"group_state": "Dead"}]
)
def test_a_group_that_neither_kind_has_is_none(fields: dict[str, Any]) -> None:
    assert read_group(AnsweringClient(classic_answer(**fields)), "g", 1) is None


def test_a_refusal_is_told() -> None:
    answer = consumer_answer(error_code=ErrorCode.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaError, match="GROUP_AUTHORIZATION_FAILED"):
        read_group(AnsweringClient(answer), "g", 1)


def test_partitions_are_shown_by_topic() -> None:
    assert partitions_text([("b", 1), ("a", 2), ("a", 0)]) == "a:0,2 b:1"
    assert partitions_text([]) == ""
