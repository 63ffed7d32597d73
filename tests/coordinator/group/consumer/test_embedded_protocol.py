import pytest

from pykbroker.coordinator.group.consumer.embedded_protocol import (
    owned_partitions,
    read_assignment,
    read_subscription,
    write_assignment,
)
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.consumer_protocol_assignment import ConsumerProtocolAssignment
from pykbroker.protocol.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
    TopicPartition,
)
from tests.harness.consumer_groups import owned, topic_id, topics
from tests.harness.groups import a_subscription

T = topic_id("t")
IMAGE = topics(t=2)


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_a_subscription_is_read_in_every_version(version: int) -> None:
    assert read_subscription(a_subscription("t", "u", version=version)).topics == ["t", "u"]


def test_a_newer_version_is_read_as_the_newest_one_known() -> None:
    assert read_subscription(b"\x00\x09" + a_subscription("t", version=3)[2:]).topics == ["t"]


def test_what_cannot_be_read_is_refused() -> None:
    for metadata in (b"", b"\x00", b"\x00\x01\x00", b"\xff\xff\x00\x00\x00\x00"):
        with pytest.raises(ProtocolError):
            read_subscription(metadata)


def test_partitions_of_topics_that_are_gone_are_left_out() -> None:
    subscription = ConsumerProtocolSubscription(
        owned_partitions=[TopicPartition("t", [1]), TopicPartition("gone", [0])]
    )
    assert owned_partitions(subscription, IMAGE) == owned(t=[1])


def test_an_assignment_is_written_in_the_version_of_the_member() -> None:
    written = write_assignment({T: {1: 5, 0: 5}, topic_id("gone"): {0: 5}}, IMAGE, b"\x00\x01")
    assert written == bytes.fromhex("0001 00000001 0001 74 00000002 00000000 00000001 ffffffff")
    assert read_assignment(written, IMAGE) == {T: frozenset({0, 1})}
    assert read_assignment(written, topics()) == {}
    assert read_assignment(b"", IMAGE) == {}


def test_data_of_the_clients_own_assignor_would_be_lost() -> None:
    encoded = b"".join(ConsumerProtocolAssignment(user_data=b"x").encode(1))
    with pytest.raises(ProtocolError):
        read_assignment(b"\x00\x01" + encoded, IMAGE)
