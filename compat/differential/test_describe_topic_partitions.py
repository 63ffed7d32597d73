"""DescribeTopicPartitions: topics in the order of their names, page by page."""

from collections.abc import Sequence
from typing import Any

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)


def ask(
    session: Session,
    names: Sequence[str],
    limit: int = 2000,
    cursor: tuple[str, int] | None = None,
) -> Any:
    request = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names],
        response_partition_limit=limit,
        cursor=Cursor(topic_name=cursor[0], partition_index=cursor[1]) if cursor else None,
    )
    return session.send(request, 0)


def three(session: Session) -> list[str]:
    return [session.create_topic(label, 3) for label in ("a", "b", "c")]


@case(DescribeTopicPartitionsRequest)
def test_order(session: Session, version: int) -> None:
    a, b, c = three(session)
    ask(session, [c, a, session.name("unknown"), b, a])


@case(DescribeTopicPartitionsRequest)
def test_all_topics(session: Session, version: int) -> None:
    """Only those of this case: the others come and go."""
    names = three(session)
    first = min(names)
    request = DescribeTopicPartitionsRequest(
        topics=[], cursor=Cursor(topic_name=first), response_partition_limit=9
    )
    answer = session.ask(request, 0)
    session.note("topics", answer.topics)
    session.note("goes on", answer.next_cursor is None)


@case(DescribeTopicPartitionsRequest)
def test_limits(session: Session, version: int) -> None:
    names = three(session)
    for limit in (1, 2, 3, 4, 6, 8, 9, 10, 2001, 2147483647):
        ask(session, names, limit)


@case(DescribeTopicPartitionsRequest)
def test_limits_below_one(session: Session, version: int) -> None:
    names = three(session)
    for limit in (0, -1, -2147483648):
        ask(session, names, limit)


@case(DescribeTopicPartitionsRequest)
def test_paging(session: Session, version: int) -> None:
    names = three(session)
    cursor = None
    for _ in range(5):
        answer = ask(session, names, 2, cursor)
        cursor = answer.next_cursor and (
            answer.next_cursor.topic_name,
            answer.next_cursor.partition_index,
        )


@case(DescribeTopicPartitionsRequest)
def test_unknown_among_pages(session: Session, version: int) -> None:
    a, b, _ = three(session)
    before, between = session.name("0"), session.name("aa")
    for limit in (1, 3, 4):
        ask(session, [before, a, between, b], limit)


@case(DescribeTopicPartitionsRequest)
def test_cursors(session: Session, version: int) -> None:
    a, b, c = three(session)
    unknown = session.name("unknown")
    ask(session, [a, b, c], 4, (b, 1))
    ask(session, [a, c], 4, (a, 3))
    ask(session, [a, c], 4, (a, 30))
    ask(session, [a, c], 1, (a, 3))
    ask(session, [a, unknown], 4, (unknown, 0))
    ask(session, [a, unknown], 4, (unknown, 2))
    ask(session, [], 3, (a, 0))
    ask(session, [], 1, (session.name("ab"), 2))


@case(DescribeTopicPartitionsRequest)
def test_bad_cursors(session: Session, version: int) -> None:
    a, b, c = three(session)
    ask(session, [a, c], 4, (b, 1))
    ask(session, [a, c], 4, (a, -1))
    ask(session, [a, c], 4, ("zzz", 0))
    ask(session, [a], 4, ("", 0))


@case(DescribeTopicPartitionsRequest)
def test_bad_names(session: Session, version: int) -> None:
    for name in ("a b", "", "x" * 250):
        ask(session, [name])


@case(DescribeTopicPartitionsRequest)
def test_internal_names(session: Session, version: int) -> None:
    ask(session, ["__consumer_offsets"])
    ask(session, ["__cluster_metadata"])
