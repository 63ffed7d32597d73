"""The two brokers that cases are played against, running."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from compat.differential.cases import Pair
from compat.differential.session import Session
from compat.processes import eventually
from compat.targets import KafkaTarget, Target, TargetUnavailable
from pykbroker.protocol.messages.describe_groups import DescribeGroupsRequest
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

GROUP, TRANSACTION = 0, 1

SETTINGS: Mapping[str, str] = {
    "node.id": "1",
    # A busy machine must not make Kafka give up its only broker.
    "broker.session.timeout.ms": "60000",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
}
MAX_FRAME_BYTES = 50_000
# What shows only when something is switched off, or limited.
OTHER_SETTINGS: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "broker.rack": "rack-7",
    "compression.type": "gzip",
    "delete.topic.enable": "false",
    "fetch.max.bytes": "1024",
    "group.consumer.max.size": "1",
    "group.consumer.migration.policy": "disabled",
    "group.max.size": "1",
    "log.message.timestamp.after.max.ms": "1000",
    "log.retention.minutes": "77",
    "log.roll.hours": "5",
    "max.incremental.fetch.session.cache.slots": "0",
    "max.request.partition.size.limit": "2",
    "message.max.bytes": "2000",
    "num.partitions": "3",
    "producer.id.expiration.ms": "86400000",
    "socket.request.max.bytes": str(MAX_FRAME_BYTES),
}
# A killed Kafka registers again only when its session has expired.
RESTARTED_SETTINGS: Mapping[str, str] = {"broker.session.timeout.ms": "6000"}
# Assignments without a pause, so that it is known with which heartbeat they come.
EAGER_SETTINGS: Mapping[str, str] = {"group.consumer.assignment.interval.ms": "0"}
# Transactions are ended, and their ids forgotten, within what a case can wait for.
SHORT_LIVED_SETTINGS: Mapping[str, str] = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "100",
    "transactional.id.expiration.ms": "5000",
}
# Groups enough to have one in every partition of the topic of committed offsets.
MANY_GROUPS = [f"group-{number}" for number in range(30)]


@contextmanager
def running_pair(
    target_class: type[Target],
    settings: Mapping[str, str] | None = None,
    *,
    key_types: Sequence[int] = (GROUP, TRANSACTION),
) -> Iterator[Pair]:
    """The broker of `--target` and Apache Kafka; against itself, Kafka must not differ at all.

    Args:
        target_class: What runs beside Apache Kafka.
        settings: Of both brokers, on top of SETTINGS.
        key_types: Of the coordinators that are there before the first case.
    """
    chosen = {**SETTINGS, **(settings or {})}
    try:
        kafka = KafkaTarget(chosen)
        other = target_class(chosen)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    with ExitStack() as stack:
        for broker in (kafka, other):
            stack.callback(broker.close)
            broker.begin()
        for broker in (kafka, other):
            broker.await_listening()
            await_coordinators(broker, key_types)
        if isinstance(other, KafkaTarget):
            yield Pair(other, kafka, differences=())
        else:
            yield Pair(other, kafka)


def await_coordinators(broker: Target, key_types: Sequence[int] = (GROUP, TRANSACTION)) -> None:
    """Have internal topics made, the coordinator of groups loaded, and producer ids at hand.

    No case is to meet their making or loading.
    """
    session = Session(broker, "coordinator", now_ms=0)
    for key_type in key_types:
        find = FindCoordinatorRequest(key_type=key_type, coordinator_keys=["any"])
        eventually(
            lambda: session.ask(find, 4).coordinators[0].error_code == 0,  # noqa: B023
            what="a coordinator",
        )
    init = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
    eventually(lambda: session.ask(init, 4).error_code == 0, what="a producer id")
    if GROUP in key_types:
        describe = DescribeGroupsRequest(groups=MANY_GROUPS)
        eventually(
            lambda: not any(group.error_code for group in session.ask(describe, 5).groups),
            what="every partition of the coordinator",
        )
    session.close()
