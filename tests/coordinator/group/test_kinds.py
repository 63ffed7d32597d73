from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.kinds import KINDS, kind_of
from tests.harness.consumer_groups import a_group


def test_every_kind_has_a_name_of_its_own() -> None:
    assert sorted(kind.type_name for kind in KINDS.values()) == ["classic", "consumer"]


def test_a_group_is_asked_through_its_kind() -> None:
    for group in (ClassicGroup("g"), a_group()):
        assert kind_of(group).state_name(group) == "Empty"
        assert list(kind_of(group).tombstones(group))[-1].value is None
