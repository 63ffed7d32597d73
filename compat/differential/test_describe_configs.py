"""DescribeConfigs: values, where they come from, and resources that have none."""

from typing import Any

from compat.differential.cases import case
from compat.differential.config_requests import (
    BROKER,
    CLIENT_METRICS,
    GROUP,
    LOGGER,
    NODE,
    RESULTS,
    TOPIC,
    Described,
    a_description,
)
from compat.differential.session import Session
from pykbroker.protocol.messages.describe_configs import DescribeConfigsRequest

FIRST_WITH_DOCUMENTATION = 3
# What each broker was told by its test environment, or has chosen for itself.
OF_THE_ENVIRONMENT = frozenset(
    {
        "advertised.listeners",
        "broker.heartbeat.interval.ms",
        "broker.session.timeout.ms",
        "controller.listener.names",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dir",
        "log.dirs",
        "node.id",
        "broker.id",
        "process.roles",
        "offsets.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.min.isr",
        "share.coordinator.state.topic.replication.factor",
    }
)
OWN_PREFIX = "pykbroker."


def ask(session: Session, version: int, *resources: Described, **flags: bool) -> Any:
    return session.send(a_description(*resources, **flags), version, sort=RESULTS)


def by_name(answer: Any) -> dict[str, Any]:
    (result,) = answer.results
    return {config.name: config for config in result.configs}


@case(DescribeConfigsRequest)
def test_topic(session: Session, version: int) -> None:
    configs = {"retention.ms": "1000", "cleanup.policy": "compact"}
    name = session.create_topic(configs=configs)
    ask(session, version, (TOPIC, name, None))
    ask(session, version, (TOPIC, name, None), synonyms=False)


@case(DescribeConfigsRequest)
def test_some_settings_of_a_topic(session: Session, version: int) -> None:
    name = session.create_topic(configs={"retention.ms": "1000"})
    keys = ["retention.ms", "segment.bytes", "no.such.setting", "", "retention.ms"]
    ask(session, version, (TOPIC, name, keys))
    ask(session, version, (TOPIC, name, []), synonyms=False)
    ask(session, version, (TOPIC, name, ["no.such.setting"]))


@case(DescribeConfigsRequest, versions=(3, 4))
def test_documentation(session: Session, version: int) -> None:
    name = session.create_topic()
    for resource in ((TOPIC, name, None), (GROUP, "g", None), (CLIENT_METRICS, "m", None)):
        ask(session, version, resource, documentation=True)
    ask(session, version, (BROKER, NODE, ["num.partitions", "log.roll.ms"]), documentation=True)


@case(DescribeConfigsRequest)
def test_bad_topics(session: Session, version: int) -> None:
    for name in (session.name("unknown"), "a b", "", "x" * 250, "__cluster_metadata"):
        ask(session, version, (TOPIC, name, None))


@case(DescribeConfigsRequest)
def test_some_settings_of_a_broker(session: Session, version: int) -> None:
    """The retention has three names, of which the most precise one that is given counts."""
    keys = [
        "num.partitions",
        "log.retention.hours",
        "log.retention.ms",
        "log.retention.bytes",
        "message.max.bytes",
        "log.cleaner.threads",
        "ssl.keystore.password",
        "sasl.enabled.mechanisms",
        "compression.type",
        "log.segment.bytes",
        "log.roll.ms",
        "log.roll.hours",
        "auto.create.topics.enable",
        "group.initial.rebalance.delay.ms",
        "no.such.setting",
    ]
    ask(session, version, (BROKER, NODE, keys))
    ask(session, version, (BROKER, NODE, keys), synonyms=False)


@case(DescribeConfigsRequest, versions=(1, 4))
def test_broker(session: Session, version: int) -> None:
    """All settings, except what the environment has set, and those that are pykbroker's own."""
    described = by_name(session.ask(a_description((BROKER, NODE, None)), version))
    found = {key: value for key, value in described.items() if not key.startswith(OWN_PREFIX)}
    for name in OF_THE_ENVIRONMENT & found.keys():
        found[name].value = "of the environment"
        found[name].config_source = 0
        found[name].synonyms = []
    session.note("settings", {name: session.plain(each) for name, each in found.items()})


@case(DescribeConfigsRequest)
def test_broker_names(session: Session, version: int) -> None:
    for name in ("01", "+1", "2", "-1", "x", "1 ", "99999999999"):
        ask(session, version, (BROKER, name, ["num.partitions"]))


@case(DescribeConfigsRequest)
def test_all_brokers(session: Session, version: int) -> None:
    ask(session, version, (BROKER, "", None))
    ask(session, version, (BROKER, "", ["num.partitions", "min.insync.replicas"]))


@case(DescribeConfigsRequest)
def test_loggers(session: Session, version: int) -> None:
    """Each broker has its own loggers, but both have a root."""
    ask(session, version, (LOGGER, NODE, ["no.such.logger"]))
    for name in ("", "2", "x", "01"):
        ask(session, version, (LOGGER, name, ["no.such.logger"]))


@case(DescribeConfigsRequest)
def test_groups(session: Session, version: int) -> None:
    ask(session, version, (GROUP, session.name("g"), None))
    ask(session, version, (GROUP, "", None))
    keys = ["consumer.session.timeout.ms", "no.such.setting"]
    ask(session, version, (GROUP, session.name("g"), keys))


@case(DescribeConfigsRequest)
def test_client_metrics(session: Session, version: int) -> None:
    ask(session, version, (CLIENT_METRICS, session.name("m"), None))
    ask(session, version, (CLIENT_METRICS, "", None))
    ask(session, version, (CLIENT_METRICS, session.name("m"), ["interval.ms", "no.such.setting"]))


@case(DescribeConfigsRequest)
def test_unknown_types(session: Session, version: int) -> None:
    name = session.create_topic()
    for kind in (0, 1, 3, 64, 99, -1):
        ask(session, version, (kind, "x", None))
    ask(session, version, (0, "x", None), (TOPIC, name, ["retention.ms"]))


@case(DescribeConfigsRequest)
def test_several(session: Session, version: int) -> None:
    name = session.create_topic()
    ask(session, version)
    ask(
        session,
        version,
        (TOPIC, name, ["retention.ms"]),
        (TOPIC, session.name("unknown"), None),
        (BROKER, NODE, ["num.partitions"]),
        (BROKER, "9", None),
        (GROUP, session.name("g"), ["consumer.session.timeout.ms"]),
    )


@case(DescribeConfigsRequest)
def test_twice_in_a_request(session: Session, version: int) -> None:
    name = session.create_topic()
    ask(session, version, (TOPIC, name, ["retention.ms"]), (TOPIC, name, ["segment.ms"]))
