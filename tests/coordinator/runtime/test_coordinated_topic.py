from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.partition import CoordinatorPartition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.coordinators import World
from tests.harness.groups import a_commit
from tests.harness.loop import run

T0 = {("t", 0): 5}


def code_of(world: World, key: str) -> ErrorCode:
    try:
        world.groups._topic.partition_of(key)
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def test_a_key_belongs_to_one_partition_while_the_topic_is_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            topic = world.groups._topic
            assert code_of(world, "g") is ErrorCode.NONE
            partition = topic.partition_of("g")
            partition.is_loading = True
            assert code_of(world, "g") is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            with pytest.raises(KafkaError) as refused:
                topic.all_loaded()
            assert refused.value.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            partition.is_loading = False
            assert partition in topic.all_loaded()
            del topic.partitions[partition.index]
            assert code_of(world, "g") is ErrorCode.NOT_COORDINATOR
            await topic.close()
            assert code_of(world, "g") is ErrorCode.COORDINATOR_NOT_AVAILABLE

    run(main())


def test_whoever_asked_to_be_told_learns_of_each_partition_that_begins(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path) as world:
            await world.commit(a_commit(T0))
            topic = world.groups._topic
            begun: list[tuple[int, bool]] = []

            def on_loaded(partition: CoordinatorPartition[object, object]) -> None:  # type: ignore[type-var]
                begun.append((partition.index, partition.is_loading))

            topic._on_loaded = on_loaded  # type: ignore[assignment]
            for partition in topic.partitions.values():
                partition.unload()
            topic.partitions.clear()
            topic.logs_made()
            await topic.loaded()
            await asyncio.sleep(0)
            assert sorted(begun) == [(0, False), (1, False)]

    run(main())
