"""Differences that are meant, of the APIs for records and offsets in partitions."""

from collections.abc import Sequence

from compat.differential.transcript import Difference

RESULT = "responses/0/partition_responses/*"

DATA_PLANE_DIFFERENCES: Sequence[Difference] = (
    Difference(
        "produce.null_records",
        path="0",
        ours="*'error_code': 87*",
        kafka="'silent'",
        reason="Kafka fails on records that are null before it has an answer, and the client waits "
        "in vain; here it is told INVALID_RECORD.",
    ),
    Difference(
        "produce.the_largest_length",
        path=f"0/{RESULT}/error_code",
        ours="87",
        kafka="-1",
        reason="In Kafka the length of a batch and of what goes before it overflow; here it is a "
        "batch that is not whole, as with any other length that is too large.",
    ),
    Difference(
        "produce.offsets_with_gaps_in_a_compressed_batch",
        path="*",
        ours="*",
        kafka="*",
        reason="Kafka means to build such a batch anew without the gaps, but fails on its keys, "
        "which it has not read (UNKNOWN_SERVER_ERROR). Here it is built anew.",
    ),
    Difference(
        "produce.unknown_codecs",
        path=f"*/{RESULT}/error_code",
        ours="87",
        kafka="-1",
        reason="A codec that there is not is the client's mistake, INVALID_RECORD; Kafka has an "
        "exception that it does not expect.",
    ),
    Difference(
        "produce.records_that_do_not_decompress",
        path=f"*/{RESULT}/error_code",
        ours="87",
        kafka="-1",
        reason="Records that do not decompress are the client's mistake, INVALID_RECORD; Kafka has "
        "an exception that it does not expect.",
    ),
    Difference(
        "produce_limits.partitions_named_twice_once_with_nothing",
        path="*",
        ours="*",
        kafka="*",
        reason="Of a partition that is named twice the last batch counts, and its result is "
        "answered. Kafka appends the last one that is a batch, but answers that one was refused.",
    ),
    Difference(
        "produce_limits.one_partition_with_what_cannot_be_a_batch",
        path="*",
        ours="*",
        kafka="*",
        reason="Kafka refuses the whole request; here the other partitions are appended.",
    ),
    Difference(
        "delete_records.everything",
        path="4/topics/0/partitions/0/*",
        ours="-1",
        kafka="*",
        reason="Asked for the largest timestamp, Kafka names a record that was deleted as long as "
        "its segment is there; here only records that can be read count.",
    ),
    Difference(
        "init_producer_id.transactional_id",
        path="*",
        ours="*",
        kafka="*",
        reason="Transactions are not served yet: UNSUPPORTED_VERSION.",
    ),
    Difference(
        "init_producer_id.transactional_id_with_a_bad_timeout",
        path="*/error_code",
        ours="35",
        kafka="50",
        reason="Transactions are not served yet: UNSUPPORTED_VERSION.",
    ),
)
