"""Fetch without sessions: offsets, limits, waiting, epochs, isolation."""

from compat.differential.cases import case
from compat.differential.data_plane import (
    FETCH_BYTES,
    batch,
    fetch,
    fetch_request,
    fetch_topic,
    fill,
    wanted,
)
from compat.differential.session import Session
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.messages.fetch import FetchRequest, ReplicaState
from pykbroker.protocol.record_batch import build_batch
from pykbroker.protocol.records import Record

FEW = (4, 12, 13, 18)
EPOCHS = (9, 12, 17)
REPLICA = (4, 11, 15)


def three_batches(session: Session, partitions: int = 1, **configs: str) -> str:
    """A topic with records 0 to 1, 2 to 4 and 5 in each partition."""
    topic = session.create_topic(
        partitions=partitions, configs={key.replace("_", "."): configs[key] for key in configs}
    )
    for partition in range(partitions):
        for values in ([b"a", b"b"], [b"c", b"d", b"e"], [b"f" * 100]):
            fill(session, topic, batch(session, values), partition=partition)
    return topic


@case(FetchRequest)
def test_from_every_offset(session: Session, version: int) -> None:
    topic = three_batches(session)
    for offset in (0, 1, 2, 4, 5, 6):
        fetch(session, version, topic, wanted(offset))


@case(FetchRequest)
def test_offsets_out_of_range(session: Session, version: int) -> None:
    topic = three_batches(session)
    for offset in (7, 1000, -1, -2, 2**63 - 1):
        fetch(session, version, topic, wanted(offset))


@case(FetchRequest)
def test_empty_partition(session: Session, version: int) -> None:
    topic = session.create_topic()
    for offset in (0, 1, -1):
        fetch(session, version, topic, wanted(offset))


@case(FetchRequest)
def test_unknown_topic(session: Session, version: int) -> None:
    fetch(session, version, session.name("unknown"))
    fetch(session, version, session.name("unknown"), wanted(), wanted(partition=5), max_wait_ms=50)


@case(FetchRequest, versions=FEW)
def test_unknown_partition(session: Session, version: int) -> None:
    topic = three_batches(session)
    for partition in (1, -1, 2**31 - 1):
        fetch(session, version, topic, wanted(partition=partition))
    fetch(session, version, topic, wanted(partition=3), wanted(), wanted(partition=4))


@case(FetchRequest, versions=(4, 12))
def test_odd_topic_names(session: Session, version: int) -> None:
    for name in ("", ".", "ü", "x" * 250):
        fetch(session, version, name)


@case(FetchRequest, versions=(13, 18))
def test_no_topic_id(session: Session, version: int) -> None:
    topics = [fetch_topic(session, version, session.name("unknown"), wanted())]
    topics[0].topic_id = bytes(16)
    session.send(fetch_request(topics), version)


@case(FetchRequest, versions=FEW)
def test_nothing_to_fetch(session: Session, version: int) -> None:
    session.send(fetch_request([]), version)
    session.send(fetch_request([], max_wait_ms=50, min_bytes=1), version)
    topic = session.create_topic()
    session.send(fetch_request([fetch_topic(session, version, topic)]), version)


@case(FetchRequest, versions=FEW)
def test_bytes_for_a_partition(session: Session, version: int) -> None:
    topic = three_batches(session)
    size = len(batch(session, [b"a", b"b"]))
    for limit in (0, 1, 60, size - 1, size, size + 1, size + 70, 10_000, 2**31 - 1):
        fetch(session, version, topic, wanted(partition_max_bytes=limit))
        fetch(session, version, topic, wanted(3, partition_max_bytes=limit))


@case(FetchRequest, versions=FEW)
def test_bytes_for_a_request(session: Session, version: int) -> None:
    topic = three_batches(session, partitions=2)
    size = len(batch(session, [b"a", b"b"]))
    both = (wanted(), wanted(partition=1))
    for limit in (0, 1, size, 2 * size + 10, 500, 2**31 - 1):
        fetch(session, version, topic, *both, max_bytes=limit)
        fetch(session, version, topic, *reversed(both), max_bytes=limit)
        fetch(session, version, topic, wanted(6), wanted(partition=1), max_bytes=limit)


