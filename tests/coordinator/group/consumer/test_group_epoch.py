from pykbroker.coordinator.group.consumer.group_epoch import (
    bump_epoch_without,
    maybe_bump_epoch,
)
from pykbroker.coordinator.group.consumer.records import group_epoch_record
from pykbroker.coordinator.group.metadata_hash import metadata_hash
from tests.harness.consumer_groups import a_group, a_member, a_step, topics


def test_the_epoch_moves_on_with_the_topics() -> None:
    step = a_step(t=1)
    member = a_member("m", "t")
    group = a_group(member)
    assert maybe_bump_epoch(group, step, member, has_changed=False) == 2
    expected = metadata_hash(["t"], topics(t=1))
    assert step.records == [group_epoch_record("g", 2, expected)]
    assert group.metadata_deadline_epoch == 2


def test_the_epoch_stays_while_nothing_changes() -> None:
    step = a_step()
    group = a_group(a_member("m", "t"))
    assert maybe_bump_epoch(group, step, group.members["m"], has_changed=False) == 1
    assert step.records == []
    assert not group.has_metadata_expired(step.now_ms)


def test_a_changed_subscription_is_reason_enough() -> None:
    step = a_step()
    assert maybe_bump_epoch(a_group(), step, a_member("m", "t"), has_changed=True) == 2
    assert step.records == [group_epoch_record("g", 2, 0)]


def test_who_goes_no_longer_counts() -> None:
    step = a_step(t=1, u=1)
    bump_epoch_without(a_group(a_member("a", "t"), a_member("b", "u")), step, ["b"])
    expected = metadata_hash(["t"], topics(t=1, u=1))
    assert step.records == [group_epoch_record("g", 2, expected)]
