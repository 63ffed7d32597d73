"""Workers that copy a topic while they and the broker are killed: each record comes out once."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from random import Random

import pytest

pytest.importorskip("confluent_kafka")

from compat.bench.machine import create_topic
from compat.processes import eventually
from compat.runtimes import require
from compat.single_requests import a_batch, produce
from compat.targets import Target
from compat.transactions.committed import Read, read_committed
from compat.transactions.crew import Crew, in_java, in_python
from pykbroker.client import Connection

PARTITIONS = 4
WORKERS = ["p", "q", "r"]
JAVA_WORKERS = WORKERS[:2]
ROUNDS = {"pykbroker": 12, "kafka": 6}
BROKER_DIES_EVERY = 3
RECORDS_A_ROUND = 400
END_SECONDS = 120.0


@pytest.mark.parametrize("client", ["librdkafka", "java"])
def test_each_record_comes_out_once(
    client: str, fresh_broker: Target, name: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    chance = Random(request.config.getoption("--seed"))
    rounds = request.config.getoption("--rounds") or ROUNDS[fresh_broker.name]
    source, target = name("in"), name("out")
    for topic in (source, target):
        create_topic(fresh_broker.address, topic, PARTITIONS)
    arguments = ("worker", fresh_broker.address, source, target, name("group"))
    if client == "java":
        require("javac")
        crew = Crew(in_java(*arguments), JAVA_WORKERS)
    else:
        crew = Crew(in_python(*arguments), WORKERS)
    sent: list[bytes] = []
    with closing(crew):
        for number in range(rounds):
            sent += _send(fresh_broker, source, number)
            crew.await_progress("copied", chance.randrange(1, 5))
            if number % BROKER_DIES_EVERY == BROKER_DIES_EVERY - 1:
                fresh_broker.kill()
                fresh_broker.restart()
            else:
                crew.kill(chance.choice(crew.names))

        def is_all_there() -> bool:
            crew.take_in()
            return len(_copied(fresh_broker, target)) >= len(sent)

        eventually(is_all_there, seconds=END_SECONDS, what="the last copy")
        crew.finish()

    copies = _copied(fresh_broker, target)
    places = Counter(read.value.rpartition(b":")[0] for read in copies)
    assert [place for place, count in places.items() if count > 1] == []
    assert Counter(read.value.rpartition(b":")[2] for read in copies) == Counter(
        value.upper() for value in sent
    )
    print(f"{rounds} rounds: {len(sent)} records, {crew.restarts} workers had to begin anew")


def _send(broker: Target, topic: str, number: int) -> list[bytes]:
    """Produce a round's records, some to each partition; gives their values."""
    connection = Connection(broker.host, broker.port)
    values = []
    with closing(connection):
        for partition in range(PARTITIONS):
            own = [
                b"r%d-%d-%d" % (number, partition, each)
                for each in range(RECORDS_A_ROUND // PARTITIONS)
            ]
            (answer,) = produce(connection, topic, a_batch(own), partitions=[partition])
            assert answer.error_code == 0, answer
            values += own
    return values


def _copied(broker: Target, topic: str) -> list[Read]:
    connection = Connection(broker.host, broker.port)
    with closing(connection):
        return [
            read
            for partition in range(PARTITIONS)
            for read in read_committed(connection, topic, partition)[0]
        ]
