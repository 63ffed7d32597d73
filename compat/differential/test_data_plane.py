"""Sequences over several APIs of the data plane, as a client's day goes."""

from typing import Any

from compat.differential.cases import case
from compat.differential.data_plane import (
    CODECS,
    TIMEOUT_MS,
    batch,
    fetch,
    fetch_request,
    fetch_topic,
    fill,
    list_offsets,
    new_producer,
    produce,
    topic_data,
    wanted,
)
from compat.differential.session import Session
from compat.differential.test_offset_for_leader_epoch import ask as offset_for_leader_epoch
from pykbroker.protocol.messages.fetch import FetchRequest
from pykbroker.protocol.messages.offset_for_leader_epoch import OffsetForLeaderPartition
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.protocol.record_batch import iter_batches


@case(ProduceRequest, versions=(3, 9, 13))
def test_a_producer_after_its_records_were_deleted(session: Session, version: int) -> None:
    topic = session.create_topic()
    own: dict[str, Any] = {"producer_id": new_producer(session), "producer_epoch": 0}
    for sequence in (0, 1):
        produce(session, version, topic, batch(session, [b"v"], **own, base_sequence=sequence))
    session.delete_records(topic, -1)
    for sequence in (1, 3, 2, 2):
        produce(session, version, topic, batch(session, [b"v"], **own, base_sequence=sequence))
    list_offsets(session, 7, topic, -1, -2)


@case(ProduceRequest, versions=(3, 9, 13))
def test_a_producer_in_a_topic_made_anew(session: Session, version: int) -> None:
    topic = session.create_topic()
    own: dict[str, Any] = {"producer_id": new_producer(session), "producer_epoch": 3}
    produce(session, version, topic, batch(session, **own, base_sequence=0))
    session.delete_topic(topic)
    session.create_topic()
    produce(session, version, topic, batch(session, **own, base_sequence=2))
    produce(session, version, topic, batch(session, **own, base_sequence=4))
    fetch(session, 12, topic)


@case(ProduceRequest, versions=(3, 12))
def test_appending_to_a_deleted_topic(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    session.delete_topic(topic)
    produce(session, version, topic, batch(session))
    list_offsets(session, 7, topic, -1)
    session.create_topic()
    produce(session, version, topic, batch(session))


@case(ProduceRequest, versions=(13,))
def test_appending_by_the_id_of_a_deleted_topic(session: Session, version: int) -> None:
    topic = session.create_topic()
    old = topic_data(session, version, topic, (0, batch(session)))
    session.delete_topic(topic)
    request = ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[old])
    session.send(request, version)
    session.create_topic()
    session.send(request, version)
    fetch(session, 12, topic)


@case(FetchRequest, versions=(4, 12, 18))
def test_reading_in_small_steps(session: Session, version: int) -> None:
    """As a consumer does: from where the last batch ended, a little at a time."""
    topic = session.create_topic()
    for number, codec in enumerate(CODECS * 3):
        fill(session, topic, batch(session, [b"%d" % number] * (number + 1), codec=codec))
    offset = 0
    while True:
        answer = fetch(
            session, version, topic, wanted(offset, partition_max_bytes=300), max_bytes=300
        )
        records = answer.responses[0].partitions[0].records
        if not records:
            break
        offset = [each.last_offset for each in iter_batches(records)][-1] + 1
    session.note("end", offset)


@case(FetchRequest, versions=(9, 12, 18))
def test_a_consumer_that_checks_its_epoch(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session), batch(session))
    fetch(session, version, topic, wanted(2, current_leader_epoch=0))
    asked = OffsetForLeaderPartition(partition=0, current_leader_epoch=0, leader_epoch=0)
    offset_for_leader_epoch(session, 4, topic, asked)
    session.delete_records(topic, 3)
    fetch(session, version, topic, wanted(2, current_leader_epoch=0))
    list_offsets(session, 9, topic, -2, current_leader_epoch=0)
    fetch(session, version, topic, wanted(3, current_leader_epoch=0))


@case(FetchRequest, versions=(4, 12, 18))
def test_a_parked_fetch_meets_a_deletion(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(2))], max_wait_ms=1000, min_bytes=1
    )
    parked = session.begin(request, version)
    parked.is_silent(0.1)
    session.reconnect()
    session.delete_topic(topic)
    parked.finish()


@case(FetchRequest, versions=(4, 12, 18))
def test_a_parked_fetch_and_delete_records(session: Session, version: int) -> None:
    topic = session.create_topic()
    fill(session, topic, batch(session))
    request = fetch_request(
        [fetch_topic(session, version, topic, wanted(2))], max_wait_ms=300, min_bytes=1
    )
    parked = session.begin(request, version)
    session.reconnect()
    session.delete_records(topic, -1)
    parked.finish()


@case(FetchRequest, versions=(4, 12, 18))
def test_requests_behind_a_parked_fetch_wait(session: Session, version: int) -> None:
    topic = session.create_topic()
    topics = [fetch_topic(session, version, topic, wanted())]
    parked = session.begin(fetch_request(topics, max_wait_ms=300, min_bytes=1), version)
    behind = session.begin(fetch_request(topics), version)
    parked.is_silent(0.1)
    parked.finish()
    behind.finish()
