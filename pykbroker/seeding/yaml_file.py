"""Topics and records as YAML: what `serve --seed FILE.yaml` reads.

    topics:
      orders:
        partitions: 2
        configs:
          cleanup.policy: compact
        records:
          - key: "42"
            value: {item: book}
          - {key: "41", value: null, partition: 1}

The fields are those of `lines.py`; a record has a value, if only null. Of YAML there is what JSON
has too: plain words are text, save true, false, null and decimal numbers, so that `no`, `12:30` and
2024-01-31 are what they look like.
"""

import json
import re
from typing import Any, Final

import yaml

from pykbroker.seeding.lines import Seed, SeedError, add_record, add_topic

_PLAIN: Final = re.compile(r"true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NOTHING: Final = ("", "~")
_TAG: Final = "tag:yaml.org,2002:"
# A plain word has one of them by how it looks, to older versions of YAML; we look ourselves.
_WORD_TAGS: Final = frozenset(
    _TAG + name for name in ("str", "bool", "int", "float", "null", "timestamp", "value", "merge")
)


def parse_yaml(text: str) -> Seed:
    """Read a file.

    Raises:
        SeedError: It is no YAML, or not as described above.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        return _seed(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise SeedError(f"{where}{getattr(error, 'problem', None) or error}") from error
    except RecursionError as error:
        raise SeedError("it is too deep, or contains itself") from error


def _seed(root: Any) -> Seed:
    seed = Seed()
    if root is None:
        return seed
    for key, value in _entries(root):
        if key.value != "topics":
            raise _problem(key, f"{key.value!r} is not known here; there is topics")
        for name, described in _entries(value):
            _take_topic(seed, name, described)
    return seed


def _take_topic(seed: Seed, name: Any, described: Any) -> None:
    records: list[Any] = []
    fields: dict[str, Any] = {}
    if not _is_nothing(described):
        for key, value in _entries(described):
            if key.value == "records":
                records = _items(value)
            else:
                fields[key.value] = _value(value)
    try:
        add_topic(seed, name.value, fields)
    except ValueError as error:
        raise _problem(name, str(error)) from error
    for record in records:
        given = {key.value: _value(value) for key, value in _entries(record)}
        try:
            if "value" not in given and "value_base64" not in given:
                raise ValueError("a record has no value")
            add_record(seed, name.value, given)
        except ValueError as error:
            raise _problem(record, str(error)) from error


def _entries(node: Any) -> list[tuple[Any, Any]]:
    """Return keys and values, whose order is that of the file.

    Raises:
        SeedError: This is no mapping of names, or has one twice.
    """
    if not isinstance(node, yaml.MappingNode):
        raise _problem(node, "there must be names with values: `name: value`")
    seen = set()
    entries: list[tuple[Any, Any]] = node.value
    for key, _ in entries:
        if not isinstance(key, yaml.ScalarNode) or not key.value:
            raise _problem(key, "a name is no text")
        if key.value in seen:
            raise _problem(key, f"{key.value} is here twice")
        seen.add(key.value)
    return entries


def _items(node: Any) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise _problem(node, "there must be a list: a line for each, that begins with `-`")
    items: list[Any] = node.value
    return items


def _value(node: Any) -> Any:
    """Return what JSON would have."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _value(value) for key, value in _entries(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_value(each) for each in node.value]
    if node.tag not in _WORD_TAGS:
        raise _problem(node, f"the tag {node.tag} is not known here")
    text: str = node.value
    if node.style is not None:
        return text
    if text in _NOTHING:
        return None
    return json.loads(text) if _PLAIN.fullmatch(text) else text


def _is_nothing(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and _value(node) is None


def _problem(node: Any, what: str) -> SeedError:
    return SeedError(f"line {node.start_mark.line + 1}: {what}")
