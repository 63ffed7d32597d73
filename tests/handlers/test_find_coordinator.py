from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import find_coordinator
from pykbroker.metadata.image import NO_LEADER
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness
from tests.harness.coordinators import a_group_broker
from tests.harness.loop import run

GROUP, TRANSACTION, SHARE = range(3)
EVERY_VERSION = pytest.mark.parametrize("version", range(7))
NOBODY = (-1, "", -1)


async def ask(broker: BrokerHarness, version: int, key_type: int, *keys: str) -> Any:
    if version >= 4:
        request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=list(keys))
    else:
        (key,) = keys
        request = FindCoordinatorRequest(key=key, key_type=key_type)
    return await answer(broker, find_coordinator, request, version)


def found(response: Any) -> list[tuple[int, tuple[int, str, int]]]:
    """Error code and endpoint of each key, whichever shape the version has."""
    answers = response.coordinators or [response]
    return [(a.error_code, (a.node_id, a.host, a.port)) for a in answers]


@EVERY_VERSION
@pytest.mark.parametrize("key_type", [GROUP, TRANSACTION])
def test_the_first_question_creates_the_topic_and_is_answered(
    tmp_path: Path, version: int, key_type: int
) -> None:
    async def scenario() -> None:
        async with a_group_broker(
            tmp_path,
            transaction_state_log_num_partitions="2",
            transaction_state_log_min_isr="1",
            transaction_state_log_replication_factor="1",
            offsets_topic_replication_factor="1",
        ) as broker:
            here = (1, *broker.broker.advertised_endpoint(broker.connection))
            for _ in range(2):
                response = await ask(broker, version, key_type, "g")
                assert found(response) == [(ErrorCode.NONE, here)]
                if 1 <= version < 4:
                    assert response.error_message == "NONE"
            topic = find_coordinator.INTERNAL_TOPICS[
                find_coordinator.CoordinatorType(key_type if version else GROUP)
            ]
            assert broker.image.topic(topic) is not None

    run(scenario())


def test_many_keys_are_answered_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path, offsets_topic_replication_factor="1") as broker:
            for version in range(4, 7):
                response = await ask(broker, version, GROUP, "a", "", "b")
                assert [(c.key, c.error_code) for c in response.coordinators] == [
                    ("a", 0),
                    ("", 0),
                    ("b", 0),
                ]

    run(scenario())


def test_a_partition_without_a_leader_has_no_coordinator(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(
            tmp_path, offsets_topic_num_partitions="1", offsets_topic_replication_factor="1"
        ) as broker:
            for version in range(7):
                await ask(broker, version, GROUP, "g")
                broker.change_partition("__consumer_offsets", 0, leader=NO_LEADER)
                response = await ask(broker, version, GROUP, "g")
                assert found(response) == [(ErrorCode.COORDINATOR_NOT_AVAILABLE, NOBODY)]

    run(scenario())


def test_a_topic_that_cannot_be_created_has_no_coordinators(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path, offsets_topic_replication_factor="3") as broker:
            for version in range(7):
                response = await ask(broker, version, GROUP, "g")
                assert found(response) == [(ErrorCode.COORDINATOR_NOT_AVAILABLE, NOBODY)]

    run(scenario())


def test_an_unknown_kind_of_key_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for version in range(1, 7):
                response = await ask(broker, version, 9, "g")
                assert found(response) == [(ErrorCode.INVALID_REQUEST, NOBODY)]

    run(scenario())


TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ"


@pytest.mark.parametrize("version", range(1, 7))
def test_nobody_coordinates_shared_partitions_yet(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            for key, is_partition in (
                (f"g:{TOPIC_ID}:1", True),
                (f"g:h:{TOPIC_ID}:1", True),
                (f"g:{TOPIC_ID}:-1", True),
                (f"g:{TOPIC_ID}:x", False),
                (f":{TOPIC_ID}:1", False),
                ("g:short:1", False),
                ("g", False),
            ):
                response = await ask(broker, version, SHARE, key)
                is_right = version >= 6 and is_partition
                assert found(response) == [
                    (
                        ErrorCode.COORDINATOR_NOT_AVAILABLE
                        if is_right
                        else ErrorCode.INVALID_REQUEST,
                        NOBODY,
                    )
                ]

    run(scenario())
