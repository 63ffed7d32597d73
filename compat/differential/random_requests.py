"""Requests made at random from the schemas, with values of which some exist and some are odd.

Every field gets a value that its version can say. What would wait for long, or change what later
requests see by chance, has one harmless value.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from random import Random
from typing import Any

from compat.differential.session import Session
from protocol.schema import MESSAGES_DIR, Field, Struct, load_file
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.primitives import NULL_UUID

PARTITIONS = 2
UNKNOWN_ID = b"unknown".ljust(16, b"!")

# Field -> its values, for those that mean more than their type says.
FIXED: Mapping[str, Sequence[Any]] = {
    "allow_auto_topic_creation": (False,),
    "cluster_id": (None,),
    "cursor": (None,),
    "isolation_level": (0, 1),
    "max_bytes": (0, 1, 100, 1 << 20),
    "max_wait_ms": (0,),
    "min_bytes": (0, 1),
    "partition_max_bytes": (0, 1, 100, 1 << 20),
    "rack_id": ("",),
    "replica_id": (-1,),
    "replica_state": (),
    "response_partition_limit": (1, 2, 2000),
    "session_epoch": (-1,),
    "session_id": (0,),
    "timeout_ms": (30_000,),
}
PARTITION_FIELDS = ("partition", "partition_index", "partition_indexes", "partitions")
OFFSETS = (0, 1, 2, 3, 4, 99, -1, -2)
EPOCHS = (-1, -1, 0, 0, 1, -2)
TIMES = (-1, -2, -3, -4, -5, -6, -7, 0)
SMALL = (-1, 0, 0, 1, 1, 2, 3)


class RandomRequests:
    """Makes requests of one API for one case."""

    def __init__(
        self,
        session: Session,
        api: ApiKey,
        random: Random,
        topics: Sequence[str],
        left_out: Sequence[Any] = (),
    ) -> None:
        """Args:
        topics: Names of topics that exist, with PARTITIONS partitions each.
        left_out: Values that are never sent: "", a null id, None.
        """
        self._random = random
        schema = load_file(MESSAGES_DIR / f"{api.value:02}_{api.stem}.toml")
        self._root = next(
            each.root for each in schema.messages if "Request" in each.root.class_name
        )
        self._module = import_module(f"pykbroker.protocol.messages.{api.stem}")
        self._left_out = left_out
        names = [*topics, *topics, session.name("none"), ""]
        group = session.name("group")
        strings: Mapping[str, Sequence[str]] = {
            "topic": names,
            "name": names,
            "topic_names": names,
            "group_id": [group, group, ""],
            "groups": [group, session.name("other"), ""],
            "key": [group, ""],
            "coordinator_keys": [group, session.name("other"), ""],
            "member_id": ["", "", "somebody"],
        }
        self._strings = {
            field: [each for each in values if each not in left_out]
            for field, values in strings.items()
        }
        ids = [*(session.topic_id(topic) for topic in topics), UNKNOWN_ID, NULL_UUID]
        self._ids = [each for each in ids if each not in left_out]
        self._times = (*TIMES, *(session.past_ms + ahead for ahead in range(-1, 4)))

    def make(self, version: int) -> Any:
        """One request that this version can say."""
        return self._struct(self._root, version)

    def _struct(self, struct: Struct, version: int) -> Any:
        values = {
            field.name: self._field(field, version)
            for field in struct.fields
            if version in field.versions and FIXED.get(field.name) != ()
        }
        return getattr(self._module, struct.class_name)(**values)

    def _field(self, field: Field, version: int) -> Any:
        if field.name in FIXED:
            return self._random.choice(FIXED[field.name])
        if None not in self._left_out and version in field.nullable and self._random.random() < 0.2:
            return None
        if field.is_array:
            sizes = (1, 2, 3) if None in self._left_out else (0, 1, 2, 3)
            return [self._one(field, version) for _ in range(self._random.choice(sizes))]
        return self._one(field, version)

    def _one(self, field: Field, version: int) -> Any:
        if field.struct is not None:
            return self._struct(field.struct, version)
        makers: Mapping[str, Callable[[], Any]] = {
            "bool": lambda: self._random.random() < 0.5,
            "string": lambda: self._random.choice(self._strings.get(field.name, ("", "a"))),
            "uuid": lambda: self._random.choice(self._ids),
            "bytes": lambda: b"",
        }
        make = makers.get(field.element_type)
        return make() if make else self._random.choice(self._numbers(field.name))

    def _numbers(self, name: str) -> Sequence[int]:
        if name in PARTITION_FIELDS:
            return (0, 1, 1, PARTITIONS, -1)
        if "epoch" in name:
            return EPOCHS
        if "offset" in name:
            return OFFSETS
        return self._times if name == "timestamp" else SMALL
