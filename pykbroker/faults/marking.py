"""Errors in the answers of APIs that only read, entered after the request was handled.

The answer depends on more than the request: on the session of a Fetch, on all topics that there are
for Metadata. So it is made in full, and then says of some items that they have failed.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from pykbroker.faults.matching import Item
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)

NO_LEADER: Final = -1
NO_OFFSET: Final = -1
FIRST_FETCH_WITH_TOPIC_IDS: Final = 13
FIRST_OFFSET_FETCH_OF_GROUPS: Final = 8
NO_TOPIC_ID: Final = bytes(16)

# Of a Fetch as a whole; every other error is one of partitions.
SESSION_ERRORS: Final = frozenset(
    (
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    )
)
MARKED_APIS: Final = frozenset(
    (ApiKey.FETCH, ApiKey.METADATA, ApiKey.DESCRIBE_TOPIC_PARTITIONS, ApiKey.OFFSET_FETCH)
)

# Topic id or name, and number.
SessionPartition = tuple[bytes | str | None, int]


class MarkedSubject:
    """What one request to such an API is about.

    Args:
        api: One of `MARKED_APIS`.
        version: Of the request.
        request: As it was decoded.
        image: The topics that there are.
        session: What the session of a Fetch has beside what the request names.
    """

    def __init__(
        self,
        api: int,
        version: int,
        request: Any,
        image: MetadataImage,
        session: Iterable[SessionPartition] = (),
    ) -> None:
        self._api = api
        self._version = version
        self._request = request
        self._image = image
        self._session = session

    def items(self) -> list[Item]:
        """Return the items that the answer will be about; one empty one if there is none."""
        if self._api == ApiKey.FETCH:
            found = self._fetched()
        elif self._api == ApiKey.OFFSET_FETCH:
            found = self._committed()
        else:
            found = self._described()
        return found or [Item()]

    def prepare(self) -> None:
        """Let the request be handled without waiting, and without making a topic."""
        if self._api == ApiKey.FETCH:
            self._request.max_wait_ms = 0
        elif self._api == ApiKey.METADATA:
            self._request.allow_auto_topic_creation = False

    def mark(
        self, response: Any, items: Collection[Item], code: ErrorCode, *, narrowly: bool
    ) -> None:
        """Enter an error for some items in an answer.

        Args:
            response: The answer; its items fail.
            items: Some of those that `items` has returned.
            code: The error.
            narrowly: Whether a rule was for these as partitions (Metadata: of partitions; offsets:
                of topics), and not for what they are part of.
        """
        if self._api == ApiKey.FETCH:
            self._fail_fetched(response, items, code)
        elif self._api == ApiKey.OFFSET_FETCH:
            self._fail_committed(response, set(items), code, narrowly=narrowly)
        else:
            self._fail_described(response, set(items), code, narrowly=narrowly)

    # -- Fetch -------------------------------------------------------------------------------

    def _fetched(self) -> list[Item]:
        request: FetchRequest = self._request
        uses_ids = self._version >= FIRST_FETCH_WITH_TOPIC_IDS
        forgotten = {
            (topic.topic_id if uses_ids else topic.topic, partition)
            for topic in request.forgotten_topics_data
            for partition in topic.partitions
        }
        keys: dict[SessionPartition, None] = dict.fromkeys(
            key for key in self._session if key not in forgotten
        )
        for topic in request.topics:
            for partition in topic.partitions:
                keys[topic.topic_id if uses_ids else topic.topic, partition.partition] = None
        return [Item(self._name(topic), partition) for topic, partition in keys]

    def _fail_fetched(
        self, response: FetchResponse, items: Iterable[Item], code: ErrorCode
    ) -> None:
        for item in items:
            known = self._image.topic(item.topic or "")
            if item.topic is None or item.partition is None or known is None:
                continue  # the answer has an error for it already
            failed = PartitionData(
                item.partition,
                code,
                NO_OFFSET,
                log_start_offset=NO_OFFSET,
                aborted_transactions=None,
                records=b"",
            )
            entries = [
                entry
                for entry in response.responses
                if entry.topic == item.topic or entry.topic_id == known.topic_id
            ]
            for entry in entries:
                entry.partitions = [
                    each for each in entry.partitions if each.partition_index != item.partition
                ]
            if not entries:
                entries = [FetchableTopicResponse(item.topic, known.topic_id)]
                response.responses += entries
            entries[0].partitions.append(failed)

    def _name(self, topic: bytes | str | None) -> str | None:
        if isinstance(topic, str | None):
            return topic
        known = self._image.topics_by_id.get(topic)
        return None if known is None else known.name

    # -- Metadata, DescribeTopicPartitions ---------------------------------------------------

    def _described(self) -> list[Item]:
        """An item for each partition of the topics, or one for a topic that does not exist."""
        asked = self._request.topics
        is_all = asked is None or (
            not asked and (self._version == 0 or self._api == ApiKey.DESCRIBE_TOPIC_PARTITIONS)
        )
        names: Iterable[str | None]
        if is_all:
            names = self._image.topics
        else:
            names = [
                topic.name or self._name(getattr(topic, "topic_id", NO_TOPIC_ID)) for topic in asked
            ]
        found: list[Item] = []
        for name in names:
            topic = self._image.topic(name or "")
            if topic is None:
                found.append(Item(name))
            else:
                found += [Item(name, each.partition) for each in topic.partitions]
        return found

    def _fail_described(
        self, response: Any, items: set[Item], code: ErrorCode, *, narrowly: bool
    ) -> None:
        topics = {item.topic for item in items}
        for topic in response.topics:
            if topic.name not in topics:
                continue
            if not narrowly:
                topic.error_code = code
                topic.partitions = []
            for partition in topic.partitions:
                if Item(topic.name, partition.partition_index) in items:
                    partition.error_code = code
                    partition.leader_id = NO_LEADER

    # -- OffsetFetch -------------------------------------------------------------------------

    def _committed(self) -> list[Item]:
        if self._version >= FIRST_OFFSET_FETCH_OF_GROUPS:
            groups = [(group.group_id, group.topics) for group in self._request.groups]
        else:
            groups = [(self._request.group_id, self._request.topics)]
        found: list[Item] = []
        for group_id, topics in groups:
            if not topics:
                found.append(Item(group=group_id))
            for topic in topics or ():
                name = topic.name or self._name(getattr(topic, "topic_id", NO_TOPIC_ID))
                found += [Item(name, index, group_id) for index in topic.partition_indexes]
        return found

    def _fail_committed(
        self, response: Any, items: set[Item], code: ErrorCode, *, narrowly: bool
    ) -> None:
        is_of_groups = self._version >= FIRST_OFFSET_FETCH_OF_GROUPS
        failed_groups = {item.group for item in items}
        for group in response.groups if is_of_groups else [response]:
            group_id = group.group_id if is_of_groups else self._request.group_id
            if group_id not in failed_groups:
                continue
            if not narrowly:
                group.error_code = code
                # Before v2 only partitions can tell it, from v8 on only the group does.
                group.topics = [] if is_of_groups else group.topics
            for topic in group.topics:
                name = topic.name or self._name(getattr(topic, "topic_id", NO_TOPIC_ID))
                for partition in topic.partitions:
                    if Item(name, partition.partition_index, group_id) in items:
                        partition.error_code = code
                        partition.committed_offset = NO_OFFSET
                        partition.metadata = ""
