"""Kafka's small text files: offset checkpoints, `meta.properties`, `partition.metadata`.

Formats (Kafka's `CheckpointFile`, `OffsetCheckpointFile`, `LeaderEpochCheckpointFile`,
`PartitionMetadataFile`, `MetaProperties`, `CleanShutdownFileHandler`):

- checkpoint: line `0` (version), line with the number of entries, then one entry a line;
  an entry is `topic partition offset` or, for leader epochs, `epoch startOffset`.
- `partition.metadata`: `version: 0`, newline, `topic_id: <url-safe base64>`, no final newline.
- `meta.properties`: Java properties with `version=1`, `cluster.id`, `node.id`, `directory.id`.
- `.kafka_cleanshutdown`: JSON `{"version":0,"brokerEpoch":N}`.

Files that must survive a crash are written as `.tmp`, synced and renamed, so a reader sees the
old or the new one. Parsing is strict: a file that is not exactly of its form is damaged, and the
caller knows what the damage costs.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from pykbroker.protocol.uuids import uuid_from_text, uuid_to_text

_CHECKPOINT_VERSION: Final = "0"


class CheckpointFormatError(ValueError):
    """The text is not of the form that this kind of file has."""


def format_entries(entries: Iterable[str]) -> bytes:
    """Return the text of a checkpoint file with the given entry lines."""
    lines = list(entries)
    return "\n".join([_CHECKPOINT_VERSION, str(len(lines)), *lines, ""]).encode()


def parse_entries(text: bytes, fields: int) -> list[list[str]]:
    """Split a checkpoint file into the fields of its entries.

    Args:
        text: The whole file.
        fields: How many fields each entry has.

    Raises:
        CheckpointFormatError: Wrong version, a count that does not match, a malformed line.
    """
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointFormatError("not UTF-8") from error
    if lines[0] != _CHECKPOINT_VERSION:
        raise CheckpointFormatError(f"unknown version {lines[0][:20]!r}")
    if len(lines) < 2 or not lines[1].isdecimal():
        raise CheckpointFormatError("the second line must be the number of entries")
    entries = [line.split(" ") for line in lines[2:] if line]
    if len(entries) != int(lines[1]):
        raise CheckpointFormatError(f"{lines[1]} entries announced, {len(entries)} found")
    for entry in entries:
        if len(entry) != fields:
            raise CheckpointFormatError(f"malformed entry {' '.join(entry)[:80]!r}")
    return entries


def format_offsets(offsets: Mapping[tuple[str, int], int]) -> bytes:
    """Return an offset checkpoint for (topic, partition) -> offset."""
    return format_entries(f"{topic} {p} {offset}" for (topic, p), offset in offsets.items())


def parse_offsets(text: bytes) -> dict[tuple[str, int], int]:
    """Read an offset checkpoint; `CheckpointFormatError` where it is damaged."""
    offsets: dict[tuple[str, int], int] = {}
    for topic, partition, offset in parse_entries(text, fields=3):
        offsets[topic, _parse_count(partition)] = _parse_count(offset)
    return offsets


def format_leader_epochs(epochs: Iterable[tuple[int, int]]) -> bytes:
    """Return a leader epoch checkpoint for (epoch, start offset) pairs in ascending order."""
    return format_entries(f"{epoch} {start_offset}" for epoch, start_offset in epochs)


def parse_leader_epochs(text: bytes) -> list[tuple[int, int]]:
    """Read a leader epoch checkpoint; both columns must ascend."""
    epochs = [
        (_parse_count(epoch), _parse_count(start)) for epoch, start in parse_entries(text, fields=2)
    ]
    for (epoch, start), (next_epoch, next_start) in pairwise(epochs):
        if next_epoch <= epoch or next_start < start:
            raise CheckpointFormatError(f"epoch {next_epoch} at {next_start} goes backwards")
    return epochs


def _parse_count(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise CheckpointFormatError(f"{text[:40]!r} is not a non-negative number")
    return int(text)


def format_partition_metadata(topic_id: bytes) -> bytes:
    """Return the content of `partition.metadata`."""
    return f"version: 0\ntopic_id: {uuid_to_text(topic_id)}".encode()


def parse_partition_metadata(text: bytes) -> bytes:
    """Return the topic id (16 bytes) of a `partition.metadata` file."""
    try:
        lines = text.decode("utf-8").splitlines()
        fields = dict(line.split(": ", 1) for line in lines if line)
        if fields["version"] != "0":
            raise CheckpointFormatError(f"unknown version {fields['version'][:20]!r}")
        return uuid_from_text(fields["topic_id"])
    except CheckpointFormatError:
        raise
    except (KeyError, ValueError) as error:
        raise CheckpointFormatError("not a partition.metadata file") from error


def format_meta_properties(cluster_id: str, node_id: int, directory_id: bytes) -> bytes:
    """Return the content of `meta.properties`."""
    return (
        "#\n"
        f"cluster.id={cluster_id}\n"
        f"directory.id={uuid_to_text(directory_id)}\n"
        f"node.id={node_id}\n"
        "version=1\n"
    ).encode()


def parse_meta_properties(text: bytes) -> dict[str, str]:
    """Return the properties of a `meta.properties` file (its values need no escapes)."""
    properties: dict[str, str] = {}
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointFormatError("not UTF-8") from error
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "!")):
            continue
        name, separator, value = stripped.partition("=")
        if not separator:
            raise CheckpointFormatError(f"malformed line {stripped[:80]!r}")
        properties[name.strip()] = value.strip()
    return properties


def format_clean_shutdown(broker_epoch: int) -> bytes:
    """Return the content of `.kafka_cleanshutdown`; its presence is what counts."""
    return json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":")).encode()
