"""ElectLeaders: with one replica there is never another leader."""

from collections.abc import Sequence
from typing import Any

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.elect_leaders import ElectLeadersRequest, TopicPartitions

PREFERRED, UNCLEAN = 0, 1
FIRST_WITH_TYPE = 1
ORDER = {"replica_election_results": "topic", "partition_result": "partition_id"}


def elect(
    session: Session,
    version: int,
    *topics: tuple[str, Sequence[int]],
    kind: int = PREFERRED,
    timeout_ms: int = 30_000,
) -> Any:
    request = ElectLeadersRequest(
        election_type=kind,
        topic_partitions=[
            TopicPartitions(topic=name, partitions=list(partitions)) for name, partitions in topics
        ],
        timeout_ms=timeout_ms,
    )
    return session.send(request, version, sort=ORDER)


@case(ElectLeadersRequest)
def test_nothing_to_do(session: Session, version: int) -> None:
    first, second = session.create_topic("a", 3), session.create_topic("b")
    elect(session, version, (first, [2, 0]), (second, [0]))
    elect(session, version)
    elect(session, version, (first, []))


@case(ElectLeadersRequest, versions=(1, 2))
def test_unclean(session: Session, version: int) -> None:
    name = session.create_topic("a", 2)
    elect(session, version, (name, [0, 1]), kind=UNCLEAN)
    elect(session, version, (session.name("unknown"), [0]), kind=UNCLEAN)


@case(ElectLeadersRequest, versions=(1, 2))
def test_unknown_types(session: Session, version: int) -> None:
    name = session.create_topic("a", 2)
    for kind in (2, -1, 127):
        elect(session, version, (name, [0]), kind=kind)


@case(ElectLeadersRequest)
def test_all_partitions(session: Session, version: int) -> None:
    """Only those of this case: the others come and go."""
    name = session.create_topic("a", 2)
    for kind in (PREFERRED, UNCLEAN):
        answer = session.ask(
            ElectLeadersRequest(election_type=kind, topic_partitions=None), version
        )
        found = [each for each in answer.replica_election_results if each.topic == name]
        session.note("elections", [answer.error_code, found])


@case(ElectLeadersRequest)
def test_unknown(session: Session, version: int) -> None:
    name = session.create_topic("a", 2)
    elect(session, version, (session.name("unknown"), [0, 1]), (name, [9, -1, 0]))
    elect(session, version, ("a b", [0]), ("", [0]))


@case(ElectLeadersRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    name = session.create_topic("a", 2)
    elect(session, version, (name, [0, 0]))
    elect(session, version, (name, [0]), (name, [1]))
    elect(session, version, (name, [0]), (name, [0]))


@case(ElectLeadersRequest)
def test_timeouts(session: Session, version: int) -> None:
    name = session.create_topic("a", 2)
    for timeout_ms in (0, -1):
        elect(session, version, (name, [0, 1]), ("a b", [0]), timeout_ms=timeout_ms)
        request = ElectLeadersRequest(topic_partitions=None, timeout_ms=timeout_ms)
        session.send(request, version)
