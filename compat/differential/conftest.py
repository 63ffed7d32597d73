"""Starts both brokers, once for all cases."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from compat.differential.cases import Pair
from compat.differential.session import Session
from compat.processes import eventually
from compat.targets import KafkaTarget, Target, TargetUnavailable
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest

SETTINGS = {
    "node.id": "1",
    "offsets.topic.num.partitions": "3",
}


@pytest.fixture(scope="session")
def pair(target_class: type[Target]) -> Iterator[Pair]:
    """The broker of `--target` and Apache Kafka; against itself, Kafka must not differ at all."""
    try:
        kafka = KafkaTarget(SETTINGS)
        other = target_class(SETTINGS)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with ExitStack() as stack:
        for broker in (kafka, other):
            stack.callback(broker.close)
            broker.begin()
        for broker in (kafka, other):
            broker.await_listening()
            _await_coordinator(broker)
        if isinstance(other, KafkaTarget):
            yield Pair(other, kafka, differences=())
        else:
            yield Pair(other, kafka)


def _await_coordinator(broker: Target) -> None:
    """Have the topic of committed offsets made, so that no case meets its making."""
    session = Session(broker, "coordinator", now_ms=0)
    request = FindCoordinatorRequest(coordinator_keys=["any"])
    eventually(
        lambda: session.ask(request, 4).coordinators[0].error_code == 0,
        what="the coordinator of groups",
    )
    session.close()
