"""DescribeProducers: who has written to a partition."""

from compat.differential.cases import case
from compat.differential.data_plane import batch, new_producer, produce
from compat.differential.session import Session
from pykbroker.protocol.messages.describe_producers import DescribeProducersRequest, TopicRequest

ANY_ORDER = {"active_producers": "last_sequence"}


def describe(session: Session, version: int, *topics: tuple[str, list[int]]) -> None:
    request = DescribeProducersRequest(topics=[TopicRequest(*topic) for topic in topics])
    session.send(request, version, sort=ANY_ORDER)


@case(DescribeProducersRequest)
def test_idempotent_producers(session: Session, version: int) -> None:
    topic = session.create_topic(partitions=2)
    describe(session, version, (topic, [0, 1]))
    for epoch, sequence in ((0, 5), (3, 0)):
        data = batch(
            session,
            [b"a", b"b"],
            producer_id=new_producer(session),
            producer_epoch=epoch,
            base_sequence=sequence,
        )
        produce(session, 9, topic, data)
        describe(session, version, (topic, [0, 1]))


@case(DescribeProducersRequest)
def test_unknown(session: Session, version: int) -> None:
    topic = session.create_topic()
    describe(session, version, (session.name("unknown"), [0]), (topic, [0, 1, -1]))
    describe(session, version, ("a b", [0]), ("", [0, 1]))
    describe(session, version, (topic, []))
    describe(session, version)


@case(DescribeProducersRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    topic = session.create_topic()
    describe(session, version, (topic, [0, 0]), (topic, [0]))
