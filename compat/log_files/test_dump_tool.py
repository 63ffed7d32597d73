"""Kafka's own tool reads every file of ours without a complaint."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.log_files import clients, traffic
from compat.log_files.conftest import DataCopy
from compat.log_files.tool import DumpError, DumpTool, files_of
from compat.targets import TargetUnavailable
from pykbroker.clock import SystemClock
from pykbroker.config.topic import TopicConfig
from pykbroker.protocol.messages.transaction_log_record import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)
from pykbroker.protocol.record_batch import RecordBatch, build_batch
from pykbroker.protocol.records import Record
from pykbroker.storage.log_manager import LogManager
from pykbroker.storage.partition_log import PartitionLog
from pykbroker.storage.producer_state import AppendOrigin

ABORT, COMMIT = 0, 1
# As the coordinator writes them.
EMPTY, ONGOING = "0", "1"
COMMITTED, ABORTED = (ONGOING, "2", "4"), (ONGOING, "3", "5")
TRANSACTION_STATES = range(7)
TOPIC_ID = bytes(range(16))
CONFIG = TopicConfig(segment_bytes=4000, index_interval_bytes=300)


@pytest.fixture(scope="module")
def tool() -> Iterator[DumpTool]:
    try:
        started = DumpTool()
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    yield started
    started.close()


@pytest.mark.parametrize("end", ["clean", "killed"])
def test_logs_indexes_and_snapshots_are_as_they_should_be(
    tool: DumpTool, our_data: dict[str, DataCopy], end: str
) -> None:
    data = our_data[end]
    logs = files_of(data.path, ".log")
    batches = sum(len(written) for written in data.batches.values())
    records = sum(batch.record_count for written in data.batches.values() for batch in written)
    ours = [path for path in logs if path.parent.name.startswith("same.")]
    lines = tool.dump(ours, "--deep-iteration", "--print-data-log")
    assert sum("isvalid: true" in line for line in lines) == batches
    assert sum(line.startswith("| offset: ") for line in lines) == records

    indexes = files_of(data.path, ".index", ".timeindex")
    tool.dump(indexes, "--verify-index-only")
    tool.dump([path for path in indexes if path.stat().st_size], "--index-sanity-check")
    snapshots = tool.dump(files_of(data.path, ".snapshot"))
    assert sum(line.startswith("producerId: ") for line in snapshots) >= 6


def test_the_records_of_groups_are_decoded(tool: DumpTool, our_data: dict[str, DataCopy]) -> None:
    data = our_data["clean"]
    logs = [
        p for p in files_of(data.path, ".log") if p.parent.name.startswith("__consumer_offsets")
    ]
    text = "\n".join(tool.dump(logs, "--deep-iteration", "--offsets-decoder"))

    for group in clients.GROUPS:
        assert f'"group":"{group}","topic":"{traffic.PLAIN}","partition":0' in text
        assert f'"metadata":"by {group}' in text  # the client appends a NUL
        assert f'"type":"2","data":{{"group":"{group}"}}' in text
    assert text.count('"protocolType":"consumer"') >= len(clients.GROUPS)


@pytest.mark.parametrize("end", ["clean", "killed"])
def test_what_our_coordinator_has_written_is_decoded(
    tool: DumpTool, our_data: dict[str, DataCopy], end: str
) -> None:
    data = our_data[end]
    logs = [
        p for p in files_of(data.path, ".log") if p.parent.name.startswith("__transaction_state")
    ]
    lines = tool.dump(logs, "--deep-iteration", "--transaction-log-decoder")

    def statuses(name: str) -> list[str]:
        found = [line for line in lines if f'"transactionalId":"{name}"' in line]
        return [line.partition('"transactionStatus":')[2].partition(",")[0] for line in found]

    assert sum("isvalid: true" in line for line in lines) >= len(statuses("ended"))
    # Empty, then ongoing, prepared and complete for each commit and abort.
    assert statuses("ended") == [EMPTY, *COMMITTED, *ABORTED, *COMMITTED, *ABORTED]
    assert statuses("open") == [EMPTY, ONGOING]


@pytest.mark.parametrize("end", ["clean", "killed"])
def test_what_our_transactions_have_left_is_told_from_their_files(
    tool: DumpTool, our_data: dict[str, DataCopy], end: str
) -> None:
    data = our_data[end]
    own = [
        path
        for path in files_of(data.path, ".log", ".txnindex", ".snapshot")
        if path.parent.name == f"{clients.TRANSACTIONS}-0"
    ]
    lines = tool.dump(own, "--deep-iteration")
    assert sum("endTxnMarker: COMMIT coordinatorEpoch: 0" in line for line in lines) == 2
    assert sum("endTxnMarker: ABORT coordinatorEpoch: 0" in line for line in lines) == 2
    # The last one has ended before the open one began.
    assert sum(line.startswith("version: 0 producerId: ") for line in lines) == 2
    if end == "clean":
        last = max(path for path in own if path.suffix == ".snapshot")
        (still_open,) = (
            line for line in tool.dump([last]) if "currentTxnFirstOffset: OptionalLong[" in line
        )
        assert still_open.startswith("producerId: ")
    tool.dump(
        [
            path
            for path in files_of(data.path, ".index", ".timeindex")
            if path.parent.name == f"{clients.TRANSACTIONS}-0"
        ],
        "--verify-index-only",
    )


@pytest.fixture
def transactions(tmp_path: Path) -> LogManager:
    """Logs as a transaction coordinator writes them: both topics, nothing closed yet."""
    manager = LogManager([tmp_path / "data"], clock=SystemClock(), node_id=1)
    manager.open("MkU3OEVBNTcwNTJENDM2Qg", lambda _: CONFIG)
    return manager


def test_transactions_are_told_from_their_files(tool: DumpTool, transactions: LogManager) -> None:
    log = transactions.create("t", TOPIC_ID, 0, CONFIG)
    first = {producer_id: _open(log, producer_id) for producer_id in range(1, 5)}
    ends = {1: _end(log, 1, ABORT), 2: _end(log, 2, COMMIT), 3: _end(log, 3, ABORT)}
    transactions.close()

    lines = tool.dump(
        files_of(log.path.parent, ".log", ".txnindex", ".snapshot"), "--deep-iteration"
    )

    assert [line for line in lines if line.startswith("version: 0")] == [
        f"version: 0 producerId: {producer_id} firstOffset: {first[producer_id]} "
        f"lastOffset: {ends[producer_id]} lastStableOffset: {stable}"
        for producer_id, stable in ((1, first[2]), (3, first[4]))
    ]
    assert sum("endTxnMarker: ABORT coordinatorEpoch: 7" in line for line in lines) == 2
    assert sum("endTxnMarker: COMMIT coordinatorEpoch: 7" in line for line in lines) == 1
    at_the_end = lines[-4:]
    assert f"currentTxnFirstOffset: OptionalLong[{first[4]}] " in at_the_end[3]
    assert all("currentTxnFirstOffset: OptionalLong.empty " in line for line in at_the_end[:3])
    tool.dump(files_of(log.path.parent, ".index", ".timeindex"), "--verify-index-only")


def _open(log: PartitionLog, producer_id: int) -> int:
    """Write a transaction's batches; gives its first offset."""
    first = log.log_end_offset
    for number in range(20):
        records = [Record(0, traffic.now_ms(), None, b"value %d" % number * 10)]
        data = build_batch(
            records,
            producer_id=producer_id,
            producer_epoch=3,
            base_sequence=number,
            is_transactional=True,
        )
        log.append(RecordBatch.parse(data), traffic.now_ms())
    return first


