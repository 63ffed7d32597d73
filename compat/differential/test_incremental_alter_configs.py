"""IncrementalAlterConfigs of topics: set, delete, append, subtract."""

from compat.differential.cases import case
from compat.differential.config_requests import (
    ANSWERS,
    APPEND,
    BROKER,
    DELETE,
    NODE,
    SET,
    SUBTRACT,
    TOPIC,
    Changed,
    a_change,
    describe,
    settle,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
)

SEEN = ["retention.ms", "segment.ms", "cleanup.policy"]


def alter(session: Session, version: int, *resources: Changed, validate_only: bool = False) -> None:
    request = a_change(*resources, validate_only=validate_only)
    session.send(request, version, sort=ANSWERS)


@case(IncrementalAlterConfigsRequest)
def test_set_and_delete(session: Session, version: int) -> None:
    name = session.create_topic(configs={"retention.ms": "1000"})
    alter(
        session,
        version,
        (TOPIC, name, [("retention.ms", SET, "5000"), ("cleanup.policy", SET, "compact")]),
    )
    settle(session, TOPIC, name, {"retention.ms": "5000", "cleanup.policy": "compact"})
    describe(session, (TOPIC, name, SEEN))
    alter(session, version, (TOPIC, name, [("retention.ms", DELETE, None)]))
    alter(session, version, (TOPIC, name, [("cleanup.policy", DELETE, "whatever")]))
    settle(session, TOPIC, name, {})
    alter(session, version, (TOPIC, name, [("segment.ms", DELETE, None)]))
    alter(session, version, (TOPIC, name, [("no.such.setting", DELETE, None)]))
    describe(session, (TOPIC, name, SEEN))


@case(IncrementalAlterConfigsRequest)
def test_append_and_subtract(session: Session, version: int) -> None:
    name = session.create_topic(configs={"cleanup.policy": "compact"})
    for operation, value, policy in (
        (APPEND, "delete", "compact,delete"),
        (APPEND, "delete", "compact,delete"),
        (SUBTRACT, "compact", "delete"),
        (SUBTRACT, "compact", "delete"),
        (APPEND, "delete,compact,delete", "delete,compact"),
        (SUBTRACT, "delete,compact", ""),
        (APPEND, "compact", "compact"),
    ):
        alter(session, version, (TOPIC, name, [("cleanup.policy", operation, value)]))
        settle(session, TOPIC, name, {"cleanup.policy": policy})


@case(IncrementalAlterConfigsRequest)
def test_append_to_and_subtract_from_the_default(session: Session, version: int) -> None:
    for label, operation, value, policy in (
        ("a", APPEND, "compact", "delete,compact"),
        ("b", SUBTRACT, "delete", ""),
        ("c", SUBTRACT, "compact", "delete"),
        ("d", APPEND, "delete", "delete"),
    ):
        name = session.create_topic(label)
        alter(session, version, (TOPIC, name, [("cleanup.policy", operation, value)]))
        settle(session, TOPIC, name, {"cleanup.policy": policy})


@case(IncrementalAlterConfigsRequest)
def test_lists_of_replicas(session: Session, version: int) -> None:
    name, key = session.create_topic(), "leader.replication.throttled.replicas"
    for operation, value in ((SET, "0:1"), (APPEND, "1:1"), (SUBTRACT, "0:1"), (SET, "*")):
        alter(session, version, (TOPIC, name, [(key, operation, value)]))
    settle(session, TOPIC, name, {key: "*"})
    alter(session, version, (TOPIC, name, [(key, SET, "nonsense")]))


@case(IncrementalAlterConfigsRequest)
def test_lists_that_are_none(session: Session, version: int) -> None:
    name = session.create_topic()
    for operation in (APPEND, SUBTRACT):
        for key in ("retention.ms", "no.such.setting", "compression.type"):
            alter(session, version, (TOPIC, name, [(key, operation, "1")]))
    alter(session, version, (TOPIC, name, [("cleanup.policy", APPEND, "shred")]))


@case(IncrementalAlterConfigsRequest)
def test_bad_values(session: Session, version: int) -> None:
    name = session.create_topic()
    for key, value in (
        ("no.such.setting", "1"),
        ("", "1"),
        ("retention.ms", "x"),
        ("retention.ms", ""),
        ("retention.ms", "-2"),
        ("cleanup.policy", "shred"),
        ("max.message.bytes", "-1"),
        ("min.insync.replicas", "0"),
        ("segment.bytes", "1048575"),
        ("message.timestamp.type", "x"),
        ("remote.storage.enable", "true"),
    ):
        alter(session, version, (TOPIC, name, [(key, SET, value)]))
    alter(session, version, (TOPIC, name, [("segment.ms", SET, "8"), ("retention.ms", SET, "x")]))
    settle(session, TOPIC, name, {})


@case(IncrementalAlterConfigsRequest)
def test_unknown_operations(session: Session, version: int) -> None:
    name = session.create_topic()
    for operation in (4, -1, 127):
        alter(session, version, (TOPIC, name, [("retention.ms", operation, "1")]))
        session.reconnect()


@case(IncrementalAlterConfigsRequest)
def test_nulls(session: Session, version: int) -> None:
    name = session.create_topic()
    for operation in (SET, APPEND, SUBTRACT):
        alter(session, version, (TOPIC, name, [("cleanup.policy", operation, None)]))
    both = [("retention.ms", SET, None), ("segment.ms", SET, None)]
    alter(session, version, (TOPIC, name, both))
    alter(session, version, (TOPIC, name, [("no.such.setting", SET, None)]))
    settle(session, TOPIC, name, {})


@case(IncrementalAlterConfigsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    name, other = session.create_topic(), session.create_topic("other")
    alter(session, version, (TOPIC, name, [("segment.ms", SET, "8"), ("segment.ms", SET, "9")]))
    alter(session, version, (TOPIC, name, [("segment.ms", SET, "8"), ("segment.ms", DELETE, None)]))
    change = [("retention.ms", SET, "2")]
    alter(session, version, (TOPIC, name, change), (TOPIC, other, change), (TOPIC, name, change))
    settle(session, TOPIC, name, {})
    settle(session, TOPIC, other, {"retention.ms": "2"})


@case(IncrementalAlterConfigsRequest)
def test_bad_resources(session: Session, version: int) -> None:
    change = [("retention.ms", SET, "1")]
    for name in (session.name("unknown"), "", "a b", "x" * 250, "__cluster_metadata"):
        alter(session, version, (TOPIC, name, change))
    for kind in (0, 1, 3, 99, -1):
        alter(session, version, (kind, "x", change))
    good = session.create_topic()
    alter(session, version, (0, "x", []), (TOPIC, good, change), (BROKER, "9", change))
    settle(session, TOPIC, good, {"retention.ms": "1"})


@case(IncrementalAlterConfigsRequest)
def test_nothing(session: Session, version: int) -> None:
    alter(session, version)
    alter(session, version, (TOPIC, session.create_topic(), []))
    alter(session, version, (TOPIC, session.name("unknown"), []))
    alter(session, version, (BROKER, NODE, []))


@case(IncrementalAlterConfigsRequest)
def test_validate_only(session: Session, version: int) -> None:
    name = session.create_topic()
    for value in ("77", "x"):
        change = (TOPIC, name, [("retention.ms", SET, value)])
        alter(session, version, change, validate_only=True)
    alter(session, version, (TOPIC, session.name("unknown"), []), validate_only=True)
    alter(session, version, (BROKER, NODE, [("log.cleaner.threads", SET, "2")]), validate_only=True)
    settle(session, TOPIC, name, {})
