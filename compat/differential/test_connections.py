"""Connections: how frames come in, what is too large, and what is no frame at all."""

import struct
from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.malformed import Outcomes, header
from compat.differential.session import Session
from compat.differential.wire import Connection, NoAnswer, Request, decode_answer, frame, sized
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.describe_cluster import DescribeClusterRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

MAX_FRAME_BYTES = 100 * 1024 * 1024
VERSION = 9
NO_TOPICS = MetadataRequest(topics=[])


def a_frame(correlation_id: int, version: int = VERSION, client_id: str | None = "me") -> bytes:
    return frame(NO_TOPICS, version, correlation_id, client_id)


def read(session: Session, connection: Connection, version: int = VERSION) -> None:
    """Compare the next frame: the id that it answers, and the answer."""
    try:
        answer = connection.read_bytes()
    except NoAnswer as reason:
        session.note("no answer", reason.outcome)
        return
    (correlation_id,) = struct.unpack_from(">i", answer)
    position = 5 if version >= VERSION else 4
    session.note(
        f"answer to {correlation_id}", decode_answer(NO_TOPICS, version, answer[position:])
    )


@case(MetadataRequest, versions=(1, VERSION))
def test_many_in_one_write(session: Session, version: int) -> None:
    connection = session.connect()
    connection.write_bytes(b"".join(a_frame(number, version) for number in range(20)))
    for _ in range(20):
        read(session, connection, version)


@case(MetadataRequest, versions=(1, VERSION))
def test_byte_by_byte(session: Session, version: int) -> None:
    connection = session.connect()
    for byte in a_frame(1, version) + a_frame(2, version):
        connection.write_bytes(bytes([byte]))
    read(session, connection, version)
    read(session, connection, version)


@case(MetadataRequest, versions=(VERSION,))
def test_cut_anywhere(session: Session, version: int) -> None:
    """Two frames in two writes, the cut at every place."""
    connection = session.connect()
    both = a_frame(1) + a_frame(2)
    for cut in range(1, len(both)):
        connection.write_bytes(both[:cut])
        connection.write_bytes(both[cut:])
        read(session, connection)
        read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_correlation_ids(session: Session, version: int) -> None:
    """Any will do, and the same again."""
    connection = session.connect()
    for correlation_id in (0, -1, 2147483647, -2147483648, 5, 5):
        connection.write_bytes(a_frame(correlation_id))
        read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_client_ids(session: Session, version: int) -> None:
    for client_id in (None, "", "x" * 32767, "zażółć", "\U0001f600", "a\nb"):
        connection = session.connect()
        connection.write_bytes(a_frame(1, client_id=client_id))
        read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_garbage_behind_a_request(session: Session, version: int) -> None:
    """What came before is answered, then the connection is closed."""
    for garbage in (sized(b"\xff" * 20), sized(b""), b"\xff" * 4, a_frame(3)[:6] + b"\xff" * 40):
        connection = session.connect()
        connection.write_bytes(a_frame(1) + a_frame(2) + garbage + a_frame(4))
        for _ in range(3):
            read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_no_more_to_write(session: Session, version: int) -> None:
    """A client that shuts down its side of the connection behind its requests."""
    connection = session.connect()
    connection.write_bytes(a_frame(1))
    read(session, connection)
    connection.end_writing()
    read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_sizes_of_frames(session: Session, version: int) -> None:
    for size in (-1, -2147483648, MAX_FRAME_BYTES + 1, 2147483647):
        connection = session.connect()
        connection.write_bytes(struct.pack(">i", size))
        read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_small_frames(session: Session, version: int) -> None:
    outcomes = Outcomes(session)
    outcomes.attempt_all((str(size), bytes(size)) for size in range(12))
    outcomes.attempt_all((f"{size} x ff", b"\xff" * size) for size in range(12))
    outcomes.note("frames")


@case(MetadataRequest, versions=(VERSION,))
def test_other_protocols(session: Session, version: int) -> None:
    for data in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
    ):
        connection = session.connect()
        connection.write_bytes(data)
        read(session, connection)


@case(MetadataRequest, versions=(VERSION,))
def test_unknown_apis(session: Session, version: int) -> None:
    outcomes = Outcomes(session)
    for key in (-1, -32768, 4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 93, 32767):
        for each in (0, 1, 3):
            outcomes.attempt(f"{key} v{each}", header(key, each) + bytes(40))
    outcomes.note("keys")


@case(HeartbeatRequest, versions=(0, 4))
def test_large_request_of_a_small_api(session: Session, version: int) -> None:
    """Kafka allows every request what it allows a produce request."""
    request = header(ApiKey.HEARTBEAT, version) + b"".join(HeartbeatRequest("g").encode(version))
    outcomes = Outcomes(session)
    for megabytes in (1, 7, 9):
        outcomes.attempt(f"{megabytes} MB", request + bytes(megabytes << 20))
    outcomes.note("sizes")


@case(MetadataRequest, versions=(VERSION,))
def test_many_elements(session: Session, version: int) -> None:
    """Kafka has no limit on the elements of a list but that of the frame."""
    outcomes = Outcomes(session)
    for count in (10_000, 140_000):
        topics = [MetadataRequestTopic(name="x")] * count
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        outcomes.attempt(f"{count} topics", frame(request, VERSION)[4:])
    outcomes.note("counts")


@case(MetadataRequest, versions=(VERSION,))
def test_many_connections(session: Session, version: int) -> None:
    connections = [session.connect() for _ in range(100)]
    for number, connection in enumerate(connections):
        connection.write_bytes(a_frame(number))
    for connection in reversed(connections):
        read(session, connection)


@case(ApiVersionsRequest, versions=(4,))
def test_several_apis_in_one_write(session: Session, version: int) -> None:
    connection = session.connect()
    requests: Sequence[tuple[Request, int]] = (
        (DescribeClusterRequest(), 2),
        (HeartbeatRequest(group_id="g", member_id="m"), 4),
        (NO_TOPICS, 13),
        (HeartbeatRequest(group_id="", member_id=""), 0),
    )
    data = b"".join(frame(request, each, number) for number, (request, each) in enumerate(requests))
    connection.write_bytes(data)
    for request, each in requests:
        answer = connection.read_bytes()
        position = 5 if each else 4
        session.note(str(request), decode_answer(request, each, answer[position:]))
