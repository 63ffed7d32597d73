import socket
import threading

import pytest

from compat.bench.frames import BATCH_LIMIT_BYTES, batch_of, numbered, produce_frame
from compat.bench.meter import percentiles
from compat.bench.pipes import READ_BYTES, Pipe, pump, read_answer
from pykbroker.protocol.headers import decode_request_header
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.protocol.record_batch import RecordBatch


@pytest.mark.parametrize("batch_bytes", [1100, 16 * 1024])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_batch_is_as_large_as_it_may_be(batch_bytes: int, mixed: bool) -> None:
    data, count = batch_of(100, batch_bytes, mixed=mixed)

    assert batch_bytes - 200 < len(data) <= batch_bytes
    assert RecordBatch.parse(data).record_count == count


def test_a_batch_is_no_larger_than_brokers_take() -> None:
    data, count = batch_of(100_000, 1 << 30)

    assert count == 10
    assert BATCH_LIMIT_BYTES - 100_000 < len(data) <= BATCH_LIMIT_BYTES


def test_a_batch_has_one_record_at_least() -> None:
    data, count = batch_of(1000, 1)

    assert count == 1
    assert len(data) > 1000


def test_each_frame_of_a_piece_has_its_own_correlation_id() -> None:
    frame = produce_frame("topic", [0, 1], b"batch", 1)
    piece = memoryview(numbered([frame, frame], 7))

    for number in range(2):
        body = piece[number * len(frame) + 4 : (number + 1) * len(frame)]
        header, position = decode_request_header(body)
        request = ProduceRequest.decode(body, header.api_version, position)
        assert header.correlation_id == 7 + number
        assert [data.index for data in request.topic_data[0].partition_data] == [0, 1]


def test_percentiles_are_of_the_sorted_times() -> None:
    found = percentiles([number / 1e6 for number in reversed(range(1000))])

    assert [round(value) for value in found.values()] == [500, 990, 999, 999]


def test_an_answer_is_read_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\0\0\0\3ab")
        threading.Timer(0.05, ours.sendall, [b"c"]).start()

        assert read_answer(theirs) == b"\0\0\0\3abc"


def test_a_pump_counts_answers_and_keeps_no_more_than_so_many_open() -> None:
    ours, theirs = socket.socketpair()
    most_open = 0
    with ours, theirs:

        def answer() -> None:
            nonlocal most_open
            for _ in range(5):
                most_open = max(most_open, len(ours.recv(100)))
                ours.sendall(b"answer" * 2)

        broker = threading.Thread(target=answer)
        broker.start()
        pipe = Pipe(theirs, iter([(b"..", 2)] * 5), depth=2)
        answers = pump([pipe], len(b"answer"), lambda _: False, bytearray(READ_BYTES))
        broker.join()

    assert answers == 10
    assert most_open == 2


def test_answers_of_another_size_are_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"answers")
        pipe = Pipe(theirs, iter([(b".", 1)]), depth=1)
        with pytest.raises(ValueError, match="not of 6 bytes"):
            pump([pipe], 6, lambda _: False, bytearray(READ_BYTES))