def _end(log: PartitionLog, producer_id: int, kind: int) -> int:
    """Write a transaction's marker; gives its offset."""
    key = b"\0\0" + kind.to_bytes(2, "big")
    value = b"\0\0" + (7).to_bytes(4, "big")
    data = build_batch(
        [Record(0, traffic.now_ms(), key, value)],
        producer_id=producer_id,
        producer_epoch=3,
        is_transactional=True,
        is_control=True,
    )
    batch = RecordBatch.parse(data)
    return log.append(batch, traffic.now_ms(), origin=AppendOrigin.COORDINATOR).last_offset


@pytest.mark.parametrize("version", [0, 1])
def test_the_log_of_transactions_is_decoded(
    tool: DumpTool, transactions: LogManager, version: int
) -> None:
    log = transactions.create("__transaction_state", TOPIC_ID, 0, CONFIG)
    for state in TRANSACTION_STATES:
        key = TransactionLogKey(transactional_id=f"id-{state}")
        value = TransactionLogValue(
            producer_id=40 + state,
            producer_epoch=1,
            transaction_timeout_ms=60_000,
            transaction_status=state,
            transaction_partitions=[PartitionsSchema("t", [0, 1])] if state == 1 else None,
            transaction_last_update_timestamp_ms=traffic.now_ms(),
            transaction_start_timestamp_ms=traffic.now_ms(),
        )
        record = Record(0, traffic.now_ms(), _versioned(0, key), _versioned(version, value))
        log.append_records([record], traffic.now_ms())
    log.append_records(
        [Record(0, traffic.now_ms(), _versioned(0, TransactionLogKey("id-0")), None)],
        traffic.now_ms(),
    )
    transactions.close()

    lines = tool.dump(
        files_of(log.path.parent, ".log"), "--deep-iteration", "--transaction-log-decoder"
    )

    for state in TRANSACTION_STATES:
        (line,) = (entry for entry in lines if f'"producerId":{40 + state}' in entry)
        assert f'"transactionalId":"id-{state}"' in line
        assert f'"transactionStatus":{state}' in line
    assert sum('"transactionalId":"id-0"' in line for line in lines) == 2


def _versioned(version: int, message: TransactionLogKey | TransactionLogValue) -> bytes:
    return version.to_bytes(2, "big") + b"".join(bytes(part) for part in message.encode(version))


def test_the_tool_does_complain(
    tool: DumpTool, our_data: dict[str, DataCopy], tmp_path: Path
) -> None:
    (source,) = (
        path
        for path in files_of(our_data["clean"].path, ".log")
        if path.parent.name == f"{traffic.PLAIN}-0" and path.stem == "0" * 20
    )
    damaged = tmp_path / source.name
    data = bytearray(source.read_bytes())
    data[80] ^= 1
    damaged.write_bytes(data)

    with pytest.raises(DumpError):
        tool.dump([damaged], "--deep-iteration")
