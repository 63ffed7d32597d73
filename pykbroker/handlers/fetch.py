"""Fetch (API key 1), versions 4-18.

v5 log start offset; v7 fetch sessions (KIP-227); v9 current leader epoch (KIP-320); v11 rack id and
preferred replica (KIP-392); v12 flexible, last fetched epoch and diverging epoch (KIP-595); v13
topic ids (KIP-516); v15 replica state; v16 node endpoints (KIP-951); v17 replica directory id; v18
high watermark of a follower (KIP-1166). The fields for followers are not looked at: nobody
replicates from this broker, and one that tries is told so.

An answer waits until `min_bytes` are there, up to `max_wait_ms` (ReplicaManager.fetchMessages,
DelayedFetch). An error of a partition that is read ends the waiting; a partition that does not
exist does not. When the waiting ends, all partitions are read afresh.

Record bytes are not looked at and not copied between Python objects: the answer has slices of
files, which go from the page cache straight into the socket. Small ones are read into the
connection's own memory, which costs less than a system call for each. What is not in the page cache
is read in a thread.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, cast

from pykbroker.fetch_sessions import NO_TOPIC_ID, FetchContext, FetchPartition, PartitionKey
from pykbroker.leadership import CurrentLeader, current_leader, led_log
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
    SnapshotId,
)
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import ConnectionInfo, RequestContext
from pykbroker.storage.aborted_transactions import AbortedTransactions
from pykbroker.storage.batch_scan import DamagedSegmentError
from pykbroker.storage.file_slice import FileSlice
from pykbroker.storage.partition_log import PartitionLog

FIRST_VERSION_WITH_TOPIC_IDS: Final = 13  # KIP-516
FIRST_VERSION_WITH_LEADER_HINT: Final = 16  # KIP-951
# Clients of v5 and before do not know KAFKA_STORAGE_ERROR and would give up.
LAST_VERSION_WITHOUT_STORAGE_ERROR: Final = 5

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1

# From here on sending from the file costs less than reading it first.
MIN_SENT_FROM_FILE_BYTES: Final = 128 * 1024

_NO_DIVERGING_EPOCH: Final = EpochEndOffset()
_NO_LEADER: Final = LeaderIdAndEpoch()
_NO_SNAPSHOT: Final = SnapshotId()
_NO_OFFSET: Final = -1


class _Answer(PartitionData):
    """What one partition is answered, with what it takes to read its records."""

    __slots__ = ("aborted", "log", "size_bytes", "slice", "wanted")

    def __init__(
        self,
        wanted: FetchPartition,
        log: PartitionLog | None,
        error_code: ErrorCode = ErrorCode.NONE,
    ) -> None:
        self.wanted = wanted
        self.log = log
        self.size_bytes = 0
        self.slice: FileSlice | None = None
        self.aborted: AbortedTransactions | None = None  # what is still to be searched
        self.partition_index = wanted.partition
        self.error_code = error_code
        if log is None:
            self.high_watermark = self.last_stable_offset = self.log_start_offset = _NO_OFFSET
        else:
            self.high_watermark = log.high_watermark
            self.last_stable_offset = log.last_stable_offset
            self.log_start_offset = log.log_start_offset
        self.diverging_epoch = _NO_DIVERGING_EPOCH
        self.current_leader = _NO_LEADER
        self.snapshot_id = _NO_SNAPSHOT
        self.aborted_transactions = None
        self.preferred_read_replica = -1
        self.records = b""

    @property
    def is_diverging(self) -> bool:
        """Whether the client is told to truncate."""
        return self.diverging_epoch is not _NO_DIVERGING_EPOCH


class _Fetch:
    """One request on its way."""

    __slots__ = (
        "context",
        "is_committed_only",
        "max_bytes",
        "min_bytes",
        "replica_id",
        "request",
    )

    def __init__(self, context: RequestContext, request: FetchRequest) -> None:
        self.context = context
        self.request = request
        self.replica_id = (
            request.replica_id if context.api_version < 15 else (request.replica_state.replica_id)
        )
        self.max_bytes = min(
            request.max_bytes,
            context.broker.config.fetch_max_bytes,
            context.connection.max_response_bytes,
        )
        self.min_bytes = min(request.min_bytes, self.max_bytes)
        self.is_committed_only = request.isolation_level == READ_COMMITTED


def handle(
    context: RequestContext, request: FetchRequest
) -> FetchResponse | Awaitable[FetchResponse]:
    """Read the partitions of the request, of its session, or both.

    Whole-request errors: those of fetch sessions, and UNKNOWN_SERVER_ERROR for an isolation level
    that does not exist. Per partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID,
    INCONSISTENT_TOPIC_ID, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH,
    OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR.
    """
    uses_ids = context.api_version >= FIRST_VERSION_WITH_TOPIC_IDS
    try:
        session = context.broker.fetch_sessions.new_context(
            request.session_id,
            request.session_epoch,
            _wanted(context, request, uses_ids),
            _forgotten(request, uses_ids),
            uses_ids=uses_ids,
        )
    except KafkaError as error:
        return FetchResponse(error_code=error.code)

    fetch = _Fetch(context, request)
    answers, unknown = _read_session(fetch, session, uses_ids)
    if not answers or request.max_wait_ms <= 0 or _is_complete(fetch, answers):
        return _respond(fetch, session, answers + unknown)
    return _respond_later(fetch, session, answers, unknown)


def error_response(
    request: FetchRequest, code: ErrorCode, message: str | None = None
) -> FetchResponse:
    """Answer with an error: at the top, and for each partition where there may be no top (< v7)."""
    return FetchResponse(
        error_code=code,
        session_id=request.session_id,
        responses=[
            FetchableTopicResponse(
                topic=topic.topic,
                partitions=[
                    PartitionData(
                        partition_index=partition.partition,
                        error_code=code,
                        high_watermark=_NO_OFFSET,
                        records=b"",
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
            if topic.topic  # v13+ has ids instead, and is content with the error at the top
        ],
    )


def _wanted(
    context: RequestContext, request: FetchRequest, uses_ids: bool
) -> dict[PartitionKey, FetchPartition]:
    """Return the partitions that the request names; of one named twice, the last wishes count."""
    wanted: dict[PartitionKey, FetchPartition] = {}
    by_id = context.broker.metadata.image.topics_by_id
    for topic in request.topics:
        name: str | None = topic.topic
        if uses_ids:
            known = by_id.get(topic.topic_id)
            name = None if known is None else known.name
        for asked in topic.partitions:
            partition = FetchPartition(
                name,
                topic.topic_id,
                asked.partition,
                fetch_offset=asked.fetch_offset,
                max_bytes=asked.partition_max_bytes,
                current_leader_epoch=asked.current_leader_epoch,
                last_fetched_epoch=asked.last_fetched_epoch,
            )
            wanted[partition.key] = partition
    return wanted


def _forgotten(request: FetchRequest, uses_ids: bool) -> Iterable[PartitionKey]:
    for topic in request.forgotten_topics_data:
        for partition in topic.partitions:
            yield (topic.topic_id if uses_ids else topic.topic, partition)


def _read_session(
    fetch: _Fetch, session: FetchContext, uses_ids: bool
) -> tuple[list[_Answer], list[_Answer]]:
    """Read the partitions that exist, and answer those that do not.

    Returns:
        The answers of both kinds. Those that do not exist are neither waited for nor read again.

    Raises:
        KafkaError: There is something to read, but not at this isolation level.
    """
    image = fetch.context.broker.metadata.image
    readable: list[FetchPartition] = []
    unknown_ids: list[_Answer] = []
    unknown: list[_Answer] = []
    for wanted in session.partitions:
        if wanted.topic is None:
            known = image.topics_by_id.get(wanted.topic_id)
            wanted.topic = None if known is None else known.name
        if wanted.topic is not None and image.partition(wanted.topic, wanted.partition) is not None:
            readable.append(wanted)
            continue
        if uses_ids and wanted.topic is None:
            answer = _Answer(wanted, None, ErrorCode.UNKNOWN_TOPIC_ID)
            unknown_ids.append(answer)
        else:
            answer = _Answer(wanted, None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            unknown.append(answer)
        # Kafka says null where it tried to read, and an empty list here.
        answer.aborted_transactions = []
    if readable and fetch.request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        # Kafka has no code for this; it fails on it.
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "the isolation level must be 0 or 1")
    return _read_all(fetch, readable), unknown_ids + unknown


def _read_all(fetch: _Fetch, readable: Iterable[FetchPartition]) -> list[_Answer]:
    """Find the bytes of every partition, within the limits of the whole request."""
    answers = []
    left_bytes = fetch.max_bytes
    # A batch that is larger than all limits must not stop its consumer for ever.
    is_first = True
    for wanted in readable:
        try:
            answer = _read(fetch, wanted, left_bytes, is_first)
        except KafkaError as error:
            answer = _Answer(wanted, None, error.code)
        answers.append(answer)
        if answer.size_bytes:
            is_first = False
            left_bytes = max(0, left_bytes - answer.size_bytes)
    return answers


def _read(
    fetch: _Fetch, wanted: FetchPartition, left_bytes: int, at_least_one_batch: bool
) -> _Answer:
    """Find the bytes of one partition.

    Raises:
        KafkaError: The error of the partition.
    """
    assert wanted.topic is not None
    epoch = wanted.current_leader_epoch
    log = led_log(
        fetch.context.broker,
        wanted.topic,
        wanted.partition,
        epoch if epoch >= 0 else None,
        wanted.topic_id if wanted.topic_id != NO_TOPIC_ID else None,
    )
    if fetch.replica_id >= 0:
        # A follower that is not a replica of the partition; no other broker is.
        raise KafkaError(
            ErrorCode.UNKNOWN_LEADER_EPOCH if epoch >= 0 else ErrorCode.NOT_LEADER_OR_FOLLOWER
        )
    answer = _Answer(wanted, log)
    if wanted.last_fetched_epoch >= 0 and _is_diverging(log, answer):
        return answer
    up_to = answer.last_stable_offset if fetch.is_committed_only else answer.high_watermark
    offset = wanted.fetch_offset
    if fetch.is_committed_only:
        answer.aborted_transactions = []
    if offset == up_to and offset >= answer.log_start_offset:
        return answer  # the usual case: the client has read everything
    max_bytes = min(wanted.max_bytes, left_bytes)
    if max_bytes < 0 and answer.log_start_offset <= offset < up_to:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR)  # as Kafka, which fails on it
    found = log.read(offset, max_bytes, up_to=up_to, at_least_one_batch=at_least_one_batch)
    answer.slice = found.slice
    answer.size_bytes = found.size_bytes
    if fetch.is_committed_only and found.slice is not None:
        _find_aborted(answer, found.slice)
    return answer


def _find_aborted(answer: _Answer, found: FileSlice) -> None:
    """Note which aborted transactions the client must skip, or that they must be looked for.

    Raises:
        KafkaError: KAFKA_STORAGE_ERROR.
    """
    log, offset = answer.log, answer.wanted.fetch_offset
    assert log is not None
    try:
        aborted = log.transactions.aborted
    except OSError as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
    if not aborted.may_overlap(offset):
        return
    if found.place is None:
        # Where the records are is found out in a thread; by then compaction may have replaced the
        # segments, and what the new ones know of does not fit to the old ones' records.
        answer.aborted = aborted
    else:
        answer.aborted_transactions = _aborted_transactions(
            aborted, offset, found, log.log_end_offset
        )


def _is_diverging(log: PartitionLog, answer: _Answer) -> bool:
    """Compare the client's history with ours (KIP-595, Partition.readRecords).

    Raises:
        KafkaError: OFFSET_OUT_OF_RANGE, the epoch is not known or the offset is deleted.
    """
    wanted = answer.wanted
    epoch, end_offset = log.end_offset_for_epoch(wanted.last_fetched_epoch)
    if epoch < 0 or end_offset < 0 or wanted.fetch_offset < log.log_start_offset:
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
    if epoch >= wanted.last_fetched_epoch and end_offset >= wanted.fetch_offset:
        return False
    answer.diverging_epoch = EpochEndOffset(epoch=epoch, end_offset=end_offset)
    return True


def _aborted_transactions(
    aborted: AbortedTransactions, offset: int, read: FileSlice, log_end_offset: int
) -> list[AbortedTransaction]:
    """Return the aborted transactions that may have records among those that were read.

    Raises:
        KafkaError: KAFKA_STORAGE_ERROR; OFFSET_OUT_OF_RANGE if the records were deleted meanwhile.
    """
    try:
        found = aborted.find(offset, aborted.upper_bound(read, log_end_offset))
    except FileNotFoundError as error:
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE) from error
    except (OSError, DamagedSegmentError) as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
    # They have the fields that the codec asks for, and there may be thousands.
    return cast(list[AbortedTransaction], found)


def _is_complete(fetch: _Fetch, answers: Sequence[_Answer]) -> bool:
    """Whether there is nothing to wait for."""
    size_bytes = 0
    for answer in answers:
        size_bytes += answer.size_bytes
        if answer.error_code or answer.is_diverging or _is_in_old_segment(answer):
            return True
    return size_bytes >= fetch.min_bytes


def _is_in_old_segment(answer: _Answer) -> bool:
    """Whether the read stops at the end of a segment, which no append will make longer."""
    if not answer.size_bytes:
        return False
    assert answer.log is not None
    return answer.wanted.fetch_offset < answer.log.segments[-1].base_offset


class _Condition:
    """Whether a parked request has enough; asked after each change of one of its logs."""

    __slots__ = ("_by_log", "_fetch", "_size_bytes")

    def __init__(self, fetch: _Fetch, answers: Sequence[_Answer]) -> None:
        self._fetch = fetch
        self._by_log = {answer.log: answer for answer in answers}
        self._size_bytes = sum(answer.size_bytes for answer in answers)

    def __call__(self, log: PartitionLog) -> bool:
        answer = self._by_log[log]
        offset = answer.wanted.fetch_offset
        is_committed_only = self._fetch.is_committed_only
        up_to = log.last_stable_offset if is_committed_only else log.high_watermark
        if log.is_closed or not log.log_start_offset <= offset <= log.log_end_offset:
            return True
        if offset >= up_to:
            return False  # behind it, a reader of committed records waits for the transaction's end
        if self._fetch.min_bytes <= 1:
            return True
        try:
            found = log.read(offset, answer.wanted.max_bytes, up_to=up_to, at_least_one_batch=False)
        except KafkaError:
            return True  # the answer will tell
        self._size_bytes += found.size_bytes - answer.size_bytes
        answer.size_bytes = found.size_bytes
        return self._size_bytes >= self._fetch.min_bytes or _is_in_old_segment(answer)


async def _respond_later(
    fetch: _Fetch, session: FetchContext, answers: Sequence[_Answer], unknown: list[_Answer]
) -> FetchResponse:
    """Answer when there is enough or the time is over."""
    condition = _Condition(fetch, answers)
    logs = [answer.log for answer in answers if answer.log is not None]
    broker = fetch.context.broker
    max_wait_ms = fetch.request.max_wait_ms
    if broker.config.connections_max_idle_ms > 0:
        # Longer than this the connection does not live, and nobody would be there to answer.
        max_wait_ms = min(max_wait_ms, broker.config.connections_max_idle_ms)
    # This runs a turn of the loop after the read, and what was appended between woke nobody.
    if not any(map(condition, logs)):
        await broker.parked.wait(logs, max_wait_ms, condition)
    afresh = _read_all(fetch, [answer.wanted for answer in answers])
    result = _respond(fetch, session, afresh + unknown)
    return result if isinstance(result, FetchResponse) else await result


def _respond(
    fetch: _Fetch, session: FetchContext, answers: Sequence[_Answer]
) -> FetchResponse | Awaitable[FetchResponse]:
    """Build the answer, with the bytes of the records."""
    try:
        session_id, chosen = session.select(answers)
    except KafkaError as error:
        return FetchResponse(error_code=error.code, session_id=fetch.request.session_id)
    response = FetchResponse(session_id=session_id)
    topic: FetchableTopicResponse | None = None
    for answer in chosen:
        wanted = answer.wanted
        if answer.error_code:
            _explain(fetch, response, answer)
        # Partitions of one topic in a row share its entry, as in FetchResponse.of.
        if (
            topic is None
            or topic.topic_id != wanted.topic_id
            or topic.topic != (wanted.topic or "")
        ):
            topic = FetchableTopicResponse(
                topic=wanted.topic or "", topic_id=wanted.topic_id, partitions=[]
            )
            response.responses.append(topic)
        topic.partitions.append(answer)
    cold = _fill_in_cached(fetch.context.connection, chosen)
    return _read_cold(fetch, response, cold) if cold else response


def _fill_in_cached(connection: ConnectionInfo, answers: Iterable[_Answer]) -> list[_Answer]:
    """Fill in the records that are in the page cache; gives the answers of which they are not."""
    small: list[tuple[_Answer, FileSlice]] = []
    small_bytes = 0
    for answer in answers:
        found = answer.slice
        if found is None:
            continue
        if (
            found.size_bytes >= MIN_SENT_FROM_FILE_BYTES
            and connection.sends_files
            and found.is_cached
        ):
            # The codec asks for the length and passes it on to the connection, which sends it.
            answer.records = cast(Buffer, found)
        else:
            small.append((answer, found))
            small_bytes += found.size_bytes
    if not small:
        return []
    cold: list[_Answer] = []
    buffer = connection.response_buffer(small_bytes)
    position = 0
    for answer, found in small:
        records = buffer[position : position + found.size_bytes]
        position += found.size_bytes
        if found.read_cached(records):
            answer.records = records
        else:
            cold.append(answer)
    return cold


def _explain(fetch: _Fetch, response: FetchResponse, answer: _Answer) -> None:
    """Put an error into words that the client's version knows, and point it to the leader."""
    version = fetch.context.api_version
    wanted = answer.wanted
    if (
        answer.error_code == ErrorCode.KAFKA_STORAGE_ERROR
        and version <= LAST_VERSION_WITHOUT_STORAGE_ERROR
    ):
        answer.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
    if version < FIRST_VERSION_WITH_LEADER_HINT or wanted.topic is None:
        return
    if answer.error_code in (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH):
        leader: CurrentLeader = current_leader(fetch.context, wanted.topic, wanted.partition)
        answer.current_leader = LeaderIdAndEpoch(leader.leader_id, leader.leader_epoch)
        if leader.endpoint is not None:
            endpoint = NodeEndpoint(*leader.endpoint)
            if endpoint not in response.node_endpoints:
                response.node_endpoints.append(endpoint)


async def _read_cold(
    fetch: _Fetch, response: FetchResponse, cold: Sequence[_Answer]
) -> FetchResponse:
    """Fill in what has to come from the disk."""
    for answer in cold:
        try:
            await asyncio.to_thread(_read_from_disk, answer)
        except KafkaError as error:
            answer.error_code = error.code
            answer.high_watermark = answer.last_stable_offset = answer.log_start_offset = _NO_OFFSET
            answer.aborted_transactions = None
            _explain(fetch, response, answer)
    return response


def _read_from_disk(answer: _Answer) -> None:
    """Fill in the records, and the aborted transactions among them; in a worker thread.

    Raises:
        KafkaError: See `FileSlice.read`.
    """
    assert answer.slice is not None
    answer.records = answer.slice.read()
    place = answer.slice.place
    if answer.aborted is not None and place is not None:
        answer.aborted_transactions = _aborted_transactions(
            answer.aborted, answer.wanted.fetch_offset, place, answer.high_watermark
        )
