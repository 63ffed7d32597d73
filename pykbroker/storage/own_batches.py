"""Batches of records that the broker itself writes, which are its coordinators'.

Within a transaction they have the id and the epoch of its producer. Their sequences then all begin
at 0, as in Kafka: nobody asks for them.
"""

from collections.abc import Sequence

from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import NO_SEQUENCE, RecordBatch, build_batch
from pykbroker.protocol.records import Record


def batch_of(
    records: Sequence[Record],
    codec: Codec,
    producer: tuple[int, int] | None,
    max_bytes: int,
    base_sequence: int = NO_SEQUENCE,
) -> RecordBatch:
    """Return records as one batch.

    Args:
        records: At least one.
        codec: How to compress them.
        producer: Id and epoch of the producer whose transaction they are part of.
        max_bytes: How large it may be.
        base_sequence: What a batch without a producer says of it.

    Raises:
        KafkaError: MESSAGE_TOO_LARGE.
    """
    if producer is None:
        data = build_batch(records, codec=codec, base_sequence=base_sequence)
    else:
        data = build_batch(
            records,
            codec=codec,
            producer_id=producer[0],
            producer_epoch=producer[1],
            base_sequence=0,
            is_transactional=True,
        )
    if len(data) > max_bytes:
        raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"a batch of {len(data)} bytes")
    return RecordBatch.parse(data)
