"""Differences that are meant, of the APIs for records and offsets in partitions."""

from collections.abc import Iterator, Sequence

from compat.differential.transcript import Difference

# Path, ours, Kafka's, and the versions in which it shows, if not all.
Place = tuple[str, str, str] | tuple[str, str, str, Sequence[int]]

RESULT = "responses/0/partition_responses/*"
FIRST_RESULT, SECOND_RESULT = (f"responses/0/partition_responses/{number}" for number in (0, 1))
# In these versions Produce answers with where a log starts, and with messages.
FROM_LOG_START, FROM_MESSAGES = range(5, 14), range(8, 14)


def _several(case: str, reason: str, *places: Place) -> Iterator[Difference]:
    """What shows of one difference at several places of a case."""
    for path, ours, kafka, *versions in places:
        yield Difference(case, path, ours, kafka, reason, versions[0] if versions else None)


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
    *_several(
        "produce.offsets_with_gaps_in_a_compressed_batch",
        "Kafka means to build such a batch anew without the gaps, but fails on its keys, "
        "which it has not read (UNKNOWN_SERVER_ERROR). Here it is built anew.",
        (f"0/{RESULT}/error_code", "0", "-1"),
        (f"0/{RESULT}/base_offset", "0", "-1"),
        ("2/*/records", "[[]{*}]", "[[]]"),
        ("2/*/high_watermark", "2", "0"),
        ("2/*/last_stable_offset", "2", "0"),
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
    *_several(
        "produce_limits.partitions_named_twice_once_with_nothing",
        "Of a partition that is named twice the last batch counts, and its result is "
        "answered. Kafka appends the last one that is a batch, but answers that one was refused.",
        (f"0/{SECOND_RESULT}/error_code", "0", "87"),
        (f"0/{SECOND_RESULT}/base_offset", "0", "-1"),
        (f"0/{SECOND_RESULT}/log_start_offset", "0", "-1", FROM_LOG_START),
        ("1/*/offset", "0", "2"),
    ),
    *_several(
        "produce_limits.one_partition_with_what_cannot_be_a_batch",
        "Kafka refuses the whole request; here the other partitions are appended.",
        (f"0/{FIRST_RESULT}/error_code", "0", "2"),
        (f"0/{FIRST_RESULT}/base_offset", "0", "-1"),
        (f"0/{FIRST_RESULT}/log_start_offset", "0", "-1"),
        (f"0/{FIRST_RESULT}/error_message", "None", "'message'", FROM_MESSAGES),
        ("1/*/offset", "2", "0"),
    ),
    Difference(
        "delete_records.everything",
        path="4/topics/0/partitions/0/*",
        ours="-1",
        kafka="*",
        reason="Asked for the largest timestamp, Kafka names a record that was deleted as long as "
        "its segment is there; here only records that can be read count.",
    ),
)
