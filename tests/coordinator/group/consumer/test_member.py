from pykbroker.coordinator.group.consumer.member import MemberState
from tests.harness.consumer_groups import a_member


def test_states_of_a_newer_broker_are_unknown() -> None:
    assert MemberState.of(1) is MemberState.UNREVOKED_PARTITIONS
    assert MemberState.of(99) is MemberState.UNKNOWN


def test_a_member_is_reconciled_at_the_epoch_of_the_target() -> None:
    member = a_member("m", member_epoch=3)
    assert member.is_reconciled_to(3)
    assert not member.is_reconciled_to(4)
    moved = member.at_epoch(4, MemberState.UNRELEASED_PARTITIONS, {}, {})
    assert not moved.is_reconciled_to(4)
    assert (moved.previous_member_epoch, moved.member_epoch) == (3, 4)
