"""Transactional producers as the cases play them, and how to see what becomes of a transaction.

A producer of the first version of transactions names its partitions to the coordinator, and ends a
transaction with the epoch that it goes on with. In the second version (KIP-890) Produce names them,
and every end gives a new epoch. Kafka answers an end before the markers are written, so a case
waits for them before it goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from compat.differential.data_plane import batch, produce
from compat.differential.plain import Sort
from compat.differential.session import Session
from compat.differential.wire import Connection
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from pykbroker.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from pykbroker.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    TopicRequest,
)
from pykbroker.protocol.messages.describe_transactions import DescribeTransactionsRequest
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

LONG_MS = 60_000

FIRST_INIT_WITH_ID = 3
FIRST_BATCHED_ADD = 4
FIRST_END_WITH_EPOCH = 5
FIRST_PRODUCE_THAT_ADDS = 12
# The newest versions of clients that know only the first version of transactions.
INIT, ADD, ADD_GROUP, PRODUCE, END = 5, 3, 4, 11, 4

COMMIT, ABORT = True, False

Places = Mapping[str, Sequence[int]]
"""Partitions by topic."""

# Kafka gathers these in hash maps.
OF_PARTITIONS: Sort = {
    "results_by_topic_v3_and_below": "name",
    "topic_results": "name",
    "results_by_partition": "partition_index",
    "results_by_transaction": "transactional_id",
}
OF_TRANSACTIONS: Sort = {"topics": "topic", "partitions": None}
OF_PRODUCERS: Sort = {"active_producers": "producer_id"}


class Transactional:
    """A producer with a transactional id. What it is answered is compared."""

    def __init__(
        self, session: Session, label: str = "x", *, timeout_ms: int = LONG_MS, version: int = INIT
    ) -> None:
        """Get a producer id.

        Args:
            label: Producers of one case with the same label have the same transactional id.
        """
        self.session = session
        self.id = session.name(label)
        self.timeout_ms = timeout_ms
        self.producer_id = -1
        self.epoch = -1
        self._next_sequence: dict[tuple[str, int], int] = {}
        self.init(version)

    def init(self, version: int = INIT, **fields: Any) -> Any:
        """InitProducerId; what it gives is used from now on."""
        request = InitProducerIdRequest(
            **{
                "transactional_id": self.id,
                "transaction_timeout_ms": self.timeout_ms,
                **fields,
            }
        )
        answer = self.session.send(request, version)
        if answer.error_code == ErrorCode.NONE:
            self._take(answer.producer_id, answer.producer_epoch)
        return answer

    def bump(self, version: int = INIT) -> Any:
        """InitProducerId as a producer does it that goes on after a failure."""
        return self.init(version, producer_id=self.producer_id, producer_epoch=self.epoch)

    def add(self, places: Places, version: int = ADD, **fields: Any) -> Any:
        """AddPartitionsToTxn."""
        return self.session.send(
            add_request(version, self.named(**fields), places), version, sort=OF_PARTITIONS
        )

    def add_group(self, group_id: str, version: int = ADD_GROUP, **fields: Any) -> Any:
        """AddOffsetsToTxn."""
        request = AddOffsetsToTxnRequest(**self.named(**fields), group_id=group_id)
        return self.session.send(request, version)

    def produce(
        self,
        topic: str,
        *values: bytes,
        partition: int = 0,
        version: int = PRODUCE,
        acks: int = -1,
        transactional_id: str | None = None,
        on: Connection | None = None,
        **build: Any,
    ) -> Any:
        """Produce a transactional batch; the sequence goes on where the last one was appended."""
        place = topic, partition
        data = self.batch(topic, *(values or (b"v",)), partition=partition, **build)
        answer = produce(
            self.session,
            version,
            topic,
            data,
            partition=partition,
            acks=acks,
            transactional_id=self.id if transactional_id is None else transactional_id,
            on=on,
        )
        if answer.responses[0].partition_responses[0].error_code == ErrorCode.NONE:
            self._next_sequence[place] = self._next_sequence.get(place, 0) + len(values or (b"v",))
        return answer

    def batch(self, topic: str, *values: bytes, partition: int = 0, **build: Any) -> bytes:
        """A batch as `produce` sends it."""
        chosen = {
            "producer_id": self.producer_id,
            "producer_epoch": self.epoch,
            "base_sequence": self._next_sequence.get((topic, partition), 0),
            "is_transactional": True,
            **build,
        }
        return batch(self.session, values, **chosen)

    def end(self, committed: bool, version: int = END, **fields: Any) -> Any:
        """EndTxn; returns when the markers are written."""
        request = EndTxnRequest(**self.named(**fields), committed=committed)
        answer = self.session.send(request, version)
        if answer.error_code == ErrorCode.NONE and answer.producer_id >= 0:
            self._take(answer.producer_id, answer.producer_epoch)
        self.settle()
        return answer

    def transact(
        self, topic: str, committed: bool, *values: bytes, partition: int = 0, version: int = 1
    ) -> None:
        """A whole transaction of one batch, in the first or second version."""
        if version == 1:
            self.add({topic: [partition]})
            self.produce(topic, *values, partition=partition)
            self.end(committed)
        else:
            self.produce(topic, *values, partition=partition, version=FIRST_PRODUCE_THAT_ADDS)
            self.end(committed, version=FIRST_END_WITH_EPOCH)

    def named(self, **fields: Any) -> dict[str, Any]:
        """How it names itself."""
        return {
            "transactional_id": self.id,
            "producer_id": self.producer_id,
            "producer_epoch": self.epoch,
            **fields,
        }

    def settle(self) -> None:
        """Wait until nothing of a transaction that has ended is left to be done."""
        request = DescribeTransactionsRequest(transactional_ids=[self.id])

        def is_settled() -> bool:
            (state,) = self.session.ask(request, 0).transaction_states
            return not state.transaction_state.startswith("Prepare")

        self.session.eventually(is_settled, what=f"the end of a transaction of {self.id}")

    def await_state(self, state: str) -> None:
        """Wait until the coordinator has brought the transaction into a state."""
        request = DescribeTransactionsRequest(transactional_ids=[self.id])
        self.session.eventually(
            lambda: self.session.ask(request, 0).transaction_states[0].transaction_state == state,
            what=f"state {state} of {self.id}",
        )

    def describe(self) -> Any:
        """DescribeTransactions of this one."""
        request = DescribeTransactionsRequest(transactional_ids=[self.id])
        return self.session.send(request, 0, sort=OF_TRANSACTIONS)

    def _take(self, producer_id: int, epoch: int) -> None:
        if (producer_id, epoch) != (self.producer_id, self.epoch):
            self._next_sequence.clear()
        self.producer_id, self.epoch = producer_id, epoch


def add_request(
    version: int, named: Mapping[str, Any], places: Places, *, verify_only: bool = False
) -> AddPartitionsToTxnRequest:
    """AddPartitionsToTxn of one transaction in the shape of a version."""
    topics = [AddPartitionsToTxnTopic(name, list(parts)) for name, parts in places.items()]
    if version >= FIRST_BATCHED_ADD:
        transaction = AddPartitionsToTxnTransaction(**named, verify_only=verify_only, topics=topics)
        return AddPartitionsToTxnRequest(transactions=[transaction])
    fields = {f"v3_and_below_{name}": value for name, value in named.items()}
    return AddPartitionsToTxnRequest(**fields, v3_and_below_topics=topics)


def describe_producers(session: Session, *topics: tuple[str, Sequence[int]]) -> Any:
    """DescribeProducers of partitions of topics."""
    asked = [TopicRequest(name, list(partitions)) for name, partitions in topics]
    return session.send(DescribeProducersRequest(topics=asked), 0, sort=OF_PRODUCERS)
