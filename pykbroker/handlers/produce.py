"""Produce (API key 0), versions 3-13; 0-2 are advertised (KAFKA-18659) but close the connection.

v5 log start offset; v7 zstd (KIP-110); v8 record errors and message (KIP-467); v9 flexible; v10
current leader and node endpoints (KIP-951); v11, v12 transaction errors (KIP-890); v13 topic ids
(KIP-516).

Each partition takes one batch and has a result of its own; of a partition that is named twice the
last batch counts. Order of the checks per partition (KafkaApis.handleProduceRequest,
ReplicaManager.appendToLocalLog, Partition.appendRecordsToLeader): topic and partition exist, there
is one batch of today's format, acks is one of -1, 0 and 1, the topic is not internal, this broker
leads it, enough replicas are in sync, then the batch itself (`storage.validation`), then its
producer. A topic without partitions is not answered.

acks=1 is answered when the batch is in the page cache, acks=-1 when it is on the disk, and so is
acks=1 where `flush.messages` asks for a flush. acks=0 is never answered: an error closes the
connection, which is how such a client learns of it.

Before all that, a transaction's first batch for a partition needs the transaction coordinator's
consent, see `transaction_admission`. Transactional batches without a transactional id give
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, those of several producers INVALID_PRODUCER_ID_MAPPING, both
for the whole request.

`timeout_ms` limits the waiting for the disk; the batch stays in the log. A client that gives none
waits for the disk as long as it takes: Kafka flushes before it looks at the timeout.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from pykbroker.leadership import current_leader, led_log
from pykbroker.metadata.image import INTERNAL_TOPICS
from pykbroker.protocol.errors import CorruptBatchError, ErrorCode, KafkaError
from pykbroker.protocol.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from pykbroker.protocol.primitives import Buffer
from pykbroker.protocol.record_batch import CODEC_MASK, MAGIC, RecordBatch, iter_batches
from pykbroker.request_context import CloseConnection, RequestContext, WhenDurable
from pykbroker.storage.partition_log import AppendResult, PartitionLog
from pykbroker.storage.validation import (
    ImpossibleBatchError,
    InvalidBatchError,
    UndecompressedBatchError,
    find_only_batch,
    needs_decompression,
    validate_batch,
)
from pykbroker.transaction_admission import Admission, NotAdmittedError

FIRST_VERSION_WITH_LEADER_HINT: Final = 10  # KIP-951
FIRST_VERSION_WITH_TOPIC_IDS: Final = 13  # KIP-516

ACKS_NONE: Final = 0
ACKS_LEADER: Final = 1
ACKS_ALL: Final = -1
# The client id that may write to internal topics (Kafka's AdminUtils.ADMIN_CLIENT_ID).
ADMIN_CLIENT_ID: Final = "__admin_client"

# In a record batch: where the transactional bit is.
ATTRIBUTES_LOW_BYTE: Final = 22
TRANSACTIONAL_BIT: Final = 0x10

# From this size on, looking into a compressed batch takes longer than a hop to a thread and back.
THREAD_FROM_BYTES: Final = 64 * 1024
# A smaller batch is tried at once, and left to a thread when it decompresses to more than this.
MAX_INFLATED_AT_ONCE_BYTES: Final = 512 * 1024

_NO_LEADER: Final = LeaderIdAndEpoch()
_NO_OFFSET: Final = -1
# For these Kafka does not say where the log starts; nor does it when it never got to the log.
_CODES_WITHOUT_LOG_START: Final = frozenset(
    (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.RECORD_LIST_TOO_LARGE,
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.INVALID_REQUIRED_ACKS,
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    )
)

# What validation has found already, by partition.
Validated = Mapping[tuple[str, int], RecordBatch | KafkaError]
# Batches that the transaction coordinator does not consent to.
Refused = Mapping[tuple[str, int], KafkaError]
# An appended batch whose answer waits for the disk: its result, its log, the offset after it.
Undurable = tuple[PartitionProduceResponse, PartitionLog, int]


def handle(
    context: RequestContext, request: ProduceRequest
) -> ProduceResponse | Awaitable[ProduceResponse | None] | None:
    """Append the batches of the request.

    Raises:
        KafkaError: TRANSACTIONAL_ID_AUTHORIZATION_FAILED or INVALID_PRODUCER_ID_MAPPING for the
            whole request.
        CloseConnection: Something failed, and the client does not want an answer.
    """
    may_take_long = is_transactional = False
    for topic in request.topic_data:
        for data in topic.partition_data:
            records = data.records
            if records is None:
                continue
            # All that most batches are asked for is this byte and their size.
            attributes = records[ATTRIBUTES_LOW_BYTE] if len(records) > ATTRIBUTES_LOW_BYTE else 0
            if attributes & TRANSACTIONAL_BIT:
                is_transactional = True
            if attributes & CODEC_MASK or len(records) >= THREAD_FROM_BYTES:
                may_take_long = True
    admission = _admission(context, request) if is_transactional else None
    if may_take_long:
        return _produce_large(context, request, admission)
    if admission is None:
        return _produce(context, request, {}, {})
    return _produce_when_admitted(context, request, {}, admission)


def error_response(
    request: ProduceRequest, code: ErrorCode, message: str | None = None
) -> ProduceResponse:
    """Answer with the same error for every partition."""
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    PartitionProduceResponse(
                        index=data.index,
                        error_code=code,
                        base_offset=_NO_OFFSET,
                        error_message=None if message == code.message else message,
                    )
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )


def _admission(context: RequestContext, request: ProduceRequest) -> Admission | None:
    """Return what is to decide on the transactional batches; None if there are none.

    Raises:
        KafkaError: Of the whole request.
    """
    batches: dict[tuple[str, int], RecordBatch] = {}
    for _, name, partitions in _distinct(context, request):
        for data in partitions:
            for batch in _whole_batches(data.records or b"")[:1]:
                if not batch.is_transactional:
                    continue
                if request.transactional_id is None:
                    raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
                # Without a producer there is no transaction to look for, and Kafka appends it.
                if batch.has_producer_id and name is not None:
                    batches[name, data.index] = batch
    if not batches or request.transactional_id is None:
        return None
    return Admission(context.broker, request.transactional_id, context.api_version, batches)


def _whole_batches(records: Buffer) -> list[RecordBatch]:
    try:
        return list(iter_batches(records))
    except CorruptBatchError:
        return []


def _produce_when_admitted(
    context: RequestContext,
    request: ProduceRequest,
    validated: Validated,
    admission: Admission | None,
) -> ProduceResponse | Awaitable[ProduceResponse | None] | None:
    """Append everything once the transaction coordinator has consented."""
    if admission is None:
        return _produce(context, request, validated, {})
    waits = admission.look()
    if waits is None:
        return _produce(context, request, validated, admission.refused)
    return _produce_after(waits, context, request, validated, admission)


async def _produce_after(
    waits: Awaitable[None] | None,
    context: RequestContext,
    request: ProduceRequest,
    validated: Validated,
    admission: Admission,
) -> ProduceResponse | None:
    while waits is not None:
        try:
            await waits
        except KafkaError as error:
            admission.note_failure(error)
        waits = admission.look()
    result = _produce(context, request, validated, admission.refused)
    return await result if isinstance(result, Awaitable) else result


def _produce(
    context: RequestContext, request: ProduceRequest, validated: Validated, refused: Refused
) -> ProduceResponse | Awaitable[ProduceResponse | None] | None:
    """Append everything, and answer at once unless there is a disk to wait for."""
    now_ms = context.broker.clock.now_ms()
    response = ProduceResponse()
    undurable: list[Undurable] = []
    is_failed = False
    for topic, name, partitions in _distinct(context, request):
        results = []
        for data in partitions:
            log: PartitionLog | None = None
            try:
                if refused and name is not None:
                    _raise_refusal(refused, name, data)
                log = _writable_log(context, name, data, request)
                batch = _validated_batch(context, log, data, validated, now_ms)
                appended = log.append(batch, now_ms)
            except KafkaError as error:
                is_failed = True
                result = _failure(log, data, error)
                if error.code == ErrorCode.NOT_LEADER_OR_FOLLOWER and name is not None:
                    _point_to_leader(context, response, name, result)
            else:
                result = _success(log, data.index, appended)
                if request.acks == ACKS_ALL or log.is_flush_interval_over:
                    undurable.append((result, log, appended.last_offset + 1))
            results.append(result)
        if results:
            response.responses.append(
                TopicProduceResponse(
                    name=topic.name, topic_id=topic.topic_id, partition_responses=results
                )
            )
    if request.acks == ACKS_NONE:
        if is_failed:
            raise CloseConnection("a produce request with acks=0 has failed")
        return None
    if undurable:
        return _respond_when_durable(context, request, response, undurable)
    return response


def _raise_refusal(refused: Refused, topic: str, data: PartitionProduceData) -> None:
    refusal = refused.get((topic, data.index))
    if refusal is not None:
        raise refusal


def _distinct(
    context: RequestContext, request: ProduceRequest
) -> Iterable[tuple[TopicProduceData, str | None, Iterable[PartitionProduceData]]]:
    """Yield each topic with its name, if it is known, and its partitions, each of them once."""
    uses_ids = context.api_version >= FIRST_VERSION_WITH_TOPIC_IDS
    by_id = context.broker.metadata.image.topics_by_id
    topics = request.topic_data
    if len(topics) > 1 or (topics and len(topics[0].partition_data) > 1):
        topics = _merged(topics)
    for topic in topics:
        name: str | None = topic.name
        if uses_ids:
            known = by_id.get(topic.topic_id)
            name = None if known is None else known.name
        yield topic, name, topic.partition_data


def _merged(topics: Sequence[TopicProduceData]) -> list[TopicProduceData]:
    """Bring what belongs to one topic together; the last batch for a partition counts."""
    merged: dict[tuple[str, bytes], dict[int, PartitionProduceData]] = {}
    for topic in topics:
        partitions = merged.setdefault((topic.name, topic.topic_id), {})
        for data in topic.partition_data:
            partitions[data.index] = data
    return [
        TopicProduceData(name=name, topic_id=topic_id, partition_data=list(partitions.values()))
        for (name, topic_id), partitions in merged.items()
    ]


def _writable_log(
    context: RequestContext, name: str | None, data: PartitionProduceData, request: ProduceRequest
) -> PartitionLog:
    """Return the log to append to.

    Raises:
        KafkaError: The request may not write to it.
    """
    if name is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
    broker = context.broker
    partition = data.index
    known = broker.metadata.image.partition(name, partition)
    if known is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    acks = request.acks
    try:
        if acks not in (ACKS_ALL, ACKS_LEADER, ACKS_NONE):
            raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
        if name in INTERNAL_TOPICS and context.client_id != ADMIN_CLIENT_ID:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
        log = led_log(broker, name, partition)
        # A topic is not held to more replicas than it has (Partition.effectiveMinIsr).
        if acks == ACKS_ALL and len(known.isr) < min(
            log.config.min_insync_replicas, len(known.replicas)
        ):
            raise KafkaError(ErrorCode.NOT_ENOUGH_REPLICAS)
    except KafkaError:
        # That it is one batch at all comes before these, but is seldom worth a look of its own.
        find_only_batch(memoryview(_given(data)), context.api_version)
        raise
    return log


def _given(data: PartitionProduceData) -> Buffer:
    if data.records is None:
        raise KafkaError(ErrorCode.INVALID_RECORD, "there is no record batch")
    return data.records


def _validated_batch(
    context: RequestContext,
    log: PartitionLog,
    data: PartitionProduceData,
    validated: Validated,
    now_ms: int,
) -> RecordBatch:
    """Return the batch of a partition, checked.

    Raises:
        KafkaError: It may not be appended.
    """
    if validated:
        found = validated.get((log.topic, data.index))
        if isinstance(found, KafkaError):
            raise found
        if found is not None:
            return found
    return _validate(_given(data), log, now_ms, context.api_version)


def _validate(
    records: Buffer,
    log: PartitionLog,
    now_ms: int,
    api_version: int,
    max_inflated_bytes: int | None = None,
) -> RecordBatch:
    return validate_batch(
        memoryview(records),
        log.config,
        now_ms=now_ms,
        api_version=api_version,
        max_inflated_bytes=max_inflated_bytes,
    )


def _batch_or_error(
    records: Buffer,
    log: PartitionLog,
    now_ms: int,
    api_version: int,
    max_inflated_bytes: int | None = None,
) -> RecordBatch | KafkaError | None:
    """Validate a batch; None if it needs more than `max_inflated_bytes`, or seems to."""
    try:
        return _validate(records, log, now_ms, api_version, max_inflated_bytes)
    except KafkaError as error:
        # Compiled code knows no causes (`raise ... from`), but types.
        if max_inflated_bytes is not None and isinstance(error, UndecompressedBatchError):
            return None
        # Its stack and its cause's hold on to all that was decompressed.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def _produce_large(
    context: RequestContext, request: ProduceRequest, admission: Admission | None
) -> ProduceResponse | Awaitable[ProduceResponse | None] | None:
    """Find the batches that take long to look into, and leave them to threads."""
    now_ms = context.broker.clock.now_ms()
    slow: list[tuple[str, int, Buffer, PartitionLog]] = []
    validated: dict[tuple[str, int], RecordBatch | KafkaError] = {}
    for _, name, partitions in _distinct(context, request):
        for data in partitions:
            records = data.records
            if name is None or records is None:
                continue
            is_large = len(records) >= THREAD_FROM_BYTES
            is_compressed = needs_decompression(memoryview(records))
            if not is_large and not is_compressed:
                continue
            try:
                log = _writable_log(context, name, data, request)
            except KafkaError:
                continue  # it will be found again and answered
            if not is_large:
                found = _batch_or_error(
                    records, log, now_ms, context.api_version, MAX_INFLATED_AT_ONCE_BYTES
                )
                if found is not None:
                    validated[name, data.index] = found
                    continue
            elif not is_compressed and log.config.compression_type == "producer":
                continue
            slow.append((name, data.index, records, log))
    if slow:
        return _produce_with_threads(context, request, slow, validated, admission)
    return _produce_when_admitted(context, request, validated, admission)


async def _produce_with_threads(
    context: RequestContext,
    request: ProduceRequest,
    slow: Sequence[tuple[str, int, Buffer, PartitionLog]],
    validated: dict[tuple[str, int], RecordBatch | KafkaError],
    admission: Admission | None,
) -> ProduceResponse | None:
    now_ms = context.broker.clock.now_ms()
    for name, partition, records, log in slow:
        async with context.broker.decompressing:
            found = await asyncio.to_thread(
                _batch_or_error, records, log, now_ms, context.api_version
            )
        if found is not None:
            validated[name, partition] = found
    result = _produce_when_admitted(context, request, validated, admission)
    return await result if isinstance(result, Awaitable) else result


def _success(log: PartitionLog, index: int, appended: AppendResult) -> PartitionProduceResponse:
    return PartitionProduceResponse(
        index=index,
        base_offset=appended.base_offset,
        log_append_time_ms=appended.log_append_time_ms,
        log_start_offset=log.log_start_offset,
        current_leader=_NO_LEADER,
    )


def _failure(
    log: PartitionLog | None, data: PartitionProduceData, error: KafkaError
) -> PartitionProduceResponse:
    result = PartitionProduceResponse(
        index=data.index, error_code=error.code, base_offset=_NO_OFFSET
    )
    if log is not None and _is_about_the_log(data, error.code):
        result.log_start_offset = log.log_start_offset
    # Kafka explains only what is wrong with single records, or what made the whole request fail.
    # But whoever writes should not have to look into the broker's log to learn that its disk is
    # full.
    if error.code == ErrorCode.KAFKA_STORAGE_ERROR or isinstance(error, ImpossibleBatchError):
        result.error_message = error.message
    if isinstance(error, NotAdmittedError):
        result.error_message = error.explanation
    if isinstance(error, InvalidBatchError) and error.record_errors:
        result.error_message = error.message
        result.record_errors = [
            BatchIndexAndErrorMessage(batch_index=index, batch_index_error_message=message)
            for index, message in error.record_errors
        ]
    return result


def _is_about_the_log(data: PartitionProduceData, code: ErrorCode) -> bool:
    """Whether Kafka tells the log start offset along with an error."""
    if code in _CODES_WITHOUT_LOG_START:
        return False
    if code != ErrorCode.INVALID_RECORD:
        return True
    # Not exactly one batch of today's format: that is refused before the log is looked at.
    batches = _whole_batches(data.records or b"")
    return len(batches) == 1 and batches[0].magic == MAGIC


def _point_to_leader(
    context: RequestContext, response: ProduceResponse, name: str, result: PartitionProduceResponse
) -> None:
    if context.api_version < FIRST_VERSION_WITH_LEADER_HINT:
        return
    leader = current_leader(context, name, result.index)
    result.current_leader = LeaderIdAndEpoch(leader.leader_id, leader.leader_epoch)
    if leader.endpoint is not None:
        endpoint = NodeEndpoint(*leader.endpoint)
        if endpoint not in response.node_endpoints:
            response.node_endpoints.append(endpoint)


def _respond_when_durable(
    context: RequestContext,
    request: ProduceRequest,
    response: ProduceResponse,
    undurable: Sequence[Undurable],
) -> ProduceResponse | WhenDurable[ProduceResponse]:
    """Ask for the flushes; answer at once if there is nothing to wait for."""
    waits: list[tuple[PartitionProduceResponse, asyncio.Future[None]]] = []
    for result, log, end_offset in undurable:
        future = context.broker.durability.submit(log, end_offset)
        if future is not None:
            waits.append((result, future))
    if not waits:
        return response
    for topic in request.topic_data:
        for data in topic.partition_data:
            # What was received may be large; it must not stay for as long as the disk takes.
            data.records = None
    futures = [future for _, future in waits]
    timer = None
    if request.timeout_ms > 0:
        timer = context.broker.clock.call_later(request.timeout_ms, partial(_expire, futures))

    def answer() -> ProduceResponse:
        for result, future in waits:
            error = future.exception()
            if isinstance(error, KafkaError):
                result.error_code = error.code
                if error.code == ErrorCode.KAFKA_STORAGE_ERROR:
                    result.error_message = error.message
        return response

    return WhenDurable(futures, answer, timer)


def _expire(waits: Sequence[asyncio.Future[None]]) -> None:
    for future in waits:
        if not future.done():
            future.set_exception(KafkaError(ErrorCode.REQUEST_TIMED_OUT))
