"""Transfers between accounts while tellers and the broker are killed: no money comes or goes."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from random import Random

import pytest

pytest.importorskip("confluent_kafka")

from compat.bench.machine import create_topic
from compat.processes import eventually
from compat.runtimes import require
from compat.targets import Target
from compat.transactions.auditor import Auditor
from compat.transactions.committed import Read, fetch_committed, read_committed
from compat.transactions.crew import Crew, in_java, in_python
from pykbroker.client import Connection

PARTITIONS = 4
TELLERS = ["a", "b", "c"]
JAVA_TELLERS = TELLERS[:2]
ROUNDS = {"pykbroker": 24, "kafka": 8}
BROKER_DIES_EVERY = 3
SOME_BYTES = 10_000
SMALL_SEGMENTS = {"internal.segment.bytes": "100000"}
END_SECONDS = 60.0

Books = dict[int, list[Read]]
"""The committed records of each partition."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One record of a transfer."""

    transfer: str
    legs: int
    account: int
    delta: int

    @classmethod
    def of(cls, read: Read) -> "Leg":
        transfer, legs, account, delta = read.value.decode().split(":")
        return cls(transfer, int(legs), int(account), int(delta))


@pytest.mark.parametrize("client", ["librdkafka", "java"])
def test_no_money_comes_or_goes(
    client: str, fresh_broker: Target, name: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    chance = Random(request.config.getoption("--seed"))
    rounds = request.config.getoption("--rounds") or ROUNDS[fresh_broker.name]
    topic = name("transfers")
    create_topic(fresh_broker.address, topic, PARTITIONS, **SMALL_SEGMENTS)
    arguments = ("teller", fresh_broker.address, topic, str(PARTITIONS))
    if client == "java":
        require("javac")
        crew = Crew(in_java(*arguments), JAVA_TELLERS)
    else:
        crew = Crew(in_python(*arguments), TELLERS)
    auditor = Auditor(fresh_broker.address, topic, PARTITIONS)
    with closing(crew):
        crew.await_progress("committed", len(crew.names))
        for number in range(rounds):
            crew.await_progress("committed", chance.randrange(1, 12))
            if number % BROKER_DIES_EVERY == BROKER_DIES_EVERY - 1:
                fresh_broker.kill()
                if chance.random() < 0.5:
                    crew.kill(chance.choice(crew.names))
                fresh_broker.restart()
            else:
                crew.kill(chance.choice(crew.names))
        crew.await_progress("committed", 3)
        crew.finish()

    books = _closed_books(fresh_broker, topic)
    _check_transfers(crew, books)
    _check_sums(fresh_broker, topic, books)
    eventually(
        lambda: [len(auditor.seen[each]) for each in books] >= [len(b) for b in books.values()],
        seconds=END_SECONDS,
        what="the auditor at the end of the books",
    )
    auditor.finish()
    assert auditor.seen == books
    print(
        f"{rounds} rounds: {crew.count('committed')} committed, {crew.count('aborted')} aborted, "
        f"{crew.count('began')} begun, {crew.restarts} producers had to begin anew"
    )


def _closed_books(broker: Target, topic: str) -> Books:
    """All committed records, once no transaction is open any more."""
    connection = Connection(broker.host, broker.port)
    with closing(connection):

        def is_closed() -> bool:
            stretches = [fetch_committed(connection, topic, each, 0) for each in range(PARTITIONS)]
            return all(each.stable_offset == each.end_offset for each in stretches)

        eventually(is_closed, seconds=END_SECONDS, what="the end of all transactions")
        return {each: read_committed(connection, topic, each)[0] for each in range(PARTITIONS)}


def _check_sums(broker: Target, topic: str, books: Books) -> None:
    """From whichever offset one begins: what was before and what comes are all the money."""
    assert sum(Leg.of(read).delta for reads in books.values() for read in reads) == 0
    connection = Connection(broker.host, broker.port)
    with closing(connection):
        for partition, reads in books.items():
            total = sum(Leg.of(read).delta for read in reads)
            before, position = 0, 0
            for offset in _offsets(connection, topic, partition):
                while position < len(reads) and reads[position].offset < offset:
                    before += Leg.of(reads[position]).delta
                    position += 1
                stretch = fetch_committed(connection, topic, partition, offset, SOME_BYTES)
                after = reads[position : position + len(stretch.records)]
                assert stretch.records == after, f"partition {partition} from {offset}"
                rest = sum(Leg.of(read).delta for read in reads[position:])
                assert before + rest == total


def _offsets(connection: Connection, topic: str, partition: int) -> Iterator[int]:
    yield from range(fetch_committed(connection, topic, partition, 0, 1).end_offset)


def _check_transfers(crew: Crew, books: Books) -> None:
    """All legs of a transfer or none, once; and what the tellers were told is so."""
    legs = [Leg.of(read) for reads in books.values() for read in reads]
    times = Counter((leg.transfer, leg.account) for leg in legs)
    assert [leg for leg, count in times.items() if count > 1] == []
    found: dict[str, list[Leg]] = {}
    for leg in legs:
        found.setdefault(leg.transfer, []).append(leg)
    torn = [each for each, own in found.items() if len(own) != own[0].legs]
    assert torn == []
    assert [each for each, own in found.items() if sum(leg.delta for leg in own)] == []

    def told(key: str) -> set[str]:
        return {each[key] for each in crew.said if key in each}

    assert told("committed") - found.keys() == set(), "committed, and not there"
    assert told("aborted") & found.keys() == set(), "aborted, and there"
    assert found.keys() - told("began") == set()
