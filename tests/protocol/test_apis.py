from __future__ import annotations

import pytest

from pykbroker.protocol.apis import ApiKey
from tests.harness.oracles import kafka_python


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (0, "PRODUCE"),
        (1, "FETCH"),
        (3, "METADATA"),
        (18, "API_VERSIONS"),
        (22, "INIT_PRODUCER_ID"),
        (24, "ADD_PARTITIONS_TO_TXN"),
        (45, "ALTER_PARTITION_REASSIGNMENTS"),
        (68, "CONSUMER_GROUP_HEARTBEAT"),
        (74, "LIST_CONFIG_RESOURCES"),
        (92, "DELETE_SHARE_GROUP_OFFSETS"),
    ],
)
def test_keys_have_the_names_of_kafka(key: int, name: str) -> None:
    assert ApiKey(key).name == name


def test_every_api_of_a_kafka_broker_has_a_key() -> None:
    newest = kafka_python("protocol.broker_version_data").BrokerVersionData((4, 3))

    assert set(newest.api_versions) <= set(ApiKey)


@pytest.mark.parametrize("removed", [4, 5, 6, 7, -1, 93])
def test_removed_and_unknown_keys_are_no_members(removed: int) -> None:
    with pytest.raises(ValueError):
        ApiKey(removed)


def test_names_for_files_and_for_people_derive_from_the_same_name() -> None:
    assert ApiKey.OFFSET_FOR_LEADER_EPOCH.stem == "offset_for_leader_epoch"
    assert ApiKey.OFFSET_FOR_LEADER_EPOCH.display_name == "OffsetForLeaderEpoch"