@case(FetchRequest, versions=FEW)
def test_negative_limits(session: Session, version: int) -> None:
    topic = three_batches(session)
    fetch(session, version, topic, wanted(partition_max_bytes=-1))
    fetch(session, version, topic, wanted(), max_bytes=-1)
    fetch(session, version, topic, wanted(), max_wait_ms=-1, min_bytes=10**6)
    fetch(session, version, topic, wanted(), min_bytes=-1)


@case(FetchRequest, versions=FEW)
def test_the_wait_ends(session: Session, version: int) -> None:
    topic = three_batches(session)
    fetch(session, version, topic, wanted(6), max_wait_ms=50, min_bytes=1)
    fetch(session, version, topic, wanted(5), max_wait_ms=50, min_bytes=10_000)


@case(FetchRequest, versions=FEW)
def test_errors_do_not_wait(session: Session, version: int) -> None:
    topic = three_batches(session, partitions=2)
    endless = {"max_wait_ms": 20_000, "min_bytes": 10_000}
    for partition in (wanted(99), wanted(-1)):
        request = fetch_request(
            [fetch_topic(session, version, topic, partition, wanted(6, partition=1))], **endless
        )
        session.attempt(request, version, seconds=5)


@case(FetchRequest, versions=FEW)
def test_unknown_partitions_do_not_end_the_wait(session: Session, version: int) -> None:
    topic = three_batches(session)
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(6), wanted(partition=9))],
        max_wait_ms=300,
        min_bytes=1,
    )
    parked = session.begin(request, version)
    parked.is_silent(0.1)
    parked.finish()


@case(FetchRequest, versions=FEW)
def test_records_end_the_wait(session: Session, version: int) -> None:
    topic = three_batches(session)
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(6))], max_wait_ms=20_000, min_bytes=1
    )
    parked = session.begin(request, version)
    parked.is_silent(0.1)
    session.reconnect()
    fill(session, topic, batch(session, [b"g"]))
    parked.finish()


@case(FetchRequest, versions=FEW)
def test_enough_records_end_the_wait(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(), wanted(partition=1))],
        max_wait_ms=20_000,
        min_bytes=300,
    )
    parked = session.begin(request, version)
    session.reconnect()
    for partition, is_enough in ((0, False), (1, False), (1, True)):
        fill(session, topic, batch(session, [b"x" * 50]), partition=partition)
        if not is_enough:
            parked.is_silent(0.1)
    parked.finish()


@case(FetchRequest, versions=FEW)
def test_isolation_levels(session: Session, version: int) -> None:
    topic = three_batches(session)
    for level in (0, 1, 2, -1):
        fetch(session, version, topic, wanted(), isolation_level=level)
        fetch(session, version, topic, wanted(6), isolation_level=level)
        fetch(session, version, topic, wanted(9), isolation_level=level)


@case(FetchRequest, versions=(9, 12, 13, 15, 16, 18))
def test_leader_epochs(session: Session, version: int) -> None:
    topic = three_batches(session)
    for epoch in (0, 1, 7, -1, -2):
        fetch(session, version, topic, wanted(current_leader_epoch=epoch))
        fetch(session, version, topic, wanted(99, current_leader_epoch=epoch))


@case(FetchRequest, versions=(12, 13, 18))
def test_last_fetched_epochs(session: Session, version: int) -> None:
    topic = three_batches(session)
    for epoch in (0, 1, 7, -1, -2):
        for offset in (0, 6, 7):
            fetch(session, version, topic, wanted(offset, last_fetched_epoch=epoch))


@case(FetchRequest, versions=REPLICA)
def test_replica_ids(session: Session, version: int) -> None:
    topic = three_batches(session)
    for replica in (-1, -2, -3, 1, 2, 100):
        for epoch in (-1, 0) if version >= 9 else (-1,):
            fields = (
                {"replica_id": replica}
                if version < 15
                else {"replica_state": ReplicaState(replica_id=replica, replica_epoch=-1)}
            )
            fetch(session, version, topic, wanted(current_leader_epoch=epoch), **fields)


@case(FetchRequest, versions=(5, 12, 18))
def test_log_start_and_rack_of_the_client(session: Session, version: int) -> None:
    topic = three_batches(session)
    rack_id = "any" if version >= 11 else ""
    for start in (-1, 0, 3, 100):
        fetch(session, version, topic, wanted(log_start_offset=start), rack_id=rack_id)


@case(FetchRequest, versions=(12, 13, 18))
def test_cluster_ids(session: Session, version: int) -> None:
    topic = three_batches(session)
    for cluster in (None, "", "other"):
        fetch(session, version, topic, cluster_id=cluster)


