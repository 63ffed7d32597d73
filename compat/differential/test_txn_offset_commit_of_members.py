"""TxnOffsetCommit of members of groups: generations, epochs, static members, rebalances."""

from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import Consumer, joined_when_assigned
from compat.differential.group_members import Member, describe, let_in, stable_group
from compat.differential.group_offsets import TopicNames, at
from compat.differential.session import Session
from compat.differential.transactions import ABORT, COMMIT, Transactional
from compat.differential.txn_offsets import FIRST_WITH_MEMBER, begin, commit_offsets, end, look
from pykbroker.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest

WITH_MEMBER = range(FIRST_WITH_MEMBER, 6)
WITHOUT_MEMBER = range(FIRST_WITH_MEMBER)


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


class Committing:
    """A producer that commits one offset at a time for a group."""

    def __init__(self, session: Session, version: int, group_id: str) -> None:
        self.session = session
        self.version = version
        self.group_id = group_id
        self.names = TopicNames(session)
        self.topic = self.names.add("t", 2)
        self.producer = Transactional(session)
        self.offset = 0
        begin(self.producer, version, group_id)

    def by(
        self,
        member_id: str = "",
        generation_id: int = -1,
        instance_id: str | None = None,
        partition: int = 0,
        **fields: Any,
    ) -> None:
        """Commit, saying who has read."""
        self.offset += 1
        said = {
            "member_id": member_id,
            "generation_id": generation_id,
            "group_instance_id": instance_id,
        }
        offsets = [(self.topic, [at(self.offset, partition, **fields)])]
        commit_offsets(self.producer, self.version, self.group_id, offsets, **said)

    def end(self, committed: bool) -> None:
        """End the transaction and compare what the group has."""
        end(self.producer, self.version, committed)
        look(self.session, self.names, self.group_id, [(self.topic, [0, 1])])
        begin(self.producer, self.version, self.group_id)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_of_missing_groups(session: Session, version: int) -> None:
    committing = Committing(session, version, session.name("group"))
    for generation in (0, 1, 2**31 - 1):
        committing.by("stranger", generation)
        committing.by("", generation)
    describe(session, committing.group_id)
    committing.by("stranger", -2, "an instance")
    describe(session, committing.group_id)
    for generation in (-1, 0, 1):
        committing.by("stranger", generation)
        committing.by("", generation, "an instance")
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_of_a_stable_group(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    committing = Committing(session, version, member.group_id)
    for member_id in (member.member_id, "stranger", ""):
        for generation in (-2, -1, 0, member.generation_id, member.generation_id + 1):
            for instance_id in (None, "an instance"):
                committing.by(member_id, generation, instance_id)
    committing.end(COMMIT)
    member.heartbeat()


@case(TxnOffsetCommitRequest, versions=WITHOUT_MEMBER)
def test_without_telling_the_member(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    committing = Committing(session, version, member.group_id)
    committing.by()
    committing.end(COMMIT)
    member.leave()
    committing.by()
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_of_static_members(session: Session, version: int) -> None:
    elder = Member(session, session.name("group"), "a", instance_id="i")
    elder.enter()
    elder.assign(elder)
    younger = Member(session, elder.group_id, "b", instance_id="i")
    committing = Committing(session, version, elder.group_id)
    committing.by(elder.member_id, elder.generation_id, "i")
    younger.join()
    for member in (elder, younger):
        for generation in (-1, member.generation_id, member.generation_id + 1):
            committing.by(member.member_id, generation, "i")
            committing.by(member.member_id, generation, "j")
            committing.by(member.member_id, generation)
    committing.by("", younger.generation_id, "i")
    committing.by("", -1, "i")
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_during_a_rebalance(session: Session, version: int) -> None:
    (leader,) = stable_group(session, session.name("group"))
    follower = Member(session, leader.group_id, "b")
    committing = Committing(session, version, leader.group_id)
    entering = follower.begin_enter()
    committing.by(leader.member_id, leader.generation_id)
    committing.by()
    leader.join()
    follower.joined(entering)
    leader.await_state("CompletingRebalance")
    for member in (leader, follower):
        for generation in (-1, member.generation_id - 1, member.generation_id):
            committing.by(member.member_id, generation)
    committing.by()
    committing.end(COMMIT)
    leader.assign(leader, follower)
    follower.sync()


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_when_all_have_left(session: Session, version: int) -> None:
    (member,) = stable_group(session, session.name("group"))
    committing = Committing(session, version, member.group_id)
    committing.by(member.member_id, member.generation_id)
    member.leave()
    committing.by(member.member_id, member.generation_id)
    committing.by(member.member_id, -1)
    committing.by()
    committing.end(ABORT)
    committing.by("", member.generation_id + 1)
    describe(session, member.group_id)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_of_a_group_that_is_not_of_consumers(session: Session, version: int) -> None:
    (member,) = stable_group(
        session, session.name("group"), protocol_type="connect", protocols={"p": b"anything"}
    )
    committing = Committing(session, version, member.group_id)
    committing.by()
    committing.by(member.member_id, member.generation_id)
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest, versions=WITH_MEMBER)
def test_a_commit_leaves_a_promised_member_alone(session: Session, version: int) -> None:
    promised = Member(session, session.name("group"), "a")
    promised.get_id()
    committing = Committing(session, version, promised.group_id)
    committing.by(promised.member_id, -1)
    committing.by(promised.member_id, 0)
    committing.by()
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest)
def test_of_consumer_groups(session: Session, version: int) -> None:
    group = session.name("group")
    committing = Committing(session, version, group)
    member = Consumer(session, group, topics=[committing.topic])
    joined_when_assigned(session, member)
    if version < FIRST_WITH_MEMBER:
        committing.by()
        committing.end(COMMIT)
        return
    for member_id in (member.member_id, "stranger", ""):
        for epoch in (member.epoch, member.epoch - 1, 0, member.epoch + 1, -1, -2):
            committing.by(member_id, epoch)
    committing.by(member.member_id, member.epoch, "an instance")
    committing.by("", -1, "an instance")
    committing.end(COMMIT)
    second = Consumer(session, group, "b", topics=[committing.topic])
    second.join()
    member.beat()
    held = member.epoch
    committing.by(member.member_id, held, partition=1)
    member.confirm()
    second.beat()
    too_long = "x" * 5_000
    for index in (0, 1):
        for epoch in (held, member.epoch):
            for each in (member, second):
                committing.by(each.member_id, epoch, partition=index)
                committing.by(each.member_id, epoch, None, index, committed_metadata=too_long)
    committing.end(COMMIT)
    member.leave()
    second.leave()
    committing.by(member.member_id, member.epoch)
    committing.by(member.member_id, -1)
    committing.by()
    committing.end(COMMIT)


@case(TxnOffsetCommitRequest, versions=(WITH_MEMBER[-1],))
def test_two_members_let_in(session: Session, version: int) -> None:
    """What a member commits with its old generation is refused in a transaction too."""
    (leader,) = stable_group(session, session.name("group"))
    old = leader.generation_id
    follower = Member(session, leader.group_id, "b")
    let_in(follower, leader)
    leader.assign(leader, follower)
    follower.sync()
    committing = Committing(session, version, leader.group_id)
    committing.by(leader.member_id, old)
    committing.by(leader.member_id, leader.generation_id)
    committing.end(COMMIT)
