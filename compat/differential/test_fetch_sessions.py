"""Fetch sessions: what a broker remembers of a client's partitions (KIP-227)."""

from typing import Any

from compat.differential.cases import case
from compat.differential.data_plane import (
    batch,
    fetch_request,
    fetch_topic,
    fill,
    forgotten,
    topic_id,
    wanted,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.fetch import FetchRequest, FetchTopic, ForgottenTopic

FEW = (7, 12, 13, 18)
MAX_INT = 2**31 - 1


class Reader:
    """Sends the requests of one session in their order."""

    def __init__(self, session: Session, version: int) -> None:
        self.session = session
        self.version = version
        self.id = 0
        self.epoch = 0

    def ask(
        self, *topics: FetchTopic, forget: tuple[ForgottenTopic, ...] = (), **fields: Any
    ) -> Any:
        request = fetch_request(
            topics,
            session_id=self.id,
            session_epoch=self.epoch,
            forgotten_topics_data=list(forget),
            **fields,
        )
        answer = self.session.send(request, self.version)
        if self.epoch == 0:
            self.id = answer.session_id
        self.epoch += 1
        return answer

    def topic(self, topic: str, *partitions: tuple[int, int]) -> FetchTopic:
        """Partitions of a topic and where to read each of them from."""
        asked = [wanted(offset, partition=partition) for partition, offset in partitions]
        return fetch_topic(self.session, self.version, topic, *asked)


def two_partitions(session: Session) -> str:
    topic = session.create_topic(partitions=2)
    for partition in (0, 1):
        fill(session, topic, batch(session), partition=partition)
    return topic


@case(FetchRequest, versions=range(7, 19))
def test_only_what_is_new(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0), (1, 0)))
    reader.ask()
    reader.ask(reader.topic(topic, (0, 2)))
    reader.ask(reader.topic(topic, (1, 2)))
    reader.ask()
    fill(session, topic, batch(session, [b"new"]), partition=1)
    reader.ask()
    reader.ask(reader.topic(topic, (1, 3)))
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_forgetting(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0), (1, 0)))
    reader.ask(forget=(forgotten(session, version, topic, 0),))
    reader.ask(forget=(forgotten(session, version, topic, 0, 7),))
    reader.ask(reader.topic(topic, (0, 1)), forget=(forgotten(session, version, topic, 1),))
    reader.ask(reader.topic(topic, (0, 1)), forget=(forgotten(session, version, topic, 0),))
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_wrong_epochs(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)))
    for epoch in (3, 7, MAX_INT, -2):
        reader.epoch = epoch
        reader.ask()
    reader.epoch = 1
    reader.ask()
    reader.epoch = 1
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_unknown_sessions(session: Session, version: int) -> None:
    topic = two_partitions(session)
    for id_, epoch in ((0, 1), (0, MAX_INT), (0, -2), (0, -3), (-1, 1), (-1, 0), (-1, -1)):
        reader = Reader(session, version)
        reader.id, reader.epoch = id_, epoch
        reader.ask(reader.topic(topic, (0, 0)))


@case(FetchRequest, versions=FEW)
def test_closing(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)))
    reader.epoch = -1
    reader.ask(reader.topic(topic, (0, 0)))
    reader.epoch = 1
    reader.ask()
    reader.epoch = -1
    reader.ask(reader.topic(topic, (0, 0)))


@case(FetchRequest, versions=FEW)
def test_opening_anew(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)))
    old = reader.id
    reader.epoch = 0
    reader.ask(reader.topic(topic, (1, 0)))
    reader.ask()
    reader.id = old
    reader.epoch = 1
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_a_session_of_nothing(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask()
    reader.ask(reader.topic(topic, (0, 0)))
    reader.ask(forget=(forgotten(session, version, topic, 0),))


@case(FetchRequest, versions=FEW)
def test_errors_are_told_again(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 99), (1, 2), (7, 0)))
    reader.ask()
    reader.ask(reader.topic(topic, (0, 2)))
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_unknown_topic_in_a_session(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)), reader.topic(session.name("unknown"), (0, 0)))
    reader.ask()
    reader.ask(forget=(forgotten(session, version, session.name("unknown"), 0),))
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_partitions_with_records_go_to_the_back(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    for _ in range(2):
        reader.ask(reader.topic(topic, (0, 0), (1, 0)), max_bytes=1)
        reader.ask(max_bytes=1)
        reader.ask(max_bytes=1)
        reader.epoch = 0


@case(FetchRequest, versions=(12, 13))
def test_names_and_ids_mixed(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)))
    other = 25 - version
    reader.version = other
    reader.ask(reader.topic(topic, (0, 0)))
    reader.epoch = 1
    reader.ask()
    reader.version = version
    reader.epoch = 1
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_a_topic_made_anew(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 0)))
    if version >= 13:
        topic_id(session, topic)
    session.delete_topic(topic)
    reader.ask()
    session.create_topic()
    reader.ask()
    reader.ask()


@case(FetchRequest, versions=FEW)
def test_waiting(session: Session, version: int) -> None:
    topic = two_partitions(session)
    reader = Reader(session, version)
    reader.ask(reader.topic(topic, (0, 2), (1, 2)))
    reader.ask(max_wait_ms=50, min_bytes=1)
    request = fetch_request(
        [], session_id=reader.id, session_epoch=2, max_wait_ms=20_000, min_bytes=1
    )
    parked = session.begin(request, version)
    parked.is_silent(0.1)
    session.reconnect()
    fill(session, topic, batch(session, [b"new"]), partition=1)
    parked.finish()
