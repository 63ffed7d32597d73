from pykbroker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from pykbroker.protocol.messages.metadata import MetadataResponse, MetadataResponseTopic
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from pykbroker.testing.message_text import MAX_CHARACTERS, message_text


def test_fields_that_say_something_are_shown() -> None:
    data = PartitionProduceData(index=0, records=b"12345")
    topic = TopicProduceData(name="t", topic_id=bytes(15) + b"\1", partition_data=[data])

    text = message_text(ProduceRequest(acks=-1, timeout_ms=100, topic_data=[topic]))

    assert text == (
        "acks=-1 timeout_ms=100 topic_data=[{name=t topic_id=00000000000000000000000000000001"
        " partition_data=[{index=0 records=<5 bytes>}]}]"
    )


def test_errors_have_names_and_no_error_is_not_shown() -> None:
    partitions = [
        OffsetCommitResponsePartition(partition_index=0, error_code=0),
        OffsetCommitResponsePartition(partition_index=1, error_code=22),
        OffsetCommitResponsePartition(partition_index=2, error_code=9999),
    ]
    topic = OffsetCommitResponseTopic(name="t", partitions=partitions)

    assert message_text(OffsetCommitResponse(topics=[topic])) == (
        "topics=[{name=t partitions=[{partition_index=0}, {partition_index=1 "
        "error_code=ILLEGAL_GENERATION}, {partition_index=2 error_code=9999}]}]"
    )


def test_what_differs_from_request_to_request_is_left_out() -> None:
    partitions = [FetchPartition(partition=0, fetch_offset=7)]
    texts = {
        message_text(
            FetchRequest(session_epoch=epoch, topics=[FetchTopic("t", partitions=partitions)])
        )
        for epoch in range(3)
    }
    assert len(texts) == 1


def test_a_long_text_is_cut_off() -> None:
    topics = [MetadataResponseTopic(name="t" * 100) for _ in range(100)]
    text = message_text(MetadataResponse(topics=topics))
    assert len(text) == MAX_CHARACTERS
    assert text.endswith("…")
