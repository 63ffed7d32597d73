from collections.abc import Iterator
from io import BytesIO, RawIOBase

import pytest
from click.testing import CliRunner, Result

from pykbroker.client import EARLIEST, LATEST, Client, leaders_of, partition_of_key
from pykbroker.commands.consume import Reader
from pykbroker.commands.produce import (
    BATCH_BYTES,
    BATCH_RECORDS,
    CODECS,
    READ_BYTES,
    make_record,
    produce,
    read_batches,
)
from pykbroker.protocol.records import Record
from tests.harness.running_server import a_running_server


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data"), num_partitions="4") as address:
        yield address


def run(bootstrap: str, text: str, *arguments: str) -> Result:
    return CliRunner().invoke(produce, [*arguments, "--bootstrap", bootstrap], input=text)


def records_of(bootstrap: str, topic: str) -> list[tuple[int, Record]]:
    with Client(bootstrap) as client:
        found = client.topic(topic)
        reader = Reader(client, found, list(leaders_of(found)))
        reader.start(EARLIEST, None, None)
        return list(reader.records(until_end=True))


@pytest.mark.parametrize("codec", CODECS)
def test_each_line_becomes_a_record(bootstrap: str, codec: str) -> None:
    topic = f"lines-{codec}"

    result = run(bootstrap, "one\ntwo\n\nlast", topic, "-z", codec, "-p", "2")

    assert result.exit_code == 0, result.output
    found = records_of(bootstrap, topic)
    assert [record.value for _, record in found] == [b"one", b"two", b"", b"last"]
    assert {partition for partition, _ in found} == {2}
    assert {record.key for _, record in found} == {None}


def test_records_with_one_key_share_a_partition(bootstrap: str) -> None:
    text = "".join(f"key{number % 5}:{number}\n" for number in range(50))

    run(bootstrap, text, "keyed", "-K", ":", "-H", "h=1", "-H", "h=")

    partitions: dict[bytes, set[int]] = {}
    for partition, record in records_of(bootstrap, "keyed"):
        assert record.key is not None
        partitions.setdefault(record.key, set()).add(partition)
        assert record.headers == (("h", b"1"), ("h", b""))
    assert len(partitions) == 5
    for key, found in partitions.items():
        assert found == {partition_of_key(key, 4)}


def test_acks_0_does_not_wait_for_an_answer(bootstrap: str) -> None:
    assert run(bootstrap, "first\n", "unanswered", "-p", "0", "-a", "0").exit_code == 0
    # The next request of the same kind is answered after the first one was written.
    assert run(bootstrap, "second\n", "unanswered", "-p", "0").exit_code == 0

    assert {record.value for _, record in records_of(bootstrap, "unanswered")} == {
        b"first",
        b"second",
    }


def test_a_partition_that_does_not_exist_is_refused(bootstrap: str) -> None:
    result = run(bootstrap, "x\n", "small", "-p", "9")

    assert result.exit_code == 1
    assert "small has no partition 9" in result.output


def test_a_header_without_a_value_is_refused(bootstrap: str) -> None:
    result = run(bootstrap, "x\n", "small", "-H", "name")

    assert result.exit_code == 2
    assert "expected KEY=VALUE" in result.output


def test_a_batch_that_the_broker_refuses_is_told(bootstrap: str) -> None:
    result = run(bootstrap, "x" * 2_000_000 + "\n", "small", "-p", "0")

    assert result.exit_code == 1
    assert result.output.startswith("Error: MESSAGE_TOO_LARGE: ")


def test_a_line_without_the_separator_has_no_key() -> None:
    assert make_record(b"k=v=w", "=", ()).key == b"k"
    assert make_record(b"k=v=w", "=", ()).value == b"v=w"
    assert make_record(b"value", "=", ()).key is None
    assert make_record(b"k=v", None, ()).value == b"k=v"


class Typed(RawIOBase):
    """A terminal: each read gives what was typed until then."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)

    def read1(self, _: int) -> bytes:
        return next(self._chunks, b"")


def test_lines_are_sent_as_they_are_typed() -> None:
    typed = Typed(b"one\n", b"two\nthr", b"ee\n", b"four")

    assert list(read_batches(typed)) == [  # type: ignore[arg-type]
        [b"one"],
        [b"two"],
        [b"three"],
        [b"four"],
    ]


def test_batches_of_a_file_are_full_by_number_or_by_size() -> None:
    short = b"x\n" * (BATCH_RECORDS + 1)
    long = (b"y" * (BATCH_BYTES // 2) + b"\n") * 3

    assert [len(batch) for batch in read_batches(BytesIO(short))] == [BATCH_RECORDS, 1]
    assert [len(batch) for batch in read_batches(BytesIO(long))] == [2, 1]
    assert BATCH_BYTES > READ_BYTES


def test_batches_without_keys_go_round(bootstrap: str) -> None:
    run(bootstrap, "x\n" * (BATCH_RECORDS * 3), "round")

    with Client(bootstrap) as client:
        topic = client.topic("round")
        ends = client.offsets(topic, leaders_of(topic), LATEST)
    assert sorted(ends.values()) == [0, BATCH_RECORDS, BATCH_RECORDS, BATCH_RECORDS]
