"""Differences that are meant, of the APIs for transactions."""

from collections.abc import Sequence

from compat.differential.transcript import Difference

MARKER_ERROR = "markers/0/topics/0/partitions/0/error_code"
NO_SUCH_PRODUCER = (
    "a marker of a producer, or for a version of transactions, that there cannot be is refused "
    "with INVALID_REQUEST; Kafka does not expect it and says UNKNOWN_SERVER_ERROR"
)

TRANSACTION_DIFFERENCES: Sequence[Difference] = (
    Difference(
        "add_partitions_to_txn.no_transactions",
        path="0",
        ours="*'error_code': 0*",
        kafka="'silent'",
        reason="Kafka answers when the last transaction has its result, and so never where there "
        "is none",
    ),
    Difference(
        "write_txn_markers.odd_producers",
        path=f"*/{MARKER_ERROR}",
        ours="42",
        kafka="-1",
        reason=NO_SUCH_PRODUCER,
    ),
    Difference(
        "write_txn_markers.epochs_of_the_second_version_of_transactions",
        path=f"13/{MARKER_ERROR}",
        ours="42",
        kafka="-1",
        reason=NO_SUCH_PRODUCER,
    ),
    Difference(
        "read_committed.deleted_into_a_transaction",
        path="*/responses/0/partitions/0/last_stable_offset",
        ours="2",
        kafka="0",
        reason="the last stable offset is never before the start of the log; Kafka names the "
        "beginning of the open transaction, which was deleted",
    ),
    Difference(
        "update_features.an_end_after_a_refused_one",
        path="4",
        ours="0",
        kafka="51",
        reason="Kafka tells a producer of version 2 only while it writes that version 0 of "
        "transactions cannot record it, and takes the id for busy until the next start",
    ),
)