@case(FetchRequest, versions=(17, 18))
def test_what_only_followers_say(session: Session, version: int) -> None:
    topic = three_batches(session)
    fetch(session, version, topic, wanted(replica_directory_id=b"d" * 16))
    if version >= 18:
        for high_watermark in (0, 3, 6, 100, -1):
            fetch(session, version, topic, wanted(high_watermark=high_watermark))


@case(FetchRequest, versions=FEW)
def test_after_delete_records(session: Session, version: int) -> None:
    topic = three_batches(session)
    session.delete_records(topic, 3)
    for offset in (0, 2, 3, 4, 6):
        fetch(session, version, topic, wanted(offset))
    session.delete_records(topic, -1)
    for offset in (5, 6, 7):
        fetch(session, version, topic, wanted(offset))


@case(FetchRequest, versions=(4, 9, 10, 18))
def test_codecs(session: Session, version: int) -> None:
    topic = session.create_topic()
    for codec in Codec:
        fill(session, topic, batch(session, [b"a" * 200, b"b"], codec=codec))
    for offset in (0, 1, 5, 9):
        fetch(session, version, topic, wanted(offset))


@case(FetchRequest, versions=(4, 9, 10, 18))
def test_topic_codec_zstd(session: Session, version: int) -> None:
    topic = session.create_topic(configs={"compression.type": "zstd"})
    fetch(session, version, topic)
    fill(session, topic, batch(session, [b"a" * 200, b"b"]))
    fetch(session, version, topic)
    fetch(session, version, topic, wanted(9))


@case(FetchRequest, versions=FEW)
def test_partitions_named_twice(session: Session, version: int) -> None:
    topic = three_batches(session)
    fetch(session, version, topic, wanted(0), wanted(5))
    topics = [fetch_topic(session, version, topic, wanted(offset)) for offset in (5, 2)]
    session.send(fetch_request(topics), version)


@case(FetchRequest, versions=FEW)
def test_several_topics(session: Session, version: int) -> None:
    topic = three_batches(session, partitions=2)
    other = session.create_topic("other")
    session.topic_id(topic)
    topics = [
        fetch_topic(session, version, topic, wanted(partition=1)),
        fetch_topic(session, version, other, wanted()),
        fetch_topic(session, version, session.name("unknown"), wanted()),
        fetch_topic(session, version, topic, wanted(5)),
    ]
    session.send(fetch_request(topics), version)
    session.send(fetch_request(topics, max_bytes=1), version)


@case(FetchRequest, versions=(4, 18))
def test_across_segments(session: Session, version: int) -> None:
    """A read ends with the segment that it began in."""
    topic = session.create_topic(configs={"segment.ms": "1000", "retention.ms": "-1"})
    for hours in range(3):
        sent = [Record(0, session.past_ms + hours * 10_000, None, b"v")]
        fill(session, topic, bytes(build_batch(sent)), bytes(build_batch(sent)))
    for offset in range(7):
        fetch(session, version, topic, wanted(offset))
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(1))], max_wait_ms=20_000, min_bytes=10_000
    )
    session.attempt(request, version, seconds=5)


@case(FetchRequest, versions=FEW)
def test_internal_topic(session: Session, version: int) -> None:
    offset = 1 << 40
    fetch(session, version, "__consumer_offsets", wanted(offset))


@case(FetchRequest, versions=FEW)
def test_large_batches(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, *(batch(session, [b"x" * 300_000]) for _ in range(4)))
    for limit in (1, 300_000, 700_000, FETCH_BYTES):
        fetch(session, version, topic, wanted(partition_max_bytes=limit))
        fetch(session, version, topic, wanted(1, partition_max_bytes=FETCH_BYTES), max_bytes=limit)


@case(FetchRequest, versions=FEW)
def test_a_topic_that_was_deleted(session: Session, version: int) -> None:
    topic = three_batches(session)
    request = fetch_request([fetch_topic(session, version, topic, wanted())])
    session.delete_topic(topic)
    session.send(request, version)


@case(FetchRequest, versions=(12, 13, 18))
def test_a_topic_that_was_made_anew(session: Session, version: int) -> None:
    topic = three_batches(session)
    request = fetch_request([fetch_topic(session, version, topic, wanted())])
    session.delete_topic(topic)
    session.create_topic()
    session.send(request, version)
    fetch(session, version, topic)
