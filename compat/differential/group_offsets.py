"""OffsetCommit and OffsetFetch in the shape of every version: by name, by id, for many groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from compat.differential.plain import Sort
from compat.differential.session import Session
from compat.differential.wire import Connection
from compat.processes import eventually
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)

FIRST_COMMIT_BY_ID = 10
FIRST_FETCH_OF_ALL = 2
FIRST_FETCH_OF_STABLE = 7
FIRST_BATCHED_FETCH = 8
FIRST_FETCH_WITH_MEMBER = 9
FIRST_FETCH_BY_ID = 10
NEWEST_BY_NAME = 9

Offsets = Sequence[tuple[str | bytes, Sequence[int | OffsetCommitRequestPartition]]]
"""Topics, by name or by id, and their partitions."""

# All topics of a group come in the order of a hash map.
BY_NAME: Sort = {"topics": "name", "partitions": "partition_index"}


def at(offset: int, partition: int = 0, **fields: Any) -> OffsetCommitRequestPartition:
    """An offset to commit."""
    return OffsetCommitRequestPartition(
        partition_index=partition, committed_offset=offset, **fields
    )


class TopicNames:
    """Names topics to the brokers by name or by id, as a version does."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids: dict[str, bytes] = {}

    def add(self, label: str, partitions: int = 1) -> str:
        """Make a topic; gives its name."""
        name = self._session.create_topic(label, partitions)
        self._ids[name] = self._session.topic_id(name)
        return name

    def fields(self, topic: str | bytes, *, by_id: bool) -> Mapping[str, Any]:
        """How a request calls a topic; bytes are an id to take as it is."""
        if not by_id:
            return {"name": topic}
        if isinstance(topic, bytes):
            return {"topic_id": topic}
        return {"topic_id": self._ids.get(topic, topic.encode()[-16:].rjust(16, b"-"))}


def delete_topic(session: Session, name: str, *group_ids: str) -> None:
    """Delete a topic; returns when it, and what these groups had committed for it, is gone."""
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=30_000)
    (answer,) = session.ask(request, DeleteTopicsRequest.MAX_VERSION).responses
    assert answer.error_code == 0, f"topic {name} was not deleted: error {answer.error_code}"
    session.await_no_topic(name)
    groups = [OffsetFetchRequestGroup(group_id=each, topics=None) for each in group_ids]
    eventually(
        lambda: (
            not any(
                topic.name == name
                for group in session.ask(OffsetFetchRequest(groups=groups), NEWEST_BY_NAME).groups
                for topic in group.topics
            )
        ),
        what=f"the end of the offsets of {name}",
    )


def commit_request(
    names: TopicNames, version: int, group_id: str, offsets: Offsets, **fields: Any
) -> OffsetCommitRequest:
    """A commit; without more fields by nobody, as simple consumers and administrators do it."""
    topics = []
    for topic, partitions in offsets:
        named = names.fields(topic, by_id=version >= FIRST_COMMIT_BY_ID)
        whole = [at(index + 3, index) if isinstance(index, int) else index for index in partitions]
        topics.append(OffsetCommitRequestTopic(**named, partitions=whole))
    return OffsetCommitRequest(group_id=group_id, topics=topics, **fields)


def commit(
    session: Session,
    names: TopicNames,
    version: int,
    group_id: str,
    offsets: Offsets,
    *,
    on: Connection | None = None,
    **fields: Any,
) -> Any:
    """Commit offsets and compare the answers."""
    request = commit_request(names, version, group_id, offsets, **fields)
    return session.send(request, version, on=on)


def fetch_request(
    names: TopicNames,
    version: int,
    group_ids: Sequence[str],
    topics: Sequence[tuple[str | bytes, Sequence[int]]] | None,
    *,
    require_stable: bool = False,
    **fields: Any,
) -> OffsetFetchRequest:
    """Ask each of the groups for the same; None asks for all that it has."""
    if version < FIRST_BATCHED_FETCH:
        (group_id,) = group_ids
        asked = None
        if topics is not None:
            asked = [OffsetFetchRequestTopic(str(name), list(indexes)) for name, indexes in topics]
        return OffsetFetchRequest(group_id=group_id, topics=asked, require_stable=require_stable)
    by_id = version >= FIRST_FETCH_BY_ID
    groups = []
    for group_id in group_ids:
        wanted = None
        if topics is not None:
            wanted = [
                OffsetFetchRequestTopics(
                    **names.fields(topic, by_id=by_id), partition_indexes=list(indexes)
                )
                for topic, indexes in topics
            ]
        groups.append(OffsetFetchRequestGroup(group_id=group_id, topics=wanted, **fields))
    return OffsetFetchRequest(groups=groups, require_stable=require_stable)


def fetch(
    session: Session,
    names: TopicNames,
    version: int,
    group_id: str,
    topics: Sequence[tuple[str | bytes, Sequence[int]]] | None = None,
    *,
    require_stable: bool = False,
    **fields: Any,
) -> None:
    """Ask for offsets of one group and compare the answers."""
    request = fetch_request(
        names, version, [group_id], topics, require_stable=require_stable, **fields
    )
    session.send(request, version, sort=BY_NAME if topics is None else None)
