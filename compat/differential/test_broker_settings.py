"""Dynamic settings of one broker and of all, and which may not be changed.

They are the broker's and not of a case: each case takes back what it has set.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from compat.differential.cases import case
from compat.differential.config_requests import (
    APPEND,
    BROKER,
    DELETE,
    NEWEST_INCREMENTAL,
    NODE,
    SET,
    SUBTRACT,
    TOPIC,
    a_change,
    a_replacement,
    describe,
    own_settings,
    settle,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
)

Operation = tuple[str, int, str | None]
LISTED_BY_KAFKA = ("min.insync.replicas",)


def alter(
    session: Session, version: int, name: str, *operations: Operation, validate_only: bool = False
) -> None:
    request = a_change((BROKER, name, operations), validate_only=validate_only)
    session.send(request, version)


@contextmanager
def taken_back(session: Session, name: str, *keys: str) -> Iterator[None]:
    """Delete settings of a broker at the end, and wait until they are gone."""
    try:
        yield
    finally:
        deletions = [(key, DELETE, None) for key in keys]
        session.ask(a_change((BROKER, name, deletions)), NEWEST_INCREMENTAL)
        session.eventually(
            lambda: not keys_of(session, name) & set(keys), what=f"the end of {keys} at {name!r}"
        )


def keys_of(session: Session, name: str) -> set[str]:
    return own_settings(session, BROKER, name).keys() - set(LISTED_BY_KAFKA)


@case(IncrementalAlterConfigsRequest)
def test_one_broker(session: Session, version: int) -> None:
    keys = ("log.retention.ms", "log.cleaner.threads")
    with taken_back(session, NODE, *keys):
        changes: list[Operation] = [(keys[0], SET, "123456"), (keys[1], SET, "2")]
        alter(session, version, NODE, *changes)
        settle(session, BROKER, NODE, {keys[0]: "123456", keys[1]: "2"})
        describe(session, (BROKER, NODE, [*keys, "log.retention.hours", "log.retention.minutes"]))
        topic = session.create_topic()
        describe(session, (TOPIC, topic, ["retention.ms", "segment.ms"]))


@case(IncrementalAlterConfigsRequest)
def test_all_brokers(session: Session, version: int) -> None:
    with taken_back(session, "", "log.retention.ms", "message.max.bytes"):
        alter(session, version, "", ("log.retention.ms", SET, "99999"))
        alter(session, version, "", ("message.max.bytes", SET, "2000000"))
        session.eventually(lambda: len(keys_of(session, "")) == 2, what="both settings")
        describe(session, (BROKER, "", ["log.retention.ms", "message.max.bytes"]))
        describe(session, (BROKER, NODE, ["log.retention.ms", "message.max.bytes"]))
        topic = session.create_topic(configs={"retention.ms": "5"})
        describe(session, (TOPIC, topic, ["retention.ms", "max.message.bytes"]))


@case(IncrementalAlterConfigsRequest)
def test_one_goes_before_all(session: Session, version: int) -> None:
    key = "log.flush.interval.messages"
    with taken_back(session, "", key), taken_back(session, NODE, key):
        alter(session, version, "", (key, SET, "7"))
        alter(session, version, NODE, (key, SET, "8"))
        session.eventually(lambda: bool(keys_of(session, "")), what="the setting of all")
        session.eventually(lambda: bool(keys_of(session, NODE)), what="the setting of one")
        describe(session, (BROKER, NODE, [key]))
        topic = session.create_topic()
        describe(session, (TOPIC, topic, ["flush.messages"]))
        alter(session, version, NODE, (key, DELETE, None))
        session.eventually(lambda: not keys_of(session, NODE), what="no setting of one")
        describe(session, (BROKER, NODE, [key]))


@case(IncrementalAlterConfigsRequest)
def test_lists(session: Session, version: int) -> None:
    key = "log.cleanup.policy"
    with taken_back(session, "", key):
        alter(session, version, "", (key, APPEND, "compact"))
        session.eventually(lambda: bool(keys_of(session, "")), what="the list")
        describe(session, (BROKER, NODE, [key]))
        alter(session, version, "", (key, SUBTRACT, "delete"))
        alter(session, version, "", (key, APPEND, "shred"))
        alter(session, version, "", ("log.retention.ms", APPEND, "1"))


@case(IncrementalAlterConfigsRequest)
def test_what_cannot_be_changed(session: Session, version: int) -> None:
    for key, value in (
        ("num.partitions", "3"),
        ("auto.create.topics.enable", "false"),
        ("delete.topic.enable", "false"),
        ("node.id", "7"),
        ("log.dirs", "/tmp/elsewhere"),
        ("offsets.topic.num.partitions", "1"),
        ("group.initial.rebalance.delay.ms", "1"),
        ("socket.request.max.bytes", "1"),
        ("authorizer.class.name", "x"),
        ("advertised.listeners", "PLAINTEXT://localhost:1"),
    ):
        for name in (NODE, ""):
            alter(session, version, name, (key, SET, value), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_bad_values(session: Session, version: int) -> None:
    for key, value in (
        ("log.retention.ms", "x"),
        ("log.retention.ms", None),
        ("message.max.bytes", "-1"),
        ("log.cleaner.threads", "-1"),
        ("num.io.threads", "0"),
        ("compression.type", "brotli"),
        ("log.message.timestamp.type", "x"),
        ("log.segment.bytes", "14"),
        ("max.connections.per.ip.overrides", "nonsense"),
    ):
        for name in (NODE, ""):
            alter(session, version, name, (key, SET, value), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_a_retention_that_is_none(session: Session, version: int) -> None:
    for name in (NODE, ""):
        alter(session, version, name, ("log.retention.ms", SET, "-2"), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_per_broker_only(session: Session, version: int) -> None:
    for key, value in (
        ("listeners", "PLAINTEXT://127.0.0.1:1"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT"),
        ("ssl.keystore.password", "x"),
        ("ssl.truststore.location", "/nowhere"),
    ):
        alter(session, version, "", (key, SET, value), validate_only=True)
    alter(session, version, NODE, ("ssl.keystore.password", SET, "x"), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_broker_names(session: Session, version: int) -> None:
    for name in ("7", "x", "-1", "01", " 1", "99999999999"):
        alter(session, version, name, ("log.retention.ms", SET, "1"), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_unknown_settings(session: Session, version: int) -> None:
    """A plug-in might know them, so they are kept."""
    with taken_back(session, NODE, "no.such.setting"):
        alter(session, version, NODE, ("no.such.setting", SET, "3"))
        session.eventually(lambda: bool(keys_of(session, NODE)), what="the setting")
        describe(session, (BROKER, NODE, ["no.such.setting"]))
    with taken_back(session, "", "no.such.setting"):
        alter(session, version, "", ("no.such.setting", SET, "3"))
        session.eventually(lambda: bool(keys_of(session, "")), what="the setting")
        describe(session, (BROKER, "", ["no.such.setting"]))


@case(IncrementalAlterConfigsRequest)
def test_min_insync_replicas(session: Session, version: int) -> None:
    """Kafka's eligible leader replicas depend on it."""
    alter(session, version, NODE, ("min.insync.replicas", SET, "2"), validate_only=True)
    alter(session, version, "", ("min.insync.replicas", SET, "0"), validate_only=True)


@case(IncrementalAlterConfigsRequest)
def test_old_request_replaces_all(session: Session, version: int) -> None:
    with taken_back(session, NODE, "log.retention.ms", "log.cleaner.threads"):
        alter(session, version, NODE, ("log.retention.ms", SET, "123456"))
        settle(session, BROKER, NODE, {"log.retention.ms": "123456"})
        request = a_replacement((BROKER, NODE, [("log.cleaner.threads", "2")]))
        session.send(request, version)
        settle(session, BROKER, NODE, {"log.cleaner.threads": "2"})
