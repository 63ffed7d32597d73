"""Which transactional batches may be appended, and what their producers are told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pykbroker.coordinator.runtime.transaction_coordinator import TransactionCoordinator
from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.transaction_admission import Admission, NotAdmittedError
from tests.harness.batches import NOW_MS, a_batch
from tests.harness.loop import run
from tests.harness.transactional_broker import TransactionalBroker, a_transactional_broker
from tests.harness.transactions import ID

E = ErrorCode


def an_admission(
    world: TransactionalBroker,
    producer: ProducerIdAndEpoch,
    *partitions: int,
    version: int = 11,
    sequence: int = 0,
    transactional_id: str = ID,
) -> Admission:
    batch = a_batch(
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=sequence,
        is_transactional=True,
    )
    batches = {("t", partition): batch for partition in partitions}
    return Admission(world.harness.broker, transactional_id, version, batches)


def refused(admission: Admission) -> dict[int, ErrorCode]:
    return {partition: error.code for (_, partition), error in admission.refused.items()}


def test_an_older_client_must_have_added_the_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.transactions.ensure_partitions(ID, producer, [("t", 0)])
            for version, code in ((9, E.INVALID_TXN_STATE), (11, E.TRANSACTION_ABORTABLE)):
                admission = an_admission(world, producer, 0, 1, version=version)
                assert admission.look() is None
                assert refused(admission) == {1: code}
                explanation = admission.refused["t", 1].explanation
                assert (explanation is not None) == (code is E.INVALID_TXN_STATE)

    run(main())


@pytest.mark.parametrize("version", [3, 12])
def test_nobody_is_called_by_an_empty_id(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            admission = an_admission(world, producer, 0, version=version, transactional_id="")
            assert admission.look() is None
            assert refused(admission) == {0: E.INVALID_REQUEST}

    run(main())


def test_a_newer_client_adds_it_and_waits_for_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            admission = an_admission(world, producer, 0, 1, version=12)
            waits = admission.look()
            assert waits is not None
            await waits
            assert admission.look() is None
            assert refused(admission) == {}
            assert world.known.partitions == {("t", 0), ("t", 1)}

    run(main())


def test_an_open_transaction_needs_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            for method in ("verify", "add_partitions"):
                monkeypatch.delattr(TransactionCoordinator, method)
            for version in (11, 12):
                admission = an_admission(world, producer, 0, version=version, sequence=1)
                assert admission.look() is None
                assert refused(admission) == {}

    run(main())


@pytest.mark.parametrize(
    ("given", "version", "told"),
    [
        (E.PRODUCER_FENCED, 11, E.INVALID_PRODUCER_EPOCH),
        (E.PRODUCER_FENCED, 12, E.INVALID_PRODUCER_EPOCH),
        (E.INVALID_PRODUCER_ID_MAPPING, 11, E.INVALID_PRODUCER_ID_MAPPING),
        (E.CONCURRENT_TRANSACTIONS, 11, E.NOT_ENOUGH_REPLICAS),
        (E.CONCURRENT_TRANSACTIONS, 12, E.CONCURRENT_TRANSACTIONS),
        (E.NOT_COORDINATOR, 12, E.NOT_ENOUGH_REPLICAS),
        (E.COORDINATOR_NOT_AVAILABLE, 9, E.NOT_ENOUGH_REPLICAS),
        (E.COORDINATOR_LOAD_IN_PROGRESS, 12, E.NOT_ENOUGH_REPLICAS),
        (E.TRANSACTION_ABORTABLE, 10, E.INVALID_TXN_STATE),
        (E.TRANSACTION_ABORTABLE, 11, E.TRANSACTION_ABORTABLE),
    ],
)
def test_what_the_coordinator_says_is_told_as_producers_know_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: ErrorCode,
    version: int,
    told: ErrorCode,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise KafkaError(given)

    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            for method in ("verify", "add_partitions"):
                monkeypatch.setattr(TransactionCoordinator, method, fail)
            admission = an_admission(world, ProducerIdAndEpoch(7, 0), 0, version=version)
            assert admission.look() is None
            assert refused(admission) == {0: told}

    run(main())


@pytest.mark.parametrize("version", [3, 12])
def test_an_empty_transactional_id_is_nobodys(tmp_path: Path, version: int) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            nobody = ProducerIdAndEpoch(7, 0)
            admission = an_admission(world, nobody, 0, version=version, transactional_id="")
            assert admission.look() is None
            assert refused(admission) == {0: E.INVALID_REQUEST}

    run(main())


def test_a_failure_while_waiting_is_a_refusal_of_what_was_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            admission = an_admission(world, producer, 0, 1, version=12, sequence=1)
            admission.note_failure(KafkaError(E.CONCURRENT_TRANSACTIONS))
            assert admission.look() is None
            assert refused(admission) == {1: E.CONCURRENT_TRANSACTIONS}

    run(main())


def test_an_old_epoch_is_refused_by_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            older = ProducerIdAndEpoch(producer.producer_id, producer.epoch - 1)
            admission = an_admission(world, older, 0)
            assert admission.look() is None
            assert refused(admission) == {0: E.INVALID_PRODUCER_EPOCH}

    run(main())


def test_the_question_may_be_switched_off_for_older_clients(tmp_path: Path) -> None:
    async def main() -> None:
        settings = {"transaction_partition_verification_enable": "false"}
        async with a_transactional_broker(tmp_path, **settings) as world:
            unknown = ProducerIdAndEpoch(7, 0)
            admission = an_admission(world, unknown, 0)
            assert admission.look() is None
            assert refused(admission) == {}
            admission = an_admission(world, unknown, 0, version=12)
            assert admission.look() is None
            assert refused(admission) == {0: E.INVALID_PRODUCER_ID_MAPPING}

    run(main())


def test_a_partition_without_a_log_is_left_to_the_append(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            admission = an_admission(world, ProducerIdAndEpoch(7, 0), 9)
            assert admission.look() is None
            assert refused(admission) == {}

    run(main())


def test_a_request_has_the_batches_of_one_producer(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            batches = {
                ("t", epoch): a_batch(producer_id=7, producer_epoch=epoch, base_sequence=0)
                for epoch in (0, 1)
            }
            with pytest.raises(KafkaError) as caught:
                Admission(world.harness.broker, ID, 11, batches)
            assert caught.value.code is E.INVALID_PRODUCER_ID_MAPPING

    run(main())


def test_a_transaction_that_is_aborted_meanwhile_is_noticed(tmp_path: Path) -> None:
    """What was found holds until the next await only."""

    async def main() -> None:
        async with a_transactional_broker(tmp_path) as world:
            producer = await world.begin()
            await world.write(producer, 0)
            admission = an_admission(world, producer, 0, sequence=1)
            assert admission.look() is None
            assert not admission.refused
            await world.end(producer, is_commit=False)
            assert admission.look() is None
            assert refused(admission) == {0: E.INVALID_PRODUCER_EPOCH}

    run(main())


def test_the_end_of_the_last_transaction_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_transactional_broker(tmp_path, pykbroker_fsync="always") as world:
            producer = await world.begin()
            await world.write(producer, 0)
            following = await world.end(producer)
            admission = an_admission(world, following, 0, version=12)
            rounds = 0
            while (waits := admission.look()) is not None:
                await asyncio.wait_for(_of(waits), 10)
                rounds += 1
            assert rounds >= 1
            assert not admission.refused
            world.harness.log("t").append(
                a_batch(
                    producer_id=following.producer_id,
                    producer_epoch=following.epoch,
                    base_sequence=0,
                    is_transactional=True,
                ),
                NOW_MS,
            )

    run(main())


async def _of(waits: object) -> None:
    await waits  # type: ignore[misc]


def test_an_explanation_is_optional() -> None:
    assert NotAdmittedError(E.INVALID_PRODUCER_EPOCH).explanation is None
