"""Idempotent and transactional producers of a log, before and after a restart."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from pykbroker.protocol.errors import ErrorCode
from pykbroker.storage import log_search
from pykbroker.storage.partition_log import AppendResult, PartitionLog
from tests.harness.batches import NOW_MS, a_record
from tests.harness.logs import (
    BATCH_BYTES,
    FaultyFiles,
    a_log,
    append,
    crashed,
    error_code,
    reopened,
)


def of_producer(sequence: int, records: int = 1, **header: Any) -> dict[str, Any]:
    options = {"producer_id": 7, "producer_epoch": 0, "records": records}
    return {**options, "base_sequence": sequence, **header}


def append_marker(log: PartitionLog, **options: Any) -> AppendResult:
    fields = {"is_commit": True, "coordinator_epoch": 3, "now_ms": NOW_MS, **options}
    return log.append_marker(7, fields.pop("epoch", 0), **fields)


def test_a_retried_batch_is_answered_with_its_first_offsets(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    append(log, **of_producer(0, 3))
    append(log)

    again = append(log, **of_producer(0, 3))

    assert again == (0, 2, NOW_MS + 2, True)
    assert log.log_end_offset == 4
    assert error_code(lambda: append(log, **of_producer(9))) == (
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    )


@pytest.mark.parametrize("restart", [reopened, crashed])
@pytest.mark.parametrize("settings", [{}, {"segment_bytes": BATCH_BYTES * 3}])
def test_all_five_batches_are_known_after_a_restart(
    tmp_path: Path, restart: Any, settings: dict[str, Any]
) -> None:
    log = a_log(tmp_path, **settings)
    for number in range(7):
        append(log, **of_producer(2 * number, 2))
        append(log)

    log = restart(log)

    for number in range(2, 7):
        assert append(log, **of_producer(2 * number, 2))[:2] == (3 * number, 3 * number + 1)
    code = error_code(lambda: append(log, **of_producer(2, 2)))
    assert code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert append(log, **of_producer(14)).base_offset == 21


def test_history_is_looked_for_near_the_end_only(tmp_path: Path) -> None:
    log = a_log(tmp_path, segment_bytes=1_000_000)
    append(log, **of_producer(0))
    append(log, **of_producer(1))
    for _ in range(4):
        append(log, records=[a_record(value=bytes(600_000))])
    append(log, **of_producer(2))
    log = reopened(log)

    code = error_code(lambda: append(log, **of_producer(0)))

    assert code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_an_open_transaction_holds_the_last_stable_offset(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    append(log)
    append(log, **of_producer(0, 2, is_transactional=True))
    append(log)
    assert (log.last_stable_offset, log.high_watermark) == (1, 4)
    log = crashed(log)
    assert log.last_stable_offset == 1

    append_marker(log, is_commit=False)

    assert log.last_stable_offset == log.high_watermark == 5
    (aborted,) = log.segments[0].transaction_index.entries()
    assert (aborted.producer_id, aborted.first_offset, aborted.last_offset) == (7, 1, 4)
    assert aborted.last_stable_offset == 5
    log = crashed(log)
    assert list(log.segments[0].transaction_index.entries()) == [aborted]


def test_a_transaction_index_that_cannot_be_written_takes_the_directory_offline(
    tmp_path: Path,
) -> None:
    class NoTransactionIndex(FaultyFiles):
        def open(self, path: Path | str, *, create: bool = False) -> Any:
            if str(path).endswith(".txnindex"):
                raise OSError(errno.EIO, "injected")
            return super().open(path, create=create)

    log = a_log(tmp_path, files=NoTransactionIndex())
    append(log, **of_producer(0, is_transactional=True))

    append_marker(log, is_commit=False)

    assert log.is_offline
    log.close()
    assert len(list(a_log(tmp_path).segments[0].transaction_index.entries())) == 1


def test_a_marker_is_appended_as_any_batch_is(tmp_path: Path) -> None:
    moves: list[int] = []
    log = a_log(tmp_path, on_advance=lambda log: moves.append(log.last_stable_offset))
    append(log, **of_producer(0, is_transactional=True))
    assert log.has_open_transaction(7, 0)

    assert append_marker(log) == (1, 1, -1, False)

    assert moves == [0, 2], "readers of committed records are told"
    assert not log.has_open_transaction(7, 0)
    assert not log.segments[0].transaction_index.path.exists()
    (marker,) = log.read_batches(1, 2)
    assert (marker.partition_leader_epoch, marker.base_offset) == (log.leader_epoch, 1)
    assert marker.is_control
    assert marker.is_transactional


def test_a_stale_marker_is_refused(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    append(log, **of_producer(0, producer_epoch=4, is_transactional=True))

    older = error_code(lambda: append_marker(log, epoch=3))
    same = error_code(lambda: append_marker(log, epoch=4, transaction_version=2))

    assert older == same == ErrorCode.INVALID_PRODUCER_EPOCH
    assert log.log_end_offset == 1
    append_marker(log, epoch=5, transaction_version=2)
    assert log.last_stable_offset == 2
    code = error_code(lambda: append_marker(log, epoch=5, coordinator_epoch=2))
    assert code == ErrorCode.TRANSACTION_COORDINATOR_FENCED


def test_a_marker_has_the_time_of_the_topic(tmp_path: Path) -> None:
    log = a_log(tmp_path, message_timestamp_type="LogAppendTime")

    assert append_marker(log).log_append_time_ms == NOW_MS


def test_a_log_that_cannot_be_read_does_not_say_that_a_batch_is_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "injected")

    log = a_log(tmp_path)
    append(log, **of_producer(0))
    append(log, **of_producer(1))
    log = reopened(log)
    monkeypatch.setattr(log_search, "find_produced", fail)

    assert error_code(lambda: append(log, **of_producer(0))) == ErrorCode.KAFKA_STORAGE_ERROR
