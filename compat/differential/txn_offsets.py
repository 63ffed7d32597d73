"""Committing offsets in transactions, in the shape of every version."""

from typing import Any

from compat.differential.group_offsets import Offsets, TopicNames, fetch
from compat.differential.session import Session
from compat.differential.transactions import END, FIRST_END_WITH_EPOCH, Transactional
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)

FIRST_WITH_MEMBER = 3
FIRST_THAT_ADDS = 5
NEWEST_FETCH = 9


def begin(producer: Transactional, version: int, *group_ids: str) -> None:
    """Make groups part of the transaction, where the commit does not do it."""
    if version < FIRST_THAT_ADDS:
        for group_id in group_ids:
            producer.add_group(group_id)


def commit_request(
    producer: Transactional, group_id: str, offsets: Offsets, **fields: Any
) -> TxnOffsetCommitRequest:
    """A commit of a producer; without more fields it does not say who has read."""
    topics = []
    for name, partitions in offsets:
        whole = [
            TxnOffsetCommitRequestPartition(index, index + 3)
            if isinstance(index, int)
            else TxnOffsetCommitRequestPartition(
                index.partition_index,
                index.committed_offset,
                index.committed_leader_epoch,
                index.committed_metadata,
            )
            for index in partitions
        ]
        topics.append(TxnOffsetCommitRequestTopic(str(name), whole))
    return TxnOffsetCommitRequest(**producer.named(group_id=group_id, topics=topics, **fields))


def commit_offsets(
    producer: Transactional, version: int, group_id: str, offsets: Offsets, **fields: Any
) -> Any:
    """TxnOffsetCommit; the answers are compared."""
    request = commit_request(producer, group_id, offsets, **fields)
    return producer.session.send(request, version)


def end(producer: Transactional, version: int, committed: bool) -> None:
    """End the transaction as a client does that commits offsets in this version."""
    producer.end(committed, FIRST_END_WITH_EPOCH if version >= FIRST_THAT_ADDS else END)


def look(session: Session, names: TopicNames, group_id: str, offsets: Offsets) -> None:
    """Compare what the group has, for those who want it stable and for others."""
    asked = [(name, list(range(len(parts)))) for name, parts in offsets]
    for is_stable in (False, True):
        fetch(session, names, NEWEST_FETCH, group_id, asked, require_stable=is_stable)
        fetch(session, names, NEWEST_FETCH, group_id, require_stable=is_stable)
