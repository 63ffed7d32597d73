from pykbroker.coordinator.group.consumer.describe import describe
from pykbroker.protocol.messages.consumer_group_describe import Assignment, TopicPartitions
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
)
from tests.harness.consumer_groups import a_group, a_member, a_step, topic_id

T, GONE = topic_id("t"), topic_id("gone")


def test_a_member_has_what_it_has_yet_to_let_go() -> None:
    member = a_member(
        "m",
        "t",
        member_epoch=3,
        assigned={T: {1: 3}, GONE: {0: 3}},
        pending_revocation={T: {0: 2}},
    )
    group = a_group(member, group_epoch=4, assignment_epoch=3, target={"m": {T: frozenset({1})}})
    described = describe(group, a_step(t=2))
    assert (described.group_state, described.assignor_name) == ("Assigning", "uniform")
    assert (described.group_epoch, described.assignment_epoch) == (4, 3)
    (told,) = described.members
    assert told.assignment == Assignment([TopicPartitions(T, "t", [0, 1])])
    assert told.target_assignment == Assignment([TopicPartitions(T, "t", [1])])
    assert (told.member_type, told.subscribed_topic_names) == (1, ["t"])


def test_members_of_the_classic_protocol_are_told_apart() -> None:
    group = a_group(a_member(classic=ClassicMemberMetadata()))
    assert describe(group, a_step()).members[0].member_type == 0
