"""Offsets of consumer groups: who may commit and read them, and with which epoch."""

from typing import Any

import pytest

from compat.differential.cases import Pair, case
from compat.differential.consumer_members import STATIC_LEAVE, Consumer, joined_when_assigned
from compat.differential.group_offsets import TopicNames, at, commit, fetch
from compat.differential.session import Session
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequest

FIRST_WITH_EPOCH = 9


@pytest.fixture(scope="module")
def pair(eager_pair: Pair) -> Pair:
    return eager_pair


def a_member(session: Session) -> tuple[TopicNames, str, Consumer]:
    names = TopicNames(session)
    topic = names.add("t", partitions=2)
    member = Consumer(session, session.name("group"), topics=[topic])
    joined_when_assigned(session, member)
    return names, topic, member


@case(OffsetCommitRequest)
def test_commits(session: Session, version: int) -> None:
    names, topic, member = a_member(session)
    group = member.group_id

    def by(member_id: str, epoch: int, *partitions: int) -> None:
        offsets = [(topic, [at(5, index) for index in partitions or (0,)])]
        commit(
            session,
            names,
            version,
            group,
            offsets,
            member_id=member_id,
            generation_id_or_member_epoch=epoch,
        )

    for epoch in (member.epoch, member.epoch - 1, 0, member.epoch + 1, -1, -2):
        by(member.member_id, epoch)
    for member_id in ("stranger", ""):
        by(member_id, member.epoch)
        by(member_id, -1)
    second = Consumer(session, group, "b", topics=[topic])
    second.join()
    member.beat()
    held = member.epoch
    by(member.member_id, held, 0, 1)
    member.confirm()
    second.beat()
    for index in (0, 1):
        for epoch in (held, member.epoch):
            by(member.member_id, epoch, index)
            by(second.member_id, epoch, index)
    member.leave()
    second.leave()
    by("", -1)
    by(member.member_id, member.epoch)


@case(OffsetFetchRequest, versions=(8, 9, 10))
def test_fetches(session: Session, version: int) -> None:
    names, topic, member = a_member(session)
    group = member.group_id
    commit(
        session,
        names,
        FIRST_WITH_EPOCH,
        group,
        [(topic, [at(5)])],
        member_id=member.member_id,
        generation_id_or_member_epoch=member.epoch,
    )
    who: list[tuple[str | None, int]] = [(None, -1)]
    if version >= FIRST_WITH_EPOCH:
        epochs = (member.epoch, member.epoch - 1, member.epoch + 1, 0, -1)
        who += [(member.member_id, epoch) for epoch in epochs]
        who += [("stranger", member.epoch), ("", -1)]
    for member_id, epoch in who:
        told: dict[str, Any] = {"member_id": member_id, "member_epoch": epoch}
        for topics in ([(topic, [0, 1])], None):
            fetch(session, names, version, group, topics, **told)
            fetch(session, names, version, session.name("missing"), topics, **told)


@case(OffsetCommitRequest, versions=(9,))
def test_commits_of_an_absent_static_member(session: Session, version: int) -> None:
    names = TopicNames(session)
    topic = names.add("t")
    member = Consumer(session, session.name("group"), topics=[topic], instance_id="i")
    joined_when_assigned(session, member)
    member.leave(STATIC_LEAVE)
    for epoch in (member.epoch, STATIC_LEAVE, -1):
        commit(
            session,
            names,
            version,
            member.group_id,
            [(topic, [at(5)])],
            member_id=member.member_id,
            generation_id_or_member_epoch=epoch,
            group_instance_id="i",
        )


@case(OffsetCommitRequest)
def test_metadata_that_is_too_large(session: Session, version: int) -> None:
    """It is told before whether the member may commit for the partition."""
    names, topic, member = a_member(session)
    too_large, fits = "x" * 5_000, "a word"
    for epoch in (member.epoch, member.epoch - 1, member.epoch + 1):
        for texts in ((too_large,), (too_large, fits), (too_large, too_large)):
            offsets = [at(5, index, committed_metadata=text) for index, text in enumerate(texts)]
            commit(
                session,
                names,
                version,
                member.group_id,
                [(topic, offsets)],
                member_id=member.member_id,
                generation_id_or_member_epoch=epoch,
            )
