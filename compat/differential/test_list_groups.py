"""ListGroups: by state, by type, and all."""

from dataclasses import replace
from typing import Any

from compat.differential.cases import case
from compat.differential.group_members import Member, stable_group
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, commit
from compat.differential.session import Session
from pykbroker.protocol.messages.list_groups import ListGroupsRequest

FIRST_WITH_STATES = 4
FIRST_WITH_TYPES = 5


def list_groups(session: Session, version: int, **filters: Any) -> None:
    """Compare which of the case's own groups are listed; others come and go."""
    answer = session.ask(ListGroupsRequest(**filters), version)
    own = [group for group in answer.groups if group.group_id.startswith(session.name(""))]
    own.sort(key=lambda group: str(group.group_id))
    session.note(f"ListGroups v{version} {filters}", replace(answer, groups=own))


def groups_in_every_state(session: Session) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    commit(session, names, NEWEST_BY_NAME, session.name("simple"), [(topic, [0])])
    stable_group(session, session.name("stable"))
    (worker,) = stable_group(
        session, session.name("left"), protocol_type="connect", protocols={"eager": b""}
    )
    worker.leave()
    completing = Member(session, session.name("completing"))
    completing.enter()
    preparing, follower = stable_group(session, session.name("preparing"), ("a", "b"))
    preparing.begin_join()
    preparing.await_state("PreparingRebalance")
    follower.heartbeat()
    promised = Member(session, session.name("promised"))
    promised.get_id()
    promised.await_state("Empty")


@case(ListGroupsRequest)
def test_all(session: Session, version: int) -> None:
    groups_in_every_state(session)
    list_groups(session, version)


@case(ListGroupsRequest, versions=range(FIRST_WITH_STATES, 6))
def test_states(session: Session, version: int) -> None:
    groups_in_every_state(session)
    known = ["Stable", "Empty", "Dead", "PreparingRebalance", "CompletingRebalance", "Unknown"]
    newer = ["Assigning", "Reconciling", "NotReady"]
    odd = ["stable", "EMPTY", " Stable ", "unheard-of", "", "preparing_rebalance"]
    for state in (*known, *newer, *odd):
        list_groups(session, version, states_filter=[state])
    list_groups(session, version, states_filter=["Stable", "Empty", "Stable"])
    list_groups(session, version, states_filter=["unheard-of", "Empty"])


@case(ListGroupsRequest, versions=[FIRST_WITH_TYPES])
def test_types(session: Session, version: int) -> None:
    groups_in_every_state(session)
    known = ["classic", "consumer", "share", "streams", "unknown"]
    odd = ["Classic", "CLASSIC", " classic", "unheard-of", ""]
    for kind in (*known, *odd):
        list_groups(session, version, types_filter=[kind])
    list_groups(session, version, types_filter=["consumer", "classic", "unheard-of"])
    for state in ("Empty", "unheard-of"):
        for kind in ("classic", "consumer", "unheard-of"):
            list_groups(session, version, states_filter=[state], types_filter=[kind])
