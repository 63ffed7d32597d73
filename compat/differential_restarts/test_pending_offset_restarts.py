"""Offsets that transactions have committed, when both brokers are stopped or killed and started."""

from collections.abc import Callable, Iterator

import pytest

from compat.differential.cases import Pair, case
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit
from compat.differential.pairs import RESTARTED_SETTINGS, running_pair
from compat.differential.session import Session
from compat.differential.test_offset_delete import delete
from compat.differential.transactions import ABORT, COMMIT, Transactional
from compat.differential.txn_offsets import begin, commit_offsets, end, look
from compat.differential_restarts.test_group_restarts import restart
from compat.targets import Target
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest

VERSIONS = (3, 5)
# What transaction.max.timeout.ms allows: no transaction may time out while brokers start.
LONGEST_MS = 900_000
PARTITIONS = list(range(4))


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """Brokers that the cases may end."""
    with running_pair(target_class, RESTARTED_SETTINGS) as running:
        yield running


def restarted(session: Session, version: int, end_broker: Callable[[Target], object]) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", len(PARTITIONS)), session.name("group")
    labels = ("committed", "aborted", "first", "second")
    committed, aborted, first, second = (
        Transactional(session, label, timeout_ms=LONGEST_MS) for label in labels
    )

    def write(producer: Transactional, *partitions: int, offset: int) -> None:
        offsets = [(topic, [at(offset, index) for index in partitions])]
        commit_offsets(producer, version, group, offsets)

    for producer in (committed, aborted, first, second):
        begin(producer, version, group)
    write(committed, *PARTITIONS, offset=1)
    write(aborted, *PARTITIONS, offset=2)
    end(committed, version, COMMIT)
    end(aborted, version, ABORT)
    write(first, 0, 1, 3, offset=3)
    write(second, 0, 1, 2, offset=4)
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [at(5, 1)])])
    delete(session, group, (topic, [2]))
    look(session, names, group, [(topic, PARTITIONS)])

    restart(session, end_broker)

    look(session, names, group, [(topic, PARTITIONS)])
    end(second, version, COMMIT)
    look(session, names, group, [(topic, PARTITIONS)])
    write(first, 2, offset=6)

    restart(session, end_broker)

    look(session, names, group, [(topic, PARTITIONS)])
    end(first, version, COMMIT)
    look(session, names, group, [(topic, PARTITIONS)])
    begin(aborted, version, group)
    write(aborted, 3, offset=7)
    end(aborted, version, ABORT)

    restart(session, end_broker)

    look(session, names, group, [(topic, PARTITIONS)])


@case(TxnOffsetCommitRequest, versions=VERSIONS)
def test_after_a_stop(session: Session, version: int) -> None:
    restarted(session, version, Target.stop)


@case(TxnOffsetCommitRequest, versions=VERSIONS[-1:])
def test_after_a_kill(session: Session, version: int) -> None:
    restarted(session, version, Target.kill)
