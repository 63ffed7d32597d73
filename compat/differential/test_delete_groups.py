"""DeleteGroups: only where nobody is left, and the offsets with it."""

from compat.differential.cases import case
from compat.differential.group_members import Member, describe, stable_group
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, commit, fetch
from compat.differential.session import Session
from pykbroker.protocol.messages.delete_groups import DeleteGroupsRequest


def delete(session: Session, version: int, *group_ids: str) -> None:
    request = DeleteGroupsRequest(groups_names=list(group_ids))
    # Kafka answers by partition of the coordinator.
    session.send(request, version, sort={"results": "group_id"})


@case(DeleteGroupsRequest)
def test_missing_groups(session: Session, version: int) -> None:
    for group in (session.name("missing"), "", " ", "é"):
        delete(session, version, group)
    delete(session, version)
    delete(session, version, session.name("missing"), session.name("missing"))


@case(DeleteGroupsRequest)
def test_group_of_offsets_alone(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0, 1])])
    delete(session, version, group)
    describe(session, group)
    fetch(session, names, NEWEST_BY_NAME, group)
    delete(session, version, group)
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [1])])
    fetch(session, names, NEWEST_BY_NAME, group)


@case(DeleteGroupsRequest)
def test_every_state(session: Session, version: int) -> None:
    leader = Member(session, session.name("group"))
    leader.enter()
    delete(session, version, leader.group_id)
    leader.assign(leader)
    delete(session, version, leader.group_id)
    follower = Member(session, leader.group_id, "b")
    entering = follower.begin_enter()
    delete(session, version, leader.group_id)
    leader.join()
    follower.joined(entering)
    leader.leave()
    follower.leave()
    describe(session, leader.group_id)
    delete(session, version, leader.group_id)
    describe(session, leader.group_id)
    leader.join()
    leader.heartbeat()


@case(DeleteGroupsRequest)
def test_promised_member_id(session: Session, version: int) -> None:
    member = Member(session, session.name("group"))
    member.get_id()
    delete(session, version, member.group_id)
    member.join()
    describe(session, member.group_id)


@case(DeleteGroupsRequest)
def test_many_groups(session: Session, version: int) -> None:
    gone = [stable_group(session, session.name(f"gone-{number}"))[0] for number in range(3)]
    for member in gone:
        member.leave()
    (alive,) = stable_group(session, session.name("alive"))
    ids = [member.group_id for member in gone]
    delete(session, version, ids[0], alive.group_id, session.name("missing"), ids[1], "", ids[2])
    describe(session, *ids, alive.group_id)
    alive.heartbeat()


@case(DeleteGroupsRequest)
def test_named_twice(session: Session, version: int) -> None:
    (alive,) = stable_group(session, session.name("alive"))
    delete(session, version, alive.group_id, alive.group_id)
    alive.leave()
    delete(session, version, alive.group_id, alive.group_id)
    describe(session, alive.group_id)


@case(DeleteGroupsRequest)
def test_made_anew(session: Session, version: int) -> None:
    """A new group of the same name begins with the first generation, and without offsets."""
    names = TopicNames(session)
    topic = names.add("t")
    (member,) = stable_group(session, session.name("group"))
    member.leave()
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
    delete(session, version, member.group_id)
    member.member_id = ""
    member.enter()
    member.assign(member)
    describe(session, member.group_id)
    fetch(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
