"""For the same requests both brokers write the same files, byte by byte."""

import re
import shutil
import struct
from pathlib import Path

import pytest

from compat.log_files import clients, traffic
from compat.log_files.conftest import DataCopy, KafkaWritings
from pykbroker.config.topic import TopicConfig
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.file_layer import FileLayer
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.recovery import LogLoader

PLACES = re.compile(rb"[^ ]+ [0-9]+ [0-9]+")
TEXTS = {
    "partition.metadata": re.compile(rb"version: 0\ntopic_id: [0-9A-Za-z_-]{22}"),
    ".kafka_cleanshutdown": re.compile(rb'\{"version":0,"brokerEpoch":-?[0-9]+\}'),
}


def contents(directory: Path, *suffixes: str) -> dict[str, bytes]:
    """The files of a partition; of snapshots the order of producers does not count."""
    files = {}
    for path in directory.iterdir():
        if suffixes and path.suffix not in suffixes:
            continue
        data = path.read_bytes()
        if path.suffix == ".snapshot":
            # Kafka writes them in the order of a hash table, and the checksum follows it.
            entries = sorted(struct.unpack_from("46s" * ((len(data) - 10) // 46), data, 10))
            data = data[:2] + data[6:10] + b"".join(entries)
        files[path.name] = data
    return files


@pytest.mark.parametrize("topic", [traffic.PLAIN, traffic.PRODUCERS])
def test_the_files_of_a_partition(
    kafka_writings: KafkaWritings, our_data: dict[str, DataCopy], topic: str
) -> None:
    theirs = contents(kafka_writings.clean.path / f"{topic}-0")
    ours = contents(our_data["clean"].path / f"{topic}-0")

    for files in (theirs, ours):
        assert TEXTS["partition.metadata"].fullmatch(files.pop("partition.metadata"))
    assert len([name for name in ours if name.endswith(".log")]) > 2
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.mark.parametrize("topic", [traffic.PLAIN, traffic.PRODUCERS, clients.TRANSACTIONS])
def test_indexes_are_rebuilt_as_kafka_wrote_them(
    kafka_writings: KafkaWritings, tmp_path: Path, topic: str
) -> None:
    derived = (".index", ".timeindex", ".txnindex")
    source = kafka_writings.clean.path / f"{topic}-0"
    copy = tmp_path / source.name
    shutil.copytree(source, copy)
    for path in copy.iterdir():
        if path.suffix in (*derived, ".snapshot"):
            path.unlink()
    files = FileLayer()
    config = TopicConfig(segment_bytes=20_000, index_interval_bytes=500)
    loaded = LogLoader(files, copy, config, now_ms=traffic.now_ms()).load()

    PartitionLog(DataDirectory(tmp_path, files), copy, topic, bytes(16), 0, config, loaded).close()

    assert contents(copy, *derived) == contents(source, *derived)
    assert loaded.cut_bytes == 0
    last = max(path.name for path in source.glob("*.snapshot"))
    assert contents(copy, ".snapshot")[last] == contents(source, ".snapshot")[last]


def test_the_files_of_a_data_directory(
    kafka_writings: KafkaWritings, our_data: dict[str, DataCopy]
) -> None:
    theirs, ours = kafka_writings.clean.path, our_data["clean"].path
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        for directory in (theirs, ours):
            lines = (directory / name).read_bytes().split(b"\n")
            assert lines[0] == b"0"
            assert int(lines[1]) == len(lines) - 3
            assert lines[-1] == b""
            assert all(PLACES.fullmatch(line) for line in lines[2:-1])
            end = our_data["clean"].batches[traffic.PLAIN][-1].last_offset + 1
            assert f"{traffic.PLAIN} 0 {end}".encode() in lines
    name = "log-start-offset-checkpoint"
    assert (theirs / name).read_bytes() == (ours / name).read_bytes() == b"0\n0\n"
    name = ".kafka_cleanshutdown"
    for directory in (theirs, ours):
        assert TEXTS[name].fullmatch((directory / name).read_bytes())
    properties = [
        {line.split("=")[0] for line in text.splitlines() if not line.startswith("#")}
        for text in ((d / "meta.properties").read_text() for d in (theirs, ours))
    ]
    assert properties[0] == properties[1] == {"cluster.id", "directory.id", "node.id", "version"}
