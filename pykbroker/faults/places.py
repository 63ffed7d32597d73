"""Where requests name what they are about, and where their answers have room for errors.

Most APIs have a list of entries in the request and one of results in the answer; an entry is a
topic, maybe with partitions, or a group. Such a request can be taken apart: what a rule refuses is
left out, the rest is handled, and the two answers are put together. The APIs that only read, and
whose answers depend on more than their request (sessions of Fetch, Metadata of all topics), are
handled as they are, and the errors are entered in their answers; see `marking.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pykbroker.faults.matching import Item
from pykbroker.metadata.image import MetadataImage
from pykbroker.protocol.apis import ApiKey

TOPIC_RESOURCE: Final = 2
GROUP_KEY: Final = 0
TRANSACTION_KEY: Final = 1
NO_TOPIC_ID: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Places:
    """The lists of a request and of its answer.

    Attributes:
        entries: The list in the request.
        results: The list in the answer; None where one error is all that it can tell.
        kind: What an entry is: "topic", "group", "transactional_id", "resource" (a topic, if its
            type says so) or "key" (of a coordinator: what the request says).
        name: The attribute of an entry that has its name; None for entries that are names.
        result_name: The attribute of a result that has the name.
        partitions: The list in an entry, if there is one.
        partition: The attribute in it; None where it has numbers.
        result_partitions: The list in a result.
        result_partition: The attribute in it.
        is_atomic: Whether nothing is done when something is refused.
    """

    entries: str
    results: str | None
    kind: str = "topic"
    name: str | None = "name"
    result_name: str = "name"
    partitions: str | None = None
    partition: str | None = "partition_index"
    result_partitions: str = "partitions"
    result_partition: str = "partition_index"
    is_atomic: bool = False


_PARTITIONS: Final = Places("topics", "topics", partitions="partitions")
_RESOURCES: Final = Places(
    "resources", "responses", "resource", name="resource_name", result_name="resource_name"
)

PLACES: Final[dict[int, Places]] = {
    ApiKey.PRODUCE: Places(
        "topic_data",
        "responses",
        partitions="partition_data",
        partition="index",
        result_partitions="partition_responses",
        result_partition="index",
    ),
    ApiKey.LIST_OFFSETS: _PARTITIONS,
    ApiKey.OFFSET_COMMIT: _PARTITIONS,
    ApiKey.FIND_COORDINATOR: Places(
        "coordinator_keys", "coordinators", "key", name=None, result_name="key"
    ),
    ApiKey.DESCRIBE_GROUPS: Places("groups", "groups", "group", name=None, result_name="group_id"),
    ApiKey.CREATE_TOPICS: Places("topics", "topics"),
    ApiKey.DELETE_TOPICS: Places("topics", "responses"),
    ApiKey.DELETE_RECORDS: _PARTITIONS,
    ApiKey.OFFSET_FOR_LEADER_EPOCH: Places(
        "topics",
        "topics",
        name="topic",
        result_name="topic",
        partitions="partitions",
        partition="partition",
        result_partition="partition",
    ),
    ApiKey.ADD_PARTITIONS_TO_TXN: Places(
        "v3_and_below_topics",
        "results_by_topic_v3_and_below",
        partitions="partitions",
        partition=None,
        result_partitions="results_by_partition",
        is_atomic=True,
    ),
    ApiKey.TXN_OFFSET_COMMIT: _PARTITIONS,
    ApiKey.DESCRIBE_CONFIGS: replace(_RESOURCES, results="results"),
    ApiKey.ALTER_CONFIGS: _RESOURCES,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: _RESOURCES,
    ApiKey.CREATE_PARTITIONS: Places("topics", "results"),
    ApiKey.DELETE_GROUPS: Places(
        "groups_names", "results", "group", name=None, result_name="group_id"
    ),
    ApiKey.OFFSET_DELETE: Places("topics", None, partitions="partitions"),
    ApiKey.DESCRIBE_LOG_DIRS: Places(
        "topics", None, name="topic", partitions="partitions", partition=None
    ),
    ApiKey.ELECT_LEADERS: Places(
        "topic_partitions",
        "replica_election_results",
        name="topic",
        result_name="topic",
        partitions="partitions",
        partition=None,
        result_partitions="partition_result",
        result_partition="partition_id",
    ),
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: replace(_PARTITIONS, results="responses"),
    ApiKey.LIST_PARTITION_REASSIGNMENTS: Places(
        "topics", None, partitions="partition_indexes", partition=None
    ),
    ApiKey.DESCRIBE_PRODUCERS: Places(
        "topics", "topics", partitions="partition_indexes", partition=None
    ),
    ApiKey.DESCRIBE_TRANSACTIONS: Places(
        "transactional_ids",
        "transaction_states",
        "transactional_id",
        name=None,
        result_name="transactional_id",
    ),
    ApiKey.CONSUMER_GROUP_DESCRIBE: Places(
        "group_ids", "groups", "group", name=None, result_name="group_id"
    ),
}


class Subject:
    """What one request is about.

    Args:
        api: The API of the request.
        request: As it was decoded.
        image: The topics that there are, for requests that go by ids.
    """

    def __init__(self, api: int, request: Any, image: MetadataImage) -> None:
        self.places = PLACES.get(api)
        self._request = request
        self._image = image
        self._common = Item(
            group=getattr(request, "group_id", None) or None,
            transactional_id=getattr(request, "transactional_id", None)
            or getattr(request, "v3_and_below_transactional_id", None)
            or None,
        )
        if api == ApiKey.FIND_COORDINATOR and not request.coordinator_keys:
            self._common = self._of_name("key", request.key)

    def items(self) -> list[Item]:
        """Return the items that the request names; one empty one if there is none."""
        found: list[Item] = []
        if self.places is not None:
            for entry in self._entries(self.places):
                found += self._items_of(self.places, entry)
        return found or [self._common]

    def part(self, keep: Callable[[Item], bool]) -> Any:
        """Return the request as if it named nothing else than what is to be kept."""
        places = self.places
        assert places is not None
        entries = []
        for entry in self._entries(places):
            if places.partitions is None:
                if keep(self._items_of(places, entry)[0]):
                    entries.append(entry)
                continue
            kept = [
                each
                for each in getattr(entry, places.partitions)
                if keep(self._item(places, entry, each))
            ]
            if kept:
                entries.append(replace(entry, **{places.partitions: kept}))
        return replace(self._request, **{self._entries_name(places): entries})

    # -- private -----------------------------------------------------------------------------

    def _entries_name(self, places: Places) -> str:
        """DeleteTopics has plain names before v6."""
        if getattr(self._request, "topic_names", None):
            return "topic_names"
        return places.entries

    def _entries(self, places: Places) -> list[Any]:
        entries: list[Any] | None = getattr(self._request, self._entries_name(places))
        return entries or []

    def _items_of(self, places: Places, entry: Any) -> list[Item]:
        if places.partitions is None:
            return [self._of_name(places.kind, self._name(places, entry), entry)]
        return [self._item(places, entry, each) for each in getattr(entry, places.partitions)]

    def _item(self, places: Places, entry: Any, partition: Any) -> Item:
        number = partition if places.partition is None else getattr(partition, places.partition)
        return self._common._replace(topic=self._name(places, entry), partition=number)

    def _name(self, places: Places, entry: Any) -> str | None:
        if isinstance(entry, str):
            return entry
        topic_id = getattr(entry, "topic_id", NO_TOPIC_ID)
        if topic_id != NO_TOPIC_ID:
            known = self._image.topics_by_id.get(topic_id)
            return None if known is None else known.name
        assert places.name is not None
        name: str | None = getattr(entry, places.name)
        return name

    def _of_name(self, kind: str, name: str | None, entry: Any = None) -> Item:
        if kind == "group" or (kind == "key" and self._request.key_type == GROUP_KEY):
            return self._common._replace(group=name)
        if kind == "transactional_id" or (
            kind == "key" and self._request.key_type == TRANSACTION_KEY
        ):
            return self._common._replace(transactional_id=name)
        if kind == "topic" or (kind == "resource" and entry.resource_type == TOPIC_RESOURCE):
            return self._common._replace(topic=name)
        return self._common


def merge(places: Places, answer: Any, other: Any) -> None:
    """Put the results of another answer into one, in place of those for the same items."""
    assert places.results is not None
    results: list[Any] = getattr(answer, places.results)
    for result in getattr(other, places.results):
        number = _find(places, results, result)
        if number is None:
            results.append(result)
        elif places.partitions is None:
            results[number] = result
        else:
            _merge_partitions(places, results[number], result)


def _find(places: Places, results: list[Any], result: Any) -> int | None:
    for number, each in enumerate(results):
        if _is_same(places, each, result):
            return number
    return None


def _is_same(places: Places, one: Any, other: Any) -> bool:
    names = getattr(one, places.result_name), getattr(other, places.result_name)
    if all(names):
        types = getattr(one, "resource_type", None), getattr(other, "resource_type", None)
        return names[0] == names[1] and types[0] == types[1]
    topic_id = getattr(one, "topic_id", NO_TOPIC_ID)
    return topic_id != NO_TOPIC_ID and topic_id == getattr(other, "topic_id", NO_TOPIC_ID)


def _merge_partitions(places: Places, result: Any, other: Any) -> None:
    new = getattr(other, places.result_partitions)
    numbers = {getattr(each, places.result_partition) for each in new}
    kept = [
        each
        for each in getattr(result, places.result_partitions)
        if getattr(each, places.result_partition) not in numbers
    ]
    setattr(result, places.result_partitions, kept + new)
