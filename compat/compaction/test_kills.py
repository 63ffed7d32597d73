"""SIGKILL while a compaction runs: of the broker, and of the process that compacts alone.

How Apache Kafka does it inside is not looked at: these tests are of pykbroker.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("confluent_kafka")

from compat.compaction.client import Kept, Log, Sent, is_clean, new_topic
from compat.compaction.conftest import SETTINGS
from compat.processes import eventually
from compat.targets import PykbrokerTarget, Target

ROUNDS = 6
KEYS = 40
VALUE_BYTES = 500
RECORDS = 400
LONGEST_WAIT_S = 0.6
MOST_KILLS = 10
# About a second for what is written in a round.
BYTES_PER_SECOND = 500_000
WORKER = "pykbroker.storage.compaction_worker"


@pytest.fixture
def slow_broker(target_class: type[Target]) -> Iterator[Target]:
    """A broker whose compactions take so long that a kill hits them."""
    if target_class is not PykbrokerTarget:
        pytest.skip("looks at how pykbroker does it")
    throttled = {"log.cleaner.io.max.bytes.per.second": str(BYTES_PER_SECOND)}
    with PykbrokerTarget({**SETTINGS, **throttled}) as target:
        yield target


def worker_of(broker: Target) -> int:
    """Wait for the process that compacts."""
    return eventually(lambda: next(iter(_workers(broker.pid)), None), what="a compaction")


def _workers(broker_pid: int) -> Iterator[int]:
    """The processes that compact for a broker, also after its end."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            arguments = path.read_text().split("\0")
            if WORKER in arguments and str(broker_pid) in arguments:
                yield int(path.parent.name)


def _await_end(worker: int, broker_pid: int) -> None:
    eventually(lambda: worker not in _workers(broker_pid), seconds=10, what="the worker's end")


def write(log: Log, random: Random, sent: dict[int, Sent]) -> None:
    """Write some segments, and remember what is at which offset."""
    records = [
        Sent(b"key-%d" % random.randrange(KEYS), random.randbytes(VALUE_BYTES))
        for _ in range(RECORDS)
    ]
    offsets = log.produce(records, batch_num_messages=20)
    sent |= zip(offsets, records, strict=True)
    log.close_segment()


def check(log: Log, sent: dict[int, Sent]) -> list[Kept]:
    """Everything that is there was written there, and no last value of a key is missing."""
    found = log.records()
    offsets = [each.offset for each in found]
    assert offsets == sorted(set(offsets)), "an offset is there twice, or out of order"
    for each in found:
        assert (each.key, each.value) == sent[each.offset][:2], f"offset {each.offset}"
    last = {record.key: offset for offset, record in sorted(sent.items())}
    missing = set(last.values()) - set(offsets)
    assert not missing, f"last values are lost: {sorted(missing)}"
    return found


def left_over(log: Log) -> list[str]:
    """Files that only a compaction or its crash leaves."""
    directory = log.broker.data_dir / f"{log.topic}-{log.partition}"
    return sorted(path.name for path in directory.iterdir() if path.suffix in (".cleaned", ".swap"))


def test_killed_brokers_lose_nothing_and_leave_no_process(
    slow_broker: Target, request: pytest.FixtureRequest
) -> None:
    random = Random(request.config.getoption("--seed"))
    rounds = request.config.getoption("--rounds") or ROUNDS
    (log,) = new_topic(slow_broker, "compacted")
    sent: dict[int, Sent] = {}
    interrupted = 0
    for number in range(rounds):
        write(log, random, sent)
        broker_pid, worker = slow_broker.pid, worker_of(slow_broker)
        if number % 2:  # else it may not have come so far
            eventually(lambda: left_over(log), what="a cleaned segment")
        else:
            time.sleep(random.uniform(0.0, LONGEST_WAIT_S))
        slow_broker.kill()
        _await_end(worker, broker_pid)
        interrupted += bool(left_over(log))
        slow_broker.settings["log.cleaner.enable"] = "false"  # or it would begin to write again
        slow_broker.restart()
        assert not left_over(log)
        check(log, sent)
        slow_broker.stop()
        del slow_broker.settings["log.cleaner.enable"]
        slow_broker.restart()
    slow_broker.stop()
    del slow_broker.settings["log.cleaner.io.max.bytes.per.second"]
    slow_broker.restart()
    log.until(is_clean)
    check(log, sent)
    print(f"{interrupted} of {rounds} kills have left files of a compaction")
    assert interrupted


def test_a_killed_worker_is_started_again(
    slow_broker: Target, request: pytest.FixtureRequest
) -> None:
    random = Random(request.config.getoption("--seed"))
    (log,) = new_topic(slow_broker, "compacted")
    sent: dict[int, Sent] = {}

    def has_complained() -> bool:
        lines = slow_broker.process.lines
        return any("log not cleaned" in line and "next_try=soon" in line for line in lines)

    for _ in range(MOST_KILLS):
        for _ in range(2):
            write(log, random, sent)
        first = worker_of(slow_broker)
        time.sleep(random.uniform(0.0, LONGEST_WAIT_S / 3))
        os.kill(first, signal.SIGKILL)
        _await_end(first, slow_broker.pid)

        check(log, sent)
        log.until(is_clean)
        check(log, sent)
        # The pads may still be in the works.
        eventually(lambda: not left_over(log), what="the end of the last pass")
        if has_complained():
            return
    raise AssertionError(f"none of {MOST_KILLS} kills came while the worker had work")
