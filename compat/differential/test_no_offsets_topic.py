"""Committing offsets in a transaction before there is a topic for them."""

from collections.abc import Iterator

import pytest

from compat.differential.cases import Pair, case
from compat.differential.pairs import TRANSACTION, running_pair
from compat.differential.session import Session
from compat.differential.transactions import Transactional
from compat.differential.txn_offsets import commit_offsets
from compat.targets import Target
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers that nobody has asked for a coordinator of groups."""
    with running_pair(target_class, key_types=(TRANSACTION,)) as running:
        yield running


@case(TxnOffsetCommitRequest)
def test_no_coordinator_yet(session: Session, version: int) -> None:
    topic, group, producer = session.create_topic(), session.name("group"), Transactional(session)
    commit_offsets(producer, version, group, [(topic, [0])])
    producer.epoch += 5
    commit_offsets(producer, version, group, [(topic, [0])])
    commit_offsets(producer, version, "", [(topic, [0])])
    # Other requests of members have another answer.
    session.send(HeartbeatRequest(group_id=group, generation_id=1, member_id="m"), 4)
