"""One operation on transactions in progress: its circumstances, and what it wants written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pykbroker.coordinator.transaction.metadata import (
    FIRST_VERSION_WITH_EPOCH_BUMP,
    TransactionMetadata,
)
from pykbroker.coordinator.transaction.records import FIRST_VERSION_WITH_TAGS, record_of
from pykbroker.coordinator.transition import CoordinatorRecord, Transition
from pykbroker.protocol.errors import ErrorCode, KafkaError

ResponseT = TypeVar("ResponseT")

DAY_MS: Final = 24 * 60 * 60 * 1_000


class NoProducerIdError(Exception):
    """A fresh producer id is needed, and none is at hand: fetch some and ask again."""


@dataclass(slots=True, frozen=True)
class TransactionSettings:
    """Limits and times of transactions; Kafka's defaults.

    `version` is the level of the feature `transaction.version`.
    """

    version: int = FIRST_VERSION_WITH_EPOCH_BUMP
    max_timeout_ms: int = 900_000
    id_expiration_ms: int = 7 * DAY_MS


@dataclass(slots=True)
class TransactionStep:
    """Collects what one operation wants done and becomes its `Transition`.

    `now_ms` is wall time. `take_producer_id` gives a fresh producer id, or None if it has none.
    """

    now_ms: int
    settings: TransactionSettings
    take_producer_id: Callable[[], int | None]
    records: list[CoordinatorRecord] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def new_producer_id(self) -> int:
        """Return a producer id that nobody has had; raises NoProducerIdError."""
        producer_id = self.take_producer_id()
        if producer_id is None:
            raise NoProducerIdError
        return producer_id

    def check_client_version(self, client_version: int) -> None:
        """Refuse a producer by whose version the records of this moment cannot speak.

        Raises:
            KafkaError: UNSUPPORTED_VERSION
        """
        if client_version > 0 and self.settings.version < FIRST_VERSION_WITH_TAGS:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)

    def write(self, metadata: TransactionMetadata) -> None:
        """Have it written how a transactional id stands after this operation."""
        # What the end of a transaction of version 2 says has no place in version 0.
        has_tags = self.settings.version >= FIRST_VERSION_WITH_TAGS or metadata.bumps_epochs
        self.records.append(record_of(metadata, FIRST_VERSION_WITH_TAGS if has_tags else 0))

    def log(self, event: str) -> None:
        """Leave a line for the broker's log."""
        self.events.append(event)

    def done(self, response: ResponseT) -> Transition[ResponseT]:
        """End the operation."""
        return Transition(response, records=self.records, events=self.events)
