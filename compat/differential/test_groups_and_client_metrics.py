"""Settings of groups and client metrics subscriptions, levels of loggers, and what is listed."""

from collections.abc import Sequence

from compat.differential.cases import case
from compat.differential.config_requests import (
    APPEND,
    CLIENT_METRICS,
    DELETE,
    GROUP,
    LOGGER,
    NODE,
    SET,
    SUBTRACT,
    TOPIC,
    a_change,
    describe,
    settle,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from pykbroker.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
)
from pykbroker.protocol.messages.list_config_resources import ListConfigResourcesRequest

Operation = tuple[str, int, str | None]


def alter(
    session: Session,
    version: int,
    kind: int,
    name: str,
    *operations: Operation,
    validate_only: bool = False,
) -> None:
    request = a_change((kind, name, operations), validate_only=validate_only)
    session.send(request, version)


@case(IncrementalAlterConfigsRequest)
def test_group(session: Session, version: int) -> None:
    name = session.name("g")
    alter(session, version, GROUP, name, ("consumer.session.timeout.ms", SET, "50000"))
    settle(session, GROUP, name, {"consumer.session.timeout.ms": "50000"})
    describe(session, (GROUP, name, None))
    alter(session, version, GROUP, name, ("consumer.session.timeout.ms", DELETE, None))
    settle(session, GROUP, name, {})


@case(ConsumerGroupHeartbeatRequest)
def test_a_groups_own_heartbeat_interval(session: Session, version: int) -> None:
    topic, name = session.name("unknown"), session.name("g")
    request = ConsumerGroupHeartbeatRequest(
        group_id=name,
        member_id="member",
        rebalance_timeout_ms=60_000,
        subscribed_topic_names=[topic],
        topic_partitions=[],
    )
    session.send(request, version)
    alter(session, 1, GROUP, name, ("consumer.heartbeat.interval.ms", SET, "7000"))
    settle(session, GROUP, name, {"consumer.heartbeat.interval.ms": "7000"})
    session.send(request, version)
    alter(session, 1, GROUP, name, ("consumer.heartbeat.interval.ms", DELETE, None))
    settle(session, GROUP, name, {})
    session.send(request, version)


@case(IncrementalAlterConfigsRequest)
def test_bad_groups(session: Session, version: int) -> None:
    name = session.name("g")
    for key, value in (
        ("consumer.session.timeout.ms", "1"),
        ("consumer.session.timeout.ms", "x"),
        ("consumer.session.timeout.ms", None),
        ("consumer.heartbeat.interval.ms", "1000000"),
        ("consumer.heartbeat.interval.ms", "45001"),
        ("share.auto.offset.reset", "nowhere"),
        ("share.isolation.level", "x"),
        ("share.record.lock.duration.ms", "1"),
        ("no.such.setting", "1"),
        ("retention.ms", "1"),
    ):
        alter(session, version, GROUP, name, (key, SET, value))
    alter(session, version, GROUP, "", ("consumer.session.timeout.ms", SET, "50000"))
    alter(session, version, GROUP, "", ("no.such.setting", SET, "1"))
    for operation in (APPEND, SUBTRACT):
        alter(session, version, GROUP, name, ("consumer.session.timeout.ms", operation, "1"))


@case(IncrementalAlterConfigsRequest)
def test_client_metrics(session: Session, version: int) -> None:
    name = session.name("m")
    changes = [("interval.ms", SET, "1000"), ("metrics", SET, "org.a,org.b")]
    alter(session, version, CLIENT_METRICS, name, *changes)
    settle(session, CLIENT_METRICS, name, {"interval.ms": "1000", "metrics": "org.a,org.b"})
    describe(session, (CLIENT_METRICS, name, None), (CLIENT_METRICS, name, ["interval.ms"]))
    deletions = [("interval.ms", DELETE, None), ("metrics", DELETE, None)]
    alter(session, version, CLIENT_METRICS, name, *deletions)
    settle(session, CLIENT_METRICS, name, {})


