"""OffsetFetch: of some partitions, of all, of many groups, by name and by id."""

from compat.differential.cases import case
from compat.differential.group_members import Member, stable_group
from compat.differential.group_offsets import (
    BY_NAME,
    FIRST_BATCHED_FETCH,
    FIRST_FETCH_BY_ID,
    FIRST_FETCH_OF_ALL,
    FIRST_FETCH_OF_STABLE,
    FIRST_FETCH_WITH_MEMBER,
    NEWEST_BY_NAME,
    TopicNames,
    at,
    commit,
    fetch,
    fetch_request,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequest
from pykbroker.protocol.primitives import NULL_UUID


def stable_or_not(version: int) -> tuple[bool, ...]:
    """The values that a version has for require_stable."""
    return (False, True) if version >= FIRST_FETCH_OF_STABLE else (False,)


@case(OffsetFetchRequest)
def test_committed_and_other_partitions(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, other, group = names.add("t", 3), names.add("u"), session.name("group")
    committed = at(8, 1, committed_metadata="a word", committed_leader_epoch=4)
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0, committed])])
    asked = [(topic, [1, 0, 2, 7, -1]), (other, [0]), (session.name("unknown"), [0, 1])]
    for is_stable in stable_or_not(version):
        fetch(session, names, version, group, asked, require_stable=is_stable)


@case(OffsetFetchRequest)
def test_missing_and_odd_groups(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    for group in (session.name("missing"), "", " ", "é/"):
        for is_stable in stable_or_not(version):
            fetch(session, names, version, group, [(topic, [0])], require_stable=is_stable)
            fetch(session, names, version, group, [], require_stable=is_stable)


@case(OffsetFetchRequest, versions=range(FIRST_FETCH_OF_ALL, 11))
def test_all(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 3), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [2, 0])])
    for is_stable in stable_or_not(version):
        fetch(session, names, version, group, require_stable=is_stable)
        fetch(session, names, version, session.name("missing"), require_stable=is_stable)


@case(OffsetFetchRequest, versions=range(FIRST_FETCH_OF_ALL, FIRST_FETCH_BY_ID))
def test_all_topics(session: Session, version: int) -> None:
    names = TopicNames(session)
    group = session.name("group")
    topics = [(names.add(label, 2), [0, 1]) for label in ("t", "u", "v")]
    commit(session, names, NEWEST_BY_NAME, group, topics)
    fetch(session, names, version, group)


@case(OffsetFetchRequest)
def test_nothing_and_named_twice(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t", 2), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0, 1])])
    for is_stable in stable_or_not(version):
        fetch(session, names, version, group, [], require_stable=is_stable)
        fetch(session, names, version, group, [(topic, [])], require_stable=is_stable)
        twice = [(topic, [0, 0]), (topic, [1])]
        fetch(session, names, version, group, twice, require_stable=is_stable)


@case(OffsetFetchRequest, versions=range(1, FIRST_FETCH_BY_ID))
def test_names_that_no_topic_can_have(session: Session, version: int) -> None:
    names = TopicNames(session)
    fetch(session, names, version, session.name("group"), [("", [0]), ("a/b", [0]), ("é", [0])])


@case(OffsetFetchRequest, versions=range(FIRST_BATCHED_FETCH, 11))
def test_many_groups(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, first, second = names.add("t"), session.name("first"), session.name("second")
    commit(session, names, NEWEST_BY_NAME, first, [(topic, [at(1)])])
    commit(session, names, NEWEST_BY_NAME, second, [(topic, [at(2)])])
    groups = [second, session.name("missing"), first, second, ""]
    for is_stable in (False, True):
        request = fetch_request(names, version, groups, [(topic, [0])], require_stable=is_stable)
        session.send(request, version, sort={"groups": "group_id"})
        request = fetch_request(names, version, groups[:-1], None, require_stable=is_stable)
        session.send(request, version, sort={"groups": "group_id", **BY_NAME})
    session.send(fetch_request(names, version, [], None), version)


@case(OffsetFetchRequest, versions=range(FIRST_FETCH_WITH_MEMBER, 11))
def test_members_of_classic_groups(session: Session, version: int) -> None:
    """The member that a consumer of the newer protocol names is not looked at."""
    names = TopicNames(session)
    topic, simple = names.add("t"), session.name("simple")
    commit(session, names, NEWEST_BY_NAME, simple, [(topic, [0])])
    (member,) = stable_group(session, session.name("group"))
    for group in (simple, member.group_id, session.name("missing"), ""):
        for asked in ([(topic, [0])], None):
            for fields in (
                {"member_id": "stranger", "member_epoch": 4},
                {"member_id": "stranger"},
                {"member_epoch": 4},
                {"member_id": "", "member_epoch": 0},
            ):
                if group or asked:  # What all cases have committed for "" is not compared.
                    fetch(session, names, version, group, asked, **fields)


@case(OffsetFetchRequest, versions=[FIRST_FETCH_BY_ID])
def test_topic_ids(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic, group = names.add("t"), session.name("group")
    commit(session, names, NEWEST_BY_NAME, group, [(topic, [0])])
    for asked in group, session.name("missing"):
        fetch(session, names, version, asked, [(NULL_UUID, [0])])
        fetch(session, names, version, asked, [(NULL_UUID, [0]), (topic, [0])])
        fetch(session, names, version, asked, [(b"z" * 16, [0, 1]), (topic, [0]), (b"y" * 16, [3])])
        fetch(session, names, version, asked, [(b"z" * 16, [])])


@case(OffsetFetchRequest)
def test_every_state_of_a_group(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    member = Member(session, session.name("group"))
    member.get_id()
    commit(session, names, NEWEST_BY_NAME, member.group_id, [(topic, [0])])
    fetch(session, names, version, member.group_id, [(topic, [0])])
    member.join()
    fetch(session, names, version, member.group_id, [(topic, [0])])
    member.assign(member)
    fetch(session, names, version, member.group_id, [(topic, [0])])
    other = Member(session, member.group_id, "b")
    entering = other.begin_enter()
    fetch(session, names, version, member.group_id, [(topic, [0])])
    member.join()
    other.joined(entering)
    member.leave()
    other.leave()
    fetch(session, names, version, member.group_id, [(topic, [0])])
