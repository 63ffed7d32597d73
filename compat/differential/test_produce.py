"""Produce: what is appended, what is refused, and how."""

from compat.differential.cases import case
from compat.differential.data_plane import (
    CODECS,
    TIMEOUT_MS,
    batch,
    fetch,
    list_offsets,
    patched,
    produce,
    records,
    topic_data,
)
from compat.differential.session import Session
from compat.differential.wire import CLIENT_ID, sized
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.headers import RequestHeader, encode_request_header
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FEW = (3, 7, 13)
"""Before and after zstd, and the newest."""
WORDED = (7, 8, 13)
"""Without and with messages in errors, and the newest."""


@case(ProduceRequest)
def test_append_and_read_back(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, batch(session))
    produce(session, version, topic, batch(session, [b"c"], key=b"k"), acks=1)
    fetch(session, 12, topic)
    list_offsets(session, 7, topic, -1, -2, -3)


@case(ProduceRequest, versions=FEW)
def test_without_an_answer(session: Session, version: int) -> None:
    topic = session.create_topic()
    request = ProduceRequest(
        acks=0,
        timeout_ms=TIMEOUT_MS,
        topic_data=[topic_data(session, version, topic, (0, batch(session)))],
    )
    session.post(request, version)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_without_an_answer_but_with_an_error(session: Session, version: int) -> None:
    topic = session.create_topic()
    for data in (
        topic_data(session, version, session.name("unknown"), (0, batch(session))),
        topic_data(session, version, topic, (7, batch(session))),
        topic_data(session, version, topic, (0, b"")),
        topic_data(
            session, version, topic, (0, patched(batch(session), 17, b"bad!", is_crc_kept=True))
        ),
    ):
        request = ProduceRequest(acks=0, timeout_ms=TIMEOUT_MS, topic_data=[data])
        session.reconnect()
        session.attempt(request, version)


@case(ProduceRequest, versions=FEW)
def test_other_acks(session: Session, version: int) -> None:
    topic = session.create_topic()
    for acks in (2, -2, 32767):
        produce(session, version, topic, batch(session), acks=acks)
    produce(session, version, topic, b"", acks=2)
    produce(session, version, session.name("unknown"), batch(session), acks=2)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=(0, 1, 2))
def test_refused_versions(session: Session, version: int) -> None:
    header = encode_request_header(RequestHeader(0, version, 5, CLIENT_ID))
    body = b"\xff\xff\x00\x00\x75\x30\x00\x00\x00\x00"  # acks=-1, 30 s, no topics
    session.attempt_bytes(sized(header + body), seconds=5)


@case(ProduceRequest, versions=(14, 127))
def test_versions_of_the_future(session: Session, version: int) -> None:
    header = encode_request_header(RequestHeader(0, version, 5, CLIENT_ID))
    session.attempt_bytes(sized(header + b"\x00\xff\xff\x00\x00\x75\x30\x01\x00"), seconds=5)


@case(ProduceRequest)
def test_unknown_topic(session: Session, version: int) -> None:
    produce(session, version, session.name("unknown"), batch(session))


@case(ProduceRequest, versions=FEW)
def test_unknown_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for partition in (1, -1, 2**31 - 1):
        produce(session, version, topic, batch(session), partition=partition)


@case(ProduceRequest, versions=(3, 12))
def test_odd_topic_names(session: Session, version: int) -> None:
    for name in ("", ".", "a b", "ü", "x" * 250, "__no_such_internal_topic"):
        produce(session, version, name, batch(session))


@case(ProduceRequest, versions=(13,))
def test_topic_ids_that_are_none(session: Session, version: int) -> None:
    data = topic_data(session, version, session.name("unknown"), (0, batch(session)))
    data.topic_id = bytes(16)
    session.send(ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[data]), version)


@case(ProduceRequest, versions=FEW)
def test_nothing_to_append(session: Session, version: int) -> None:
    session.send(ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS), version)
    topic = session.create_topic()
    empty = topic_data(session, version, topic)
    session.send(ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[empty]), version)


@case(ProduceRequest, versions=WORDED)
def test_empty_records(session: Session, version: int) -> None:
    produce(session, version, session.create_topic(), b"")


@case(ProduceRequest, versions=WORDED)
def test_null_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    request = ProduceRequest(
        acks=-1,
        timeout_ms=TIMEOUT_MS,
        topic_data=[topic_data(session, version, topic, (0, None))],
    )
    session.attempt(request, version)