@case(IncrementalAlterConfigsRequest)
def test_bad_client_metrics(session: Session, version: int) -> None:
    name = session.name("m")
    for key, value in (
        ("interval.ms", "99"),
        ("interval.ms", "3600001"),
        ("interval.ms", "x"),
        ("interval.ms", None),
        ("match", "client_id"),
        ("match", "nothing=x"),
        ("match", "client_id=[a"),
        ("no.such.setting", "1"),
    ):
        alter(session, version, CLIENT_METRICS, name, (key, SET, value))
    alter(session, version, CLIENT_METRICS, "", ("interval.ms", SET, "1000"))
    alter(session, version, CLIENT_METRICS, name, ("metrics", APPEND, "org.a"))


@case(IncrementalAlterConfigsRequest)
def test_loggers(session: Session, version: int) -> None:
    """The root is the one logger that both brokers have."""
    for change in (
        ("root", SET, "DEBUG"),
        ("root", SET, "LOUD"),
        ("root", SET, "debug"),
        ("root", SET, ""),
        ("root", SET, None),
        ("root", DELETE, None),
        ("root", APPEND, "INFO"),
        ("root", SUBTRACT, "INFO"),
        ("no.such.logger", SET, "INFO"),
        ("no.such.logger", DELETE, None),
    ):
        alter(session, version, LOGGER, NODE, change, validate_only=True)
    alter(session, version, LOGGER, NODE, ("root", SET, "INFO"), ("root", SET, "WARN"))
    for name in ("", "7", "x"):
        alter(session, version, LOGGER, name, ("root", SET, "INFO"), validate_only=True)


def listed(session: Session, version: int, *kinds: int, own: bool = True) -> None:
    """Compare what is listed, of the names of this case alone if `own`."""
    request = ListConfigResourcesRequest(resource_types=list(kinds))
    answer = session.ask(request, version)
    prefix = session.name("")
    found: Sequence[tuple[int, str]] = sorted(
        (each.resource_type, each.resource_name)
        for each in answer.config_resources
        if not own or each.resource_name.startswith(prefix)
    )
    session.note(f"listed {kinds}", [answer.error_code, *found])


@case(ListConfigResourcesRequest)
def test_list(session: Session, version: int) -> None:
    name = session.create_topic("x")
    alter(session, 1, GROUP, name, ("consumer.session.timeout.ms", SET, "50000"))
    alter(session, 1, CLIENT_METRICS, name, ("interval.ms", SET, "1000"))
    settle(session, GROUP, name, {"consumer.session.timeout.ms": "50000"})
    settle(session, CLIENT_METRICS, name, {"interval.ms": "1000"})
    listed(session, version)
    if version == 0:
        return
    listed(session, version, LOGGER, own=False)
    listed(session, version, 4, own=False)
    for kind in (TOPIC, GROUP, CLIENT_METRICS):
        listed(session, version, kind)
    listed(session, version, TOPIC, GROUP, TOPIC)


@case(ListConfigResourcesRequest, versions=(1,))
def test_unknown_types(session: Session, version: int) -> None:
    for kinds in ((0,), (1,), (3,), (99,), (-1,), (TOPIC, 99)):
        session.send(ListConfigResourcesRequest(resource_types=list(kinds)), version)


@case(ListConfigResourcesRequest)
def test_settings_that_are_gone(session: Session, version: int) -> None:
    name = session.name("x")
    alter(session, 1, GROUP, name, ("consumer.session.timeout.ms", SET, "50000"))
    alter(session, 1, CLIENT_METRICS, name, ("interval.ms", SET, "1000"))
    alter(session, 1, GROUP, name, ("consumer.session.timeout.ms", DELETE, None))
    alter(session, 1, CLIENT_METRICS, name, ("interval.ms", DELETE, None))
    settle(session, GROUP, name, {})
    settle(session, CLIENT_METRICS, name, {})
    listed(session, version)
