"""A group that is loaded with more members than `group.max.size` lets it have by now."""

from collections.abc import Iterator

import pytest

from compat.differential.cases import Pair, case
from compat.differential.group_members import Member, describe, stable_group
from compat.differential.pairs import RESTARTED_SETTINGS, await_coordinators, running_pair
from compat.differential.session import Session
from compat.targets import Target
from pykbroker.protocol.messages.join_group import JoinGroupRequest

REBALANCE_MS = 3000


@pytest.fixture(scope="module")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    with running_pair(target_class, RESTARTED_SETTINGS) as running:
        yield running


@case(JoinGroupRequest, versions=[JoinGroupRequest.MAX_VERSION])
def test_the_first_to_come_back_are_kept(session: Session, version: int) -> None:
    # Kafka waits out the rebalance timeout for the one that may not come in.
    members = stable_group(
        session, session.name("group"), ("a", "b", "c"), rebalance_timeout_ms=REBALANCE_MS
    )
    small = stable_group(session, session.name("small"), ("a", "b"))
    session.broker.change_settings({"group.max.size": "2"})
    session.broker.stop()
    session.broker.restart()
    await_coordinators(session.broker)
    session.reconnect()
    for member in (*members, *small):
        member.reconnect()

    for member in small:
        member.heartbeat()
    for member in members:
        member.heartbeat()
    kept, turned_away = members[:2], members[2]
    waiting = [(member, member.begin_join()) for member in kept]
    for _, pending in waiting:
        pending.is_silent()
    turned_away.join()
    for member, pending in waiting:
        member.joined(pending)
    kept[0].assign(*kept)
    kept[1].sync()
    turned_away.heartbeat()
    describe(session, kept[0].group_id)
    newcomer = Member(session, kept[0].group_id, "d")
    newcomer.join()
