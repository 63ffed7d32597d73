"""DescribeTransactions and ListTransactions: transactions as administrators see them."""

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from pykbroker.coordinator.transaction.metadata import TransactionMetadata
from pykbroker.coordinator.transaction.state import STATES_BY_NAME
from pykbroker.protocol.messages.describe_transactions import TopicData
from pykbroker.protocol.messages.describe_transactions import TransactionState as DescribedState
from pykbroker.protocol.messages.list_transactions import TransactionState as ListedState

NO_DURATION = -1


class ListFilters(NamedTuple):
    """What is asked for; nothing where all are.

    `longer_than_ms` is how long a transaction must have gone on, and `matches` is of ids.
    """

    states: frozenset[str] = frozenset()
    producer_ids: frozenset[int] = frozenset()
    longer_than_ms: int = NO_DURATION
    matches: Callable[[str], bool] | None = None

    @property
    def unknown_states(self) -> list[str]:
        """Those of the states that there are not, which are echoed."""
        return sorted(self.states - STATES_BY_NAME.keys())


def describe(known: TransactionMetadata) -> DescribedState:
    """Describe one transactional id."""
    by_topic = groupby(sorted(known.partitions), key=itemgetter(0))
    return DescribedState(
        transactional_id=known.transactional_id,
        transaction_state=known.state.display_name,
        transaction_timeout_ms=known.timeout_ms,
        transaction_start_time_ms=known.start_ms,
        producer_id=known.producer_id,
        producer_epoch=known.producer_epoch,
        topics=[TopicData(topic, [index for _, index in group]) for topic, group in by_topic],
    )


def list_transactions(
    all_known: Iterable[TransactionMetadata], filters: ListFilters, now_ms: int
) -> list[ListedState]:
    """List the transactional ids that pass the filters."""
    return [
        ListedState(known.transactional_id, known.producer_id, known.state.display_name)
        for known in all_known
        if _passes(known, filters, now_ms)
    ]


def _passes(known: TransactionMetadata, filters: ListFilters, now_ms: int) -> bool:
    return (
        (not filters.producer_ids or known.producer_id in filters.producer_ids)
        and (not filters.states or known.state.display_name in filters.states)
        and (filters.longer_than_ms < 0 or now_ms - known.start_ms > filters.longer_than_ms)
        and (filters.matches is None or filters.matches(known.transactional_id))
    )
