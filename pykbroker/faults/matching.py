"""Which requests a rule is for.

A request is about items: each partition, group or transactional id that it names is one, and a
request that names none of them has one empty item. A rule may be for some items of a request only:
of a Produce request for two topics, one may fail.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from pykbroker.protocol.apis import ApiKey


class Item(NamedTuple):
    """One thing that a request is about."""

    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    transactional_id: str | None = None


class Asked(NamedTuple):
    """A request, as far as rules look at it."""

    api: int
    client_id: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Match:
    """What a request must be like; what is None does not matter.

    Names may have the wildcards `*`, `?` and `[...]`.

    Attributes:
        apis: It must be one of these.
        client_id: As the request's header has it.
        topic: Of an item.
        partition: Of an item.
        group: Of an item.
        transactional_id: Of an item.
        spared_client: This client is not matched, unless `client_id` is its very name.
    """

    apis: frozenset[ApiKey] | None = None
    client_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    transactional_id: str | None = None
    spared_client: str | None = None

    def items(self, asked: Asked, among: Collection[Item]) -> list[Item]:
        """Return those of some items of a request that it is for; none for another request."""
        if self.apis is not None and asked.api not in self.apis:
            return []
        if asked.client_id == self.spared_client != self.client_id:
            return []
        if not _fits(self.client_id, asked.client_id):
            return []
        return [item for item in among if self._is_for(item)]

    def _is_for(self, item: Item) -> bool:
        return (
            _fits(self.topic, item.topic)
            and self.partition in (None, item.partition)
            and _fits(self.group, item.group)
            and _fits(self.transactional_id, item.transactional_id)
        )


def _fits(pattern: str | None, name: str | None) -> bool:
    return pattern is None or (name is not None and fnmatchcase(name, pattern))
