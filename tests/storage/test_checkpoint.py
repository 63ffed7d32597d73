"""Kafka's small text files, both ways, and their damage."""

from __future__ import annotations

import pytest

from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    format_clean_shutdown,
    format_leader_epochs,
    format_meta_properties,
    format_offsets,
    format_partition_metadata,
    parse_leader_epochs,
    parse_meta_properties,
    parse_offsets,
    parse_partition_metadata,
)

TOPIC_ID = bytes(range(16))


def test_offsets_have_kafkas_text() -> None:
    offsets = {("orders", 0): 5, ("a.b_c-d", 12): 2**40}

    text = format_offsets(offsets)

    assert text == b"0\n2\norders 0 5\na.b_c-d 12 1099511627776\n"
    assert parse_offsets(text) == offsets
    assert format_offsets({}) == b"0\n0\n"
    assert parse_offsets(b"0\n0\n") == {}


def test_leader_epochs_have_kafkas_text() -> None:
    epochs = [(0, 0), (3, 17)]

    assert format_leader_epochs(epochs) == b"0\n2\n0 0\n3 17\n"
    assert parse_leader_epochs(b"0\n2\n0 0\n3 17\n") == epochs


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1\n0\n",
        b"0",
        b"0\n",
        b"0\nx\n",
        b"0\n2\norders 0 5\n",
        b"0\n1\norders 0\n",
        b"0\n1\norders 0 -5\n",
        b"0\n1\norders zero 5\n",
        b"0\n1\n\xff 0 5\n",
        b"\0\0\0\0",
    ],
)
def test_damaged_offsets_are_refused(text: bytes) -> None:
    with pytest.raises(CheckpointFormatError):
        parse_offsets(text)


@pytest.mark.parametrize("text", [b"0\n2\n3 0\n2 5\n", b"0\n2\n2 5\n3 4\n", b"0\n2\n2 5\n2 6\n"])
def test_leader_epochs_must_ascend(text: bytes) -> None:
    with pytest.raises(CheckpointFormatError, match="backwards"):
        parse_leader_epochs(text)


def test_partition_metadata_has_kafkas_text() -> None:
    text = format_partition_metadata(TOPIC_ID)

    assert text == b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw"
    assert parse_partition_metadata(text) == TOPIC_ID


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw",
        b"version: 0\n",
        b"version: 0\ntopic_id: short",
        b"nonsense",
        b"\xff\xff",
    ],
)
def test_damaged_partition_metadata_is_refused(text: bytes) -> None:
    with pytest.raises(CheckpointFormatError):
        parse_partition_metadata(text)


def test_meta_properties_are_read_as_kafka_writes_them() -> None:
    ours = parse_meta_properties(format_meta_properties("MkU3OEVBNTcwNTJENDM2Qg", 1, TOPIC_ID))
    assert ours == {
        "version": "1",
        "cluster.id": "MkU3OEVBNTcwNTJENDM2Qg",
        "node.id": "1",
        "directory.id": "AAECAwQFBgcICQoLDA0ODw",
    }

    kafkas = b"#\n#Fri Nov 21 13:00:00 UTC 2025\nnode.id=2\nversion=1\n\ncluster.id = x=y\n"
    assert parse_meta_properties(kafkas) == {"node.id": "2", "version": "1", "cluster.id": "x=y"}


@pytest.mark.parametrize("text", [b"node.id\n", b"\xff=1"])
def test_damaged_meta_properties_are_refused(text: bytes) -> None:
    with pytest.raises(CheckpointFormatError):
        parse_meta_properties(text)


def test_the_clean_shutdown_file_has_kafkas_text() -> None:
    assert format_clean_shutdown(5) == b'{"version":0,"brokerEpoch":5}'
