from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.markers import Marker
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.loop import run
from tests.harness.transactional_broker import OFFSETS_TOPIC, a_transactional_broker


def marker(is_commit: bool = True) -> Marker:
    return Marker(9, 3, is_commit, coordinator_epoch=0, transaction_version=0)


def test_a_marker_is_appended_to_the_log_of_a_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            writer = world.transactions.markers
            assert writer.write(marker(), "t", 1) is None
            assert world.markers(partition=1) == [(9, 3, True)]
            with pytest.raises(KafkaError) as refused:
                writer.write(marker(), "nothing", 1)
            assert refused.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    run(main())


def test_a_marker_can_be_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            waits = world.transactions.markers.write(marker(), "t", 1)
            assert waits is not None
            await waits
            log = world.harness.log("t", 1)
            assert log.recovery_point == log.log_end_offset == 1

    run(main())


def test_the_group_coordinator_writes_the_markers_of_its_partitions(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            await world.harness.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
            writer = world.transactions.markers
            assert writer.write(marker(is_commit=False), OFFSETS_TOPIC, 1) is None
            assert world.markers(OFFSETS_TOPIC, 1) == [(9, 3, False)]
            with pytest.raises(KafkaError) as refused:
                writer.write(marker()._replace(producer_epoch=2), OFFSETS_TOPIC, 1)
            assert refused.value.code is ErrorCode.INVALID_PRODUCER_EPOCH
            groups = world.harness.broker.groups
            groups._topic.partitions[1].is_loading = True
            with pytest.raises(KafkaError) as refused:
                writer.write(marker(), OFFSETS_TOPIC, 1)
            assert refused.value.code is ErrorCode.NOT_LEADER_OR_FOLLOWER
            groups._topic.partitions[1].is_loading = False

    run(main())
