"""AlterConfigs: the old request, which replaces all settings of a resource."""

from compat.differential.cases import case
from compat.differential.config_requests import (
    ANSWERS,
    BROKER,
    CLIENT_METRICS,
    GROUP,
    LOGGER,
    NODE,
    TOPIC,
    Replaced,
    a_replacement,
    describe,
    settle,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.alter_configs import AlterConfigsRequest


def alter(
    session: Session, version: int, *resources: Replaced, validate_only: bool = False
) -> None:
    request = a_replacement(*resources, validate_only=validate_only)
    session.send(request, version, sort=ANSWERS)


@case(AlterConfigsRequest)
def test_replace_all(session: Session, version: int) -> None:
    name = session.create_topic(configs={"retention.ms": "1000"})
    alter(session, version, (TOPIC, name, [("segment.ms", "7000")]))
    settle(session, TOPIC, name, {"segment.ms": "7000"})
    describe(session, (TOPIC, name, ["retention.ms", "segment.ms"]))
    alter(session, version, (TOPIC, name, []))
    settle(session, TOPIC, name, {})


@case(AlterConfigsRequest)
def test_bad_values(session: Session, version: int) -> None:
    name = session.create_topic(configs={"retention.ms": "1000"})
    for key, value in (
        ("no.such.setting", "1"),
        ("retention.ms", "x"),
        ("retention.ms", None),
        ("no.such.setting", None),
        ("cleanup.policy", "shred"),
        ("cleanup.policy", "compact,compact"),
    ):
        alter(session, version, (TOPIC, name, [(key, value)]), validate_only=True)
    settle(session, TOPIC, name, {"retention.ms": "1000"})


@case(AlterConfigsRequest)
def test_bad_resources(session: Session, version: int) -> None:
    change = [("retention.ms", "1")]
    for name in (session.name("unknown"), "", "a b", "__cluster_metadata"):
        alter(session, version, (TOPIC, name, change))
    for kind in (0, 1, 3, 99, -1):
        alter(session, version, (kind, "x", change))
    alter(session, version, (LOGGER, NODE, [("root", "INFO")]))
    for name in ("7", "x"):
        alter(session, version, (BROKER, name, [("log.retention.ms", "123456")]))


@case(AlterConfigsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    """Kafka never answers a resource that is there twice, so only a setting may be."""
    name = session.create_topic()
    change = [("retention.ms", "1"), ("retention.ms", "2")]
    alter(session, version, (TOPIC, name, change))
    settle(session, TOPIC, name, {})


@case(AlterConfigsRequest)
def test_good_and_bad_together(session: Session, version: int) -> None:
    first, second = session.create_topic("a"), session.create_topic("b")
    alter(
        session,
        version,
        (TOPIC, first, [("retention.ms", "9")]),
        (TOPIC, second, [("retention.ms", "x")]),
        (TOPIC, session.name("unknown"), []),
        (BROKER, "9", []),
    )
    alter(session, version)
    settle(session, TOPIC, first, {"retention.ms": "9"})


@case(AlterConfigsRequest)
def test_validate_only(session: Session, version: int) -> None:
    name = session.create_topic(configs={"retention.ms": "1000"})
    alter(session, version, (TOPIC, name, [("segment.ms", "7000")]), validate_only=True)
    alter(session, version, (TOPIC, name, []), validate_only=True)
    alter(session, version, (BROKER, NODE, [("num.partitions", "3")]), validate_only=True)
    settle(session, TOPIC, name, {"retention.ms": "1000"})


@case(AlterConfigsRequest)
def test_groups_and_client_metrics(session: Session, version: int) -> None:
    group, metrics = session.name("g"), session.name("m")
    alter(session, version, (GROUP, group, [("consumer.session.timeout.ms", "50000")]))
    alter(session, version, (CLIENT_METRICS, metrics, [("interval.ms", "1000")]))
    settle(session, GROUP, group, {"consumer.session.timeout.ms": "50000"})
    settle(session, CLIENT_METRICS, metrics, {"interval.ms": "1000"})
    describe(session, (GROUP, group, None))
    describe(session, (CLIENT_METRICS, metrics, None))
    alter(session, version, (GROUP, group, []), (CLIENT_METRICS, metrics, []))
    settle(session, GROUP, group, {})
    settle(session, CLIENT_METRICS, metrics, {})
    for kind in (GROUP, CLIENT_METRICS):
        alter(session, version, (kind, "", []))
        alter(session, version, (kind, group, [("no.such.setting", "1")]))


@case(AlterConfigsRequest)
def test_broker(session: Session, version: int) -> None:
    alter(session, version, (BROKER, NODE, [("log.retention.ms", "123456")]))
    settle(session, BROKER, NODE, {"log.retention.ms": "123456"})
    describe(session, (BROKER, NODE, ["log.retention.ms", "log.retention.hours"]))
    alter(session, version, (BROKER, NODE, []))
    settle(session, BROKER, NODE, {})
    for key, value in (
        ("num.partitions", "3"),
        ("log.retention.ms", "x"),
        ("listeners", "PLAINTEXT://:1"),
        ("log.retention.ms", None),
    ):
        alter(session, version, (BROKER, NODE, [(key, value)]), validate_only=True)
        alter(session, version, (BROKER, "", [(key, value)]), validate_only=True)
