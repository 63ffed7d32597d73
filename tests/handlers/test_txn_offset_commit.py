from pathlib import Path
from typing import Any

import pytest

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.handlers import txn_offset_commit
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest
from tests.harness.answers import answer
from tests.harness.broker import BrokerHarness
from tests.harness.coordinators import OFFSETS_TOPIC, GroupClient, a_group_broker
from tests.harness.groups import a_txn_commit
from tests.harness.loop import run

EVERY_VERSION = pytest.mark.parametrize("version", range(6))
FIRST_THAT_ADDS = 5
ID = "txn"
T0 = {("t", 0): 5}
MIXED = {("t", 0): 5, ("t", 7): 6, ("gone", 0): 7}
UNKNOWN_PARTITION = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


class Producer:
    """A producer with the transactional id, in a broker with topic `t`."""

    def __init__(self, broker: BrokerHarness, version: int) -> None:
        self.broker = broker
        self.version = version
        self.name = ProducerIdAndEpoch(-1, -1)

    async def begin(self, *, adds: bool = True) -> None:
        await self.broker.create_topic("t", 2)
        await self.broker.broker.metadata.ensure_internal_topic(OFFSETS_TOPIC)
        await self.broker.broker.metadata.ensure_internal_topic("__transaction_state")
        transactions = self.broker.broker.transactions
        self.name = await transactions.init_producer(ID, 60_000, None)
        if adds and self.version < FIRST_THAT_ADDS:
            index = self.broker.broker.groups.offsets_partition("g")
            partition = (OFFSETS_TOPIC, index)
            await transactions.ensure_partitions(ID, self.name, [partition])

    async def send(self, request: TxnOffsetCommitRequest, **changes: Any) -> Any:
        named = {
            "transactional_id": ID,
            "producer_id": self.name.producer_id,
            "producer_epoch": self.name.epoch,
            **changes,
        }
        for name, value in named.items():
            setattr(request, name, value)
        return await answer(self.broker, txn_offset_commit, request, self.version)

    async def end(self, *, is_commit: bool) -> None:
        version = 2 if self.version >= FIRST_THAT_ADDS else 0
        self.name = await self.broker.broker.transactions.end_transaction(
            ID, self.name, is_commit=is_commit, client_version=version
        )

    def committed(self) -> int | None:
        store = self.broker.broker.groups._topic.partition_of("g").shard.offsets
        found = store.get("g", "t", 0)
        return None if found is None else found.offset


def codes(response: Any) -> dict[tuple[str, int], int]:
    return {
        (topic.name, p.partition_index): p.error_code
        for topic in response.topics
        for p in topic.partitions
    }


@EVERY_VERSION
@pytest.mark.parametrize(("is_commit", "offset"), [(True, 5), (False, None)])
def test_what_exists_counts_with_the_transaction_and_the_rest_is_refused(
    tmp_path: Path, version: int, is_commit: bool, offset: int | None
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, version)
            await producer.begin()
            response = await producer.send(a_txn_commit(MIXED))
            assert codes(response) == {
                ("t", 0): ErrorCode.NONE,
                ("t", 7): UNKNOWN_PARTITION,
                ("gone", 0): UNKNOWN_PARTITION,
            }
            assert len(response.topics) == 2
            assert producer.committed() is None
            await producer.end(is_commit=is_commit)
            assert producer.committed() == offset

    run(scenario())


@EVERY_VERSION
def test_before_v5_the_group_must_have_been_added(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, version)
            await producer.begin(adds=False)
            response = await producer.send(a_txn_commit(T0))
            code = ErrorCode.NONE
            if version < FIRST_THAT_ADDS:
                code = ErrorCode.TRANSACTION_ABORTABLE
            if version < 4:
                code = ErrorCode.INVALID_TXN_STATE
            assert codes(response) == {("t", 0): code}

    run(scenario())


@EVERY_VERSION
def test_a_producer_must_be_the_one_that_holds_the_id(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, version)
            await producer.begin()
            for changes, code in (
                ({"transactional_id": ""}, ErrorCode.INVALID_REQUEST),
                ({"transactional_id": "other"}, ErrorCode.INVALID_PRODUCER_ID_MAPPING),
                ({"producer_id": 9_999}, ErrorCode.INVALID_PRODUCER_ID_MAPPING),
                ({"producer_epoch": 9}, ErrorCode.INVALID_PRODUCER_EPOCH),
            ):
                response = await producer.send(a_txn_commit(T0), **changes)
                assert codes(response) == {("t", 0): code}

    run(scenario())


@EVERY_VERSION
def test_a_refusal_of_the_group_is_told_on_what_exists(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, version)
            await producer.begin()
            await GroupClient(broker).become_member()
            request = a_txn_commit(MIXED)
            code = ErrorCode.NONE
            if version >= 3:
                request.member_id, request.generation_id = "stranger", 1
                code = ErrorCode.UNKNOWN_MEMBER_ID
            assert codes(await producer.send(request)) == {
                ("t", 0): code,
                ("t", 7): UNKNOWN_PARTITION,
                ("gone", 0): UNKNOWN_PARTITION,
            }
            refused = await producer.send(a_txn_commit(T0, group_id=""))
            assert codes(refused) == {("t", 0): ErrorCode.INVALID_GROUP_ID}

    run(scenario())


def test_nothing_that_is_known_concerns_no_transaction(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, 5)
            await producer.begin()
            assert (await producer.send(a_txn_commit({}), transactional_id="x")).topics == []
            request = a_txn_commit({("gone", 0): 1, ("t", 9): 1})
            request.topics.append(a_txn_commit({("gone", 1): 1}).topics[0])
            response = await producer.send(request, transactional_id="x")
            assert [topic.name for topic in response.topics] == ["gone", "t"]
            assert set(codes(response).values()) == {UNKNOWN_PARTITION}
            assert len(codes(response)) == 3

    run(scenario())


@pytest.mark.parametrize(
    ("version", "code"),
    [(1, ErrorCode.COORDINATOR_NOT_AVAILABLE), (2, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)],
)
def test_old_producers_do_not_know_that_a_coordinator_is_loading(
    tmp_path: Path, version: int, code: ErrorCode
) -> None:
    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, version)
            await producer.begin()
            for partition in broker.broker.groups._topic.partitions.values():
                partition.is_loading = True
            assert codes(await producer.send(a_txn_commit(T0))) == {("t", 0): code}

    run(scenario())


def test_without_a_coordinator_of_the_transaction_there_is_none_for_the_offsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> ErrorCode:
        raise KafkaError(ErrorCode.NOT_COORDINATOR)

    async def scenario() -> None:
        async with a_group_broker(tmp_path) as broker:
            producer = Producer(broker, 4)
            await producer.begin()
            monkeypatch.setattr(broker.broker.transactions, "verify", refuse)
            response = await producer.send(a_txn_commit(T0))
            assert codes(response) == {("t", 0): ErrorCode.COORDINATOR_NOT_AVAILABLE}

    run(scenario())


def test_an_error_is_told_of_every_partition() -> None:
    response = txn_offset_commit.error_response(a_txn_commit(MIXED), ErrorCode.NOT_COORDINATOR)
    assert codes(response) == dict.fromkeys(MIXED, ErrorCode.NOT_COORDINATOR)
