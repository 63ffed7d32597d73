from pathlib import Path

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.seeding.lines import Seed, SeedError, SeedRecord, SeedTopic
from pykbroker.seeding.sowing import sow
from tests.harness.broker import BrokerHarness, a_broker
from tests.harness.loop import run


def records(broker: BrokerHarness, topic: str, partition: int) -> list[tuple[object, ...]]:
    log = broker.log(topic, partition)
    return [
        (record.key, record.value, record.timestamp)
        for batch in log.read_batches(0, log.log_end_offset)
        for record in batch.records(1 << 24)
    ]


def test_topics_are_made_and_records_written(tmp_path: Path) -> None:
    seed = Seed(
        {"t": SeedTopic("t", 2, {"retention.ms": "-1"}), "u": SeedTopic("u")},
        [
            SeedRecord("t", 1, None, b"one", (), 5),
            SeedRecord("t", None, b"key", b"two"),
            SeedRecord("u", None, None, None),
            SeedRecord("t", 1, None, b"three", (("h", b"v"),), 6),
        ],
    )

    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await sow(broker.broker, seed)
            await sow(broker.broker, seed)  # a start that finds it all there
            now_ms = broker.clock.now_ms()
            assert records(broker, "t", 1)[:1] == [(None, b"one", 5)]
            by_key = records(broker, "t", 0) + records(broker, "t", 1)
            assert {value for _, value, _ in by_key} == {b"one", b"three", b"two"}
            assert len(by_key) == 3
            assert records(broker, "u", 0) == [(None, None, now_ms)]
            assert broker.broker.metadata.topic_config("t").retention_ms == -1

    run(main())


def test_large_records_are_in_batches_of_their_own(tmp_path: Path) -> None:
    values = [bytes(400_000)] * 4
    seed = Seed({"t": SeedTopic("t")}, [SeedRecord("t", 0, None, value) for value in values])

    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await sow(broker.broker, seed)
            assert len(list(broker.log("t").read_batches(0, 4))) == 4

    run(main())


@pytest.mark.parametrize(
    ("topic", "record", "reason"),
    [
        (SeedTopic("t", configs={"no.such": "1"}), None, "topic t: INVALID_CONFIG"),
        (SeedTopic("t"), SeedRecord("t", 1, None, b"v"), "topic t has no partition 1"),
        (
            SeedTopic("t", configs={"cleanup.policy": "compact"}),
            SeedRecord("t", 0, None, b"without a key"),
            f"records of t-0: {ErrorCode.INVALID_RECORD.name}",
        ),
    ],
)
def test_what_a_broker_refuses_is_told(
    tmp_path: Path, topic: SeedTopic, record: SeedRecord | None, reason: str
) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            with pytest.raises(SeedError, match=reason):
                records = [SeedRecord("u", 0, None, b"v"), *([record] if record else [])]
                await sow(broker.broker, Seed({"u": SeedTopic("u"), "t": topic}, records))
            assert broker.image.topics == {}

    run(main())


def test_an_empty_seed_is_sown(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await sow(broker.broker, Seed())

    run(main())
