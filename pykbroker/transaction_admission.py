"""Which transactional batches of a Produce request may be appended now (KIP-890).

A partition is part of a transaction only once the transaction coordinator says so: else nobody
would ever end the transaction there. It need not be asked where the log has a batch of the same
transaction already. Up to Produce v11 it is asked whether the client has added the partition;
from v12 on it adds it, which may take waiting for the disk or for the end of the producer's last
transaction (Kafka's `ReplicaManager.maybeSendPartitionsToTransactionCoordinator` and
`AddPartitionsToTxnManager`).

Everything runs in one event loop. What `look` finds is therefore right until the next await, and
Kafka's verification guard, which notices that a marker came between question and append, is that
nothing is awaited between them.

Codes of the coordinator that a producer does not expect are given as others, see `_refusal`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final

from pykbroker.coordinator.transaction.producer import ProducerIdAndEpoch
from pykbroker.leadership import led_log
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import RecordBatch

if TYPE_CHECKING:
    from pykbroker.broker import Broker

FIRST_VERSION_WITH_ABORTABLE_ERROR: Final = 11
FIRST_VERSION_THAT_ADDS_PARTITIONS: Final = 12
# The version of transactions that a client of such a version works by.
TRANSACTION_VERSION_OF_THESE: Final = 2

# A producer tries again after NOT_ENOUGH_REPLICAS, and asks for no new metadata.
_COORDINATOR_IS_BUSY: Final = frozenset(
    {
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)

TopicPartition = tuple[str, int]


class NotAdmittedError(KafkaError):
    """A batch was refused before the log was looked at.

    Attributes:
        explanation: What the client is told besides the code, if anything.
    """

    def __init__(self, code: ErrorCode, explanation: str | None = None) -> None:
        super().__init__(code, explanation)
        self.explanation = explanation


class Admission:
    """Finds out which transactional batches of one request may be appended.

    Args:
        broker: This broker.
        transactional_id: As the request has it.
        api_version: Of the request.
        batches: The transactional batches with a producer id, by partition.

    Attributes:
        refused: The partitions whose batch may not be appended, and why; until the next await.

    Raises:
        KafkaError: INVALID_PRODUCER_ID_MAPPING; they are not all of one producer.
    """

    __slots__ = ("_api_version", "_batches", "_broker", "_failure", "_transactional_id", "refused")

    def __init__(
        self,
        broker: Broker,
        transactional_id: str,
        api_version: int,
        batches: Mapping[TopicPartition, RecordBatch],
    ) -> None:
        if len({(batch.producer_id, batch.producer_epoch) for batch in batches.values()}) > 1:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
        self._broker = broker
        self._transactional_id = transactional_id
        self._api_version = api_version
        self._batches = batches
        self._failure: ErrorCode | None = None
        self.refused: dict[TopicPartition, NotAdmittedError] = {}

    @property
    def _adds_partitions(self) -> bool:
        return self._api_version >= FIRST_VERSION_THAT_ADDS_PARTITIONS

    def look(self) -> Awaitable[None] | None:
        """Find out what may be appended at this moment.

        Returns:
            None when `refused` says it. Else what to wait for before looking again; it may raise
            KafkaError, which `note_failure` is to be told.
        """
        self.refused = {}
        unknown = self._unknown_to_logs()
        if not unknown:
            return None
        batch = self._batches[unknown[0]]
        producer = ProducerIdAndEpoch(batch.producer_id, batch.producer_epoch)
        if self._failure is not None:
            self._refuse(unknown, self._failure)
        elif not self._transactional_id:
            self._refuse(unknown, ErrorCode.INVALID_REQUEST)
        elif self._adds_partitions:
            try:
                return self._broker.transactions.add_partitions(
                    self._transactional_id,
                    producer,
                    unknown,
                    client_version=TRANSACTION_VERSION_OF_THESE,
                )
            except KafkaError as error:
                self._refuse(unknown, error.code)
        else:
            for partition in unknown:
                self._verify(producer, partition)
        return None

    def note_failure(self, error: KafkaError) -> None:
        """Take it that the coordinator refuses what it would be asked for."""
        self._failure = error.code

    def _unknown_to_logs(self) -> list[TopicPartition]:
        """Return the partitions that the coordinator must be asked about."""
        config = self._broker.config
        if not (self._adds_partitions or config.transaction_partition_verification_enable):
            return []
        now_ms = self._broker.clock.now_ms()
        unknown = []
        for key, batch in self._batches.items():
            try:
                producers = led_log(self._broker, *key).producers
            except KafkaError:
                continue  # it will be found again and answered
            try:
                must_ask = producers.begin_verification(
                    batch.producer_id,
                    batch.producer_epoch,
                    batch.base_sequence,
                    now_ms,
                    is_epoch_bumped=self._adds_partitions,
                )
            except KafkaError as error:
                self.refused[key] = NotAdmittedError(error.code)
            else:
                if must_ask:
                    unknown.append(key)
        return unknown

    def _verify(self, producer: ProducerIdAndEpoch, partition: TopicPartition) -> None:
        try:
            code = self._broker.transactions.verify(self._transactional_id, producer, partition)
        except KafkaError as error:
            code = error.code
        if code is not ErrorCode.NONE:
            self._refuse([partition], code)

    def _refuse(self, partitions: list[TopicPartition], code: ErrorCode) -> None:
        refusal = _refusal(code, self._api_version)
        self.refused.update(dict.fromkeys(partitions, refusal))


def _refusal(code: ErrorCode, api_version: int) -> NotAdmittedError:
    """Return what a producer of this version is told where the coordinator says `code`."""
    if code is ErrorCode.PRODUCER_FENCED:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    elif (
        code is ErrorCode.TRANSACTION_ABORTABLE and api_version < FIRST_VERSION_WITH_ABORTABLE_ERROR
    ):
        code = ErrorCode.INVALID_TXN_STATE
    if code is ErrorCode.INVALID_TXN_STATE:
        return NotAdmittedError(code, "the partition was not added to the transaction")
    if code in _COORDINATOR_IS_BUSY or (
        code is ErrorCode.CONCURRENT_TRANSACTIONS
        and api_version < FIRST_VERSION_THAT_ADDS_PARTITIONS
    ):
        return NotAdmittedError(
            ErrorCode.NOT_ENOUGH_REPLICAS,
            f"the partition could not be found to be part of the transaction: {code.name}",
        )
    return NotAdmittedError(code)
