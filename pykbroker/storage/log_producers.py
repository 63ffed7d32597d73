"""The producers of one log, where their state alone is not enough and the log's files are needed.

`producer_state` decides what may be appended. A snapshot tells it only the last batch of each
producer; the batches before that are looked up in the log here. And an aborted transaction gets its
entry in the `.txnindex` file of the segment that holds its marker.
"""

from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.record_batch import RecordBatch
from pykbroker.storage import log_search
from pykbroker.storage.aborted_transactions import AbortedTransactions
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.data_directory import DataDirectory
from pykbroker.storage.partition_files import PartitionFiles
from pykbroker.storage.producer_state import AppendOrigin, ProducedBatch, ProducerStateManager
from pykbroker.storage.segment import Segment
from pykbroker.storage.segment_chain import SegmentChain
from pykbroker.storage.transaction_index import aborted_by


class LogProducers:
    """Checks the batches of producers before they are written, and notes them afterwards.

    Args:
        state: The producers.
        directory: The data directory, which is taken offline where an entry cannot be written.
        chain: The segments.
        files: The small files.
    """

    __slots__ = ("_aborted", "_chain", "_directory", "_files", "_state")

    def __init__(
        self,
        state: ProducerStateManager,
        directory: DataDirectory,
        chain: SegmentChain,
        files: PartitionFiles,
    ) -> None:
        self._state = state
        self._directory = directory
        self._chain = chain
        self._files = files
        self._aborted: AbortedTransactions | None = None  # looked for when first asked

    @property
    def aborted(self) -> AbortedTransactions:
        """The aborted transactions of the segments that there are now.

        Raises:
            OSError: The disk refused to tell.
        """
        segments, aborted = self._chain.all, self._aborted
        if aborted is None or aborted.segments is not segments:
            aborted = self._aborted = AbortedTransactions(segments)
        return aborted

    def check(
        self, batch: RecordBatch, origin: AppendOrigin, transaction_version: int
    ) -> ProducedBatch | None:
        """Check a batch as `ProducerStateManager.check` does, with what the log knows of old ones.

        Raises:
            KafkaError: The batch must not be appended, or KAFKA_STORAGE_ERROR.
        """
        try:
            return self._state.check(batch, origin, transaction_version)
        except KafkaError as error:
            entry = self._state.producers.get(batch.producer_id)
            if (
                error.code is not ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
                or entry is None
                or not entry.is_restored
            ):
                raise
            # After a restart only the last batch is known; a retry of one before it is no error.
            try:
                older = log_search.find_produced(
                    self._chain.all, batch.producer_id, batch.producer_epoch
                )
            except (DamagedSegmentError, OSError) as unreadable:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(unreadable)) from unreadable
            entry.restore_older(older)
            return self._state.check(batch, origin, transaction_version)

    def record(self, batch: RecordBatch, segment: Segment) -> None:
        """Note a batch that was written to a segment."""
        completed = self._state.record(batch)
        if completed is None or not completed.is_aborted:
            return
        try:
            self._files.save_aborted(segment, aborted_by(completed, self._state))
        except OSError as error:
            # The marker is in the log, so recovery writes the entry; readers find it in memory.
            self._directory.fail(f"cannot write {segment.transaction_index.path}: {error}")
        if self._aborted is not None:
            self._aborted.note(segment)