@case(ProduceRequest, versions=FEW)
def test_null_records_in_an_unknown_topic(session: Session, version: int) -> None:
    request = ProduceRequest(
        acks=-1,
        timeout_ms=TIMEOUT_MS,
        topic_data=[topic_data(session, version, session.name("unknown"), (0, None))],
    )
    session.attempt(request, version)


@case(ProduceRequest, versions=WORDED)
def test_wrong_checksum(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(
        session, version, topic, patched(batch(session), 17, b"\x00\x00\x00\x01", is_crc_kept=True)
    )
    produce(session, version, topic, patched(batch(session), 65, b"!", is_crc_kept=True))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_other_magic(session: Session, version: int) -> None:
    topic = session.create_topic()
    for magic in (b"\x00", b"\x01", b"\x03", b"\x7f", b"\xff"):
        produce(session, version, topic, patched(batch(session), 16, magic))


@case(ProduceRequest, versions=FEW)
def test_a_message_of_an_old_format(session: Session, version: int) -> None:
    """As clients before 0.11 sent them: offset, size, checksum, magic, attributes, key, value."""
    topic = session.create_topic()
    for magic in (b"\x00\x00", b"\x01\x00" + session.past_ms.to_bytes(8, "big")):
        message = b"\x12\x34\x56\x78" + magic + b"\xff\xff\xff\xff\x00\x00\x00\x01v"
        produce(session, version, topic, bytes(8) + len(message).to_bytes(4, "big") + message)


@case(ProduceRequest, versions=WORDED)
def test_wrong_length(session: Session, version: int) -> None:
    topic = session.create_topic()
    whole = batch(session)
    length = len(whole) - 12
    for wrong in (length + 1, length - 1, 0, 13, 14, 48, 49, -1, 2**30):
        data = patched(whole, 8, wrong.to_bytes(4, "big", signed=True), is_crc_kept=True)
        produce(session, version, topic, data)


@case(ProduceRequest, versions=WORDED)
def test_the_largest_length(session: Session, version: int) -> None:
    topic = session.create_topic()
    data = patched(batch(session), 8, b"\x7f\xff\xff\xff", is_crc_kept=True)
    produce(session, version, topic, data)


@case(ProduceRequest, versions=WORDED)
def test_cut_batches(session: Session, version: int) -> None:
    topic = session.create_topic()
    whole = batch(session)
    for size in (1, 11, 12, 16, 17, 22, 60, 61, len(whole) - 1):
        produce(session, version, topic, whole[:size])


@case(ProduceRequest, versions=FEW)
def test_a_part_of_a_second_batch(session: Session, version: int) -> None:
    topic = session.create_topic()
    for size in (1, 12, 16, 17, 61):
        produce(session, version, topic, batch(session) + batch(session)[:size])
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_several_batches(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, batch(session) + batch(session, [b"c"]))
    produce(session, version, topic, batch(session) + b"\x00" * 20)
    produce(session, version, topic, batch(session) + b"\xff" * 80)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_wrong_record_count(session: Session, version: int) -> None:
    topic = session.create_topic()
    for count in (0, 1, 3, -1, 2**31 - 1):
        data = patched(batch(session), 57, count.to_bytes(4, "big", signed=True))
        produce(session, version, topic, data)
        produce(
            session, version, topic, patched(data, 23, (count - 1 & 0xFFFFFFFF).to_bytes(4, "big"))
        )
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_wrong_last_offset_delta(session: Session, version: int) -> None:
    topic = session.create_topic()
    for delta in (0, 2, -1, 2**31 - 1):
        data = patched(batch(session), 23, delta.to_bytes(4, "big", signed=True))
        produce(session, version, topic, data)


@case(ProduceRequest, versions=FEW)
def test_base_offset(session: Session, version: int) -> None:
    topic = session.create_topic()
    for offset in (1, -1, 2**62):
        data = patched(batch(session), 0, offset.to_bytes(8, "big", signed=True), is_crc_kept=True)
        produce(session, version, topic, data)
    produce(
        session, version, topic, patched(batch(session), 12, b"\x00\x00\x00\x09", is_crc_kept=True)
    )
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_records_that_do_not_hold_together(session: Session, version: int) -> None:
    topic = session.create_topic()
    whole = batch(session, [b"abc", b"def"])
    for position, value in (
        (61, b"\x00"),  # the first record's length
        (61, b"\x01"),
        (61, b"\x7f"),
        (65, b"\x7e"),  # its key's
        (66, b"\x7e"),  # its value's
        (70, b"\x02"),  # its headers' count
        (70, b"\x01"),
    ):
        produce(session, version, topic, patched(whole, position, value))
    produce(session, version, topic, patched(whole[:-3], 8, (len(whole) - 15).to_bytes(4, "big")))
    longer = whole + b"\x00"
    produce(session, version, topic, patched(longer, 8, (len(longer) - 12).to_bytes(4, "big")))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_attributes_of_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    produce(session, version, topic, patched(batch(session), 62, b"\x01"))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_offsets_with_gaps_in_a_compressed_batch(session: Session, version: int) -> None:
    topic = session.create_topic()
    sent = [Record(0, session.past_ms, None, b"a"), Record(5, session.past_ms, None, b"b")]
    data = build_batch(sent, keep_offsets=True, codec=Codec.GZIP)
    produce(session, version, topic, patched(bytes(data), 23, b"\x00\x00\x00\x01"))
    produce(session, version, topic, bytes(data))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_control_batch(session: Session, version: int) -> None:
    topic = session.create_topic()
    marker = [Record(0, session.past_ms, b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x00\x00")]
    produce(session, version, topic, bytes(build_batch(marker, is_control=True)))
    data = build_batch(marker, is_control=True, producer_id=5, producer_epoch=0)
    produce(session, version, topic, bytes(data))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_unknown_attributes(session: Session, version: int) -> None:
    topic = session.create_topic()
    for attributes in (0x40, 0x80, 0x0100, 0x8000):
        data = patched(batch(session), 21, attributes.to_bytes(2, "big"))
        produce(session, version, topic, data)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_every_codec(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in CODECS:
        produce(session, version, topic, batch(session, [b"a" * 500, b"b"], codec=codec))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=FEW)
def test_unknown_codecs(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in (5, 6, 7):
        produce(session, version, topic, patched(batch(session), 21, b"\x00" + bytes([codec])))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_records_that_do_not_decompress(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in CODECS[1:4]:
        data = patched(batch(session), 21, b"\x00" + bytes([codec]))
        produce(session, version, topic, data)
    fetch(session, 12, topic)


@case(ProduceRequest, versions=(7,))
def test_topic_codecs(session: Session, version: int) -> None:
    for codec in ("uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"):
        topic = session.create_topic(codec, configs={"compression.type": codec})
        for sent in (Codec.NONE, Codec.GZIP, Codec.ZSTD):
            produce(session, version, topic, batch(session, [b"a" * 500, b"b"], codec=sent))
        fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_timestamps_out_of_the_window(session: Session, version: int) -> None:
    configs = {"message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "1000"}
    topic = session.create_topic(configs=configs)
    now = session.now_ms
    for times in ([now - 120_000], [now + 120_000], [now, now - 120_000, now + 120_000], [-1]):
        sent = [Record(n, time, None, b"v") for n, time in enumerate(times)]
        produce(session, version, topic, bytes(build_batch(sent)))
    list_offsets(session, 7, topic, -1)


@case(ProduceRequest, versions=WORDED)
def test_timestamps_of_the_far_future(session: Session, version: int) -> None:
    topic = session.create_topic()
    for ahead in (3_500_000, 3_700_000, 10**12):
        sent = [Record(0, session.now_ms + ahead, None, b"v")]
        produce(session, version, topic, bytes(build_batch(sent)))
    produce(session, version, topic, bytes(build_batch([Record(0, 0, None, b"v")])))
    produce(session, version, topic, bytes(build_batch([Record(0, -5, None, b"v")])))
    list_offsets(session, 7, topic, -1, -3)


@case(ProduceRequest, versions=FEW)
def test_a_wrong_largest_timestamp(session: Session, version: int) -> None:
    topic = session.create_topic()
    for wrong in (session.past_ms + 500, session.past_ms - 500, -1, 0):
        data = patched(batch(session), 35, wrong.to_bytes(8, "big", signed=True))
        produce(session, version, topic, data)
    fetch(session, 12, topic)
    list_offsets(session, 7, topic, -3, session.past_ms + 100)


@case(ProduceRequest, versions=FEW)
def test_log_append_time(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"message.timestamp.type": "LogAppendTime"})
    produce(session, version, topic, batch(session))
    produce(session, version, topic, batch(session, codec=Codec.GZIP))
    sent = records(session)
    produce(session, version, topic, bytes(build_batch(sent, log_append_time_ms=session.past_ms)))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=WORDED)
def test_append_time_from_the_client(session: Session, version: int) -> None:
    topic = session.create_topic()
    sent = records(session)
    for codec in (Codec.NONE, Codec.GZIP):
        data = build_batch(sent, log_append_time_ms=session.past_ms, codec=codec)
        produce(session, version, topic, bytes(data))
    fetch(session, 12, topic)
