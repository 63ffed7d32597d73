from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykbroker.handlers import write_txn_markers
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)
from tests.harness.answers import answer
from tests.harness.loop import run
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker

Codes = dict[int, dict[tuple[str, int], int]]


async def ask(world: TransactionalBroker, version: int, *markers: WritableTxnMarker) -> Codes:
    request = WriteTxnMarkersRequest(list(markers))
    return codes_of(await answer(world.harness, write_txn_markers, request, version))


def codes_of(response: Any) -> Codes:
    return {
        marker.producer_id: {
            (topic.name, each.partition_index): each.error_code
            for topic in marker.topics
            for each in topic.partitions
        }
        for marker in response.markers
    }


def a_marker(producer_id: int, epoch: int, *partitions: int, topic: str = "t") -> WritableTxnMarker:
    topics = [WritableTxnMarkerTopic(topic, list(partitions))]
    return WritableTxnMarker(producer_id, epoch, True, topics)


@pytest.mark.parametrize("version", [1, 2])
def test_markers_end_what_hangs_and_the_coordinator_knows_nothing_of_it(
    tmp_path: Path, version: int
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            await world.write(producer, 0, 1)
            before = world.known
            codes = await ask(world, version, a_marker(producer.producer_id, 0, 0, 1))
            assert codes == {producer.producer_id: {("t", 0): 0, ("t", 1): 0}}
            for partition in (0, 1):
                log = world.harness.log("t", partition)
                assert log.last_stable_offset == log.recovery_point == log.log_end_offset
            assert world.known == before

    run(main())


@pytest.mark.parametrize("version", [1, 2])
def test_each_partition_has_its_own_error(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            assert await ask(world, version) == {}
            assert await ask(world, version, a_marker(9, 3, 0)) == {9: {("t", 0): 0}}
            codes = await ask(
                world, version, a_marker(9, 2, 0, 1, 7), a_marker(9, 3, 0, topic="nothing")
            )
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert codes[9] == {
                ("t", 0): ErrorCode.INVALID_PRODUCER_EPOCH,
                ("t", 1): ErrorCode.NONE,
                ("t", 7): unknown,
                ("nothing", 0): unknown,
            }

    run(main())


def test_nothing_is_written_of_a_producer_that_there_cannot_be(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            refused = ErrorCode.INVALID_REQUEST
            assert await ask(world, 1, a_marker(-1, 0, 0)) == {-1: {("t", 0): refused}}
            assert await ask(world, 1, a_marker(9, -1, 0)) == {9: {("t", 0): refused}}
            unknown = a_marker(9, 0, 0)
            unknown.transaction_version = -1
            assert await ask(world, 2, unknown) == {9: {("t", 0): refused}}
            assert world.harness.log("t").log_end_offset == 0

    run(main())


def test_who_has_nothing_to_be_written_is_not_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            assert await ask(world, 2, a_marker(9, 0)) == {}

    run(main())


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:

            def failing(log: object) -> None:
                raise OSError("the disk is gone")

            monkeypatch.setattr(type(world.harness.log("t")), "flush", failing)
            codes = await ask(world, 2, a_marker(9, 3, 0))
            assert codes == {9: {("t", 0): ErrorCode.KAFKA_STORAGE_ERROR}}
            monkeypatch.undo()

    run(main())


def test_an_error_of_the_request_is_told_for_every_partition() -> None:
    code = ErrorCode.UNKNOWN_SERVER_ERROR
    request = WriteTxnMarkersRequest([a_marker(9, 3, 0, 1), a_marker(9, 3, 2)])
    response = write_txn_markers.error_response(request, code)
    assert codes_of(response) == {9: {("t", index): code for index in range(3)}}
