"""OffsetCommit and the group's members: who may commit, in which state of the group."""

from typing import Any

from compat.differential.cases import case
from compat.differential.group_members import Member, add_member, describe, stable_group
from compat.differential.group_offsets import NEWEST_BY_NAME, TopicNames, at, commit, fetch
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest

FIRST_WITH_INSTANCE_ID = 7


class Committer:
    """Commits one offset as a member, and in its name with something wrong."""

    def __init__(self, session: Session, version: int) -> None:
        self.session = session
        self.version = version
        self.names = TopicNames(session)
        self.topic = self.names.add("t")
        self.unknown = session.name("unknown")
        self._offset = 0

    def commit(self, member: Member, **changes: Any) -> None:
        """Commit the next offset; the answer for an unknown topic is there in any case."""
        self._offset += 1
        fields: dict[str, Any] = {
            "member_id": member.member_id,
            "generation_id_or_member_epoch": member.generation_id,
        }
        if self.version >= FIRST_WITH_INSTANCE_ID:
            fields["group_instance_id"] = member.instance_id
        commit(
            self.session,
            self.names,
            self.version,
            member.group_id,
            [(self.topic, [at(self._offset)]), (self.unknown, [0])],
            **{**fields, **changes},
        )

    def all_kinds(self, member: Member) -> None:
        """As the member, as no member, and as one that is wrong in one point or two."""
        self.commit(member)
        for generation_id in (member.generation_id + 1, member.generation_id - 1, -1, -2):
            self.commit(member, generation_id_or_member_epoch=generation_id)
        for member_id in ("stranger", ""):
            self.commit(member, member_id=member_id)
            self.commit(member, member_id=member_id, generation_id_or_member_epoch=-1)
            self.commit(member, member_id=member_id, generation_id_or_member_epoch=99)
        if self.version >= FIRST_WITH_INSTANCE_ID:
            self.commit(member, group_instance_id="unknown")
            self.commit(member, group_instance_id="")
            self.commit(
                member,
                group_instance_id="unknown",
                member_id="",
                generation_id_or_member_epoch=-1,
            )
        self.fetch(member)

    def fetch(self, member: Member) -> None:
        topics = [(self.topic, [0])]
        fetch(self.session, self.names, NEWEST_BY_NAME, member.group_id, topics)


@case(OffsetCommitRequest)
def test_stable_group(session: Session, version: int) -> None:
    committer = Committer(session, version)
    (member,) = stable_group(session, session.name("group"))
    committer.all_kinds(member)
    member.heartbeat()


@case(OffsetCommitRequest)
def test_while_the_assignment_is_awaited(session: Session, version: int) -> None:
    committer = Committer(session, version)
    member = Member(session, session.name("group"))
    member.enter()
    committer.all_kinds(member)
    member.assign(member)
    committer.commit(member)


@case(OffsetCommitRequest)
def test_while_members_are_awaited(session: Session, version: int) -> None:
    """Members give their partitions up, and commit before that."""
    committer = Committer(session, version)
    leader, follower = stable_group(session, session.name("group"), ("a", "b"))
    again = leader.begin_join()
    leader.await_state("PreparingRebalance")
    committer.all_kinds(follower)
    committer.commit(leader)
    follower.join()
    leader.joined(again)
    committer.commit(leader)
    committer.fetch(leader)


@case(OffsetCommitRequest)
def test_generation_of_before(session: Session, version: int) -> None:
    committer = Committer(session, version)
    members = stable_group(session, session.name("group"))
    add_member(members, "b")
    committer.commit(members[0], generation_id_or_member_epoch=1)
    committer.commit(members[0])
    members[1].leave()
    committer.commit(members[1])
    committer.fetch(members[0])


@case(OffsetCommitRequest)
def test_after_the_last_one_left(session: Session, version: int) -> None:
    committer = Committer(session, version)
    (member,) = stable_group(session, session.name("group"))
    committer.commit(member)
    member.leave()
    committer.all_kinds(member)
    describe(session, member.group_id)


@case(OffsetCommitRequest)
def test_promised_member_id(session: Session, version: int) -> None:
    committer = Committer(session, version)
    member = Member(session, session.name("group"))
    member.get_id()
    committer.all_kinds(member)
    member.join()


@case(OffsetCommitRequest, versions=range(FIRST_WITH_INSTANCE_ID, 11))
def test_static_member(session: Session, version: int) -> None:
    committer = Committer(session, version)
    elder = Member(session, session.name("group"), instance_id="i")
    elder.enter()
    elder.assign(elder)
    committer.all_kinds(elder)
    member = Member(session, elder.group_id, "b", instance_id="i")
    member.enter()
    committer.commit(elder)
    committer.commit(elder, group_instance_id=None)
    committer.commit(member)
    committer.commit(member, group_instance_id=None)
    committer.fetch(member)


@case(OffsetCommitRequest)
def test_group_of_another_protocol_type(session: Session, version: int) -> None:
    committer = Committer(session, version)
    protocols = {"eager": b"opaque"}
    (worker,) = stable_group(
        session, session.name("group"), protocol_type="connect", protocols=protocols
    )
    committer.all_kinds(worker)
