from pykbroker.coordinator.group.classic_group import ClassicGroup
from pykbroker.coordinator.group.kinds import KINDS, RECORDS_OF_KIND, kind_of
from pykbroker.coordinator.group.records import RECORD_TYPES
from tests.harness.consumer_groups import a_group


def test_every_kind_has_a_name_of_its_own() -> None:
    assert sorted(kind.type_name for kind in KINDS.values()) == ["classic", "consumer"]


def test_a_group_is_asked_through_its_kind() -> None:
    for group in (ClassicGroup("g"), a_group()):
        assert kind_of(group).state_name(group) == "Empty"
        assert list(kind_of(group).tombstones(group))[-1].value is None


def test_every_record_that_is_read_belongs_to_a_kind_or_to_all() -> None:
    shared = {RECORD_TYPES[number].key_type for number in (0, 1, 2)}
    assert {kind.key_type for kind in RECORD_TYPES.values()} == shared | RECORDS_OF_KIND.keys()
    for records in RECORDS_OF_KIND.values():
        assert records.group_type in KINDS
        assert records.own_key in records.replay
