import pytest

from pykbroker.config.broker_keys import (
    BROKER_KEYS,
    DYNAMIC_ONLY_KEYS,
    find_broker_key,
    is_plugin_setting,
    unknown_setting,
)
from tests.harness.config_tables import check_table

# Settings with defaults of our own; the README lists them from the same data.
DEVIATIONS = {
    "group.initial.rebalance.delay.ms": ("0", "3000"),
    "listeners": ("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://:9092"),
    "log.dirs": ("./pykbroker-data", None),
    "node.id": ("1", None),
    "offsets.topic.replication.factor": ("1", "3"),
    "process.roles": ("broker,controller", None),
    "transaction.state.log.min.isr": ("1", "2"),
    "transaction.state.log.replication.factor": ("1", "3"),
}


def test_all_tables_together_hold_every_setting_of_kafka_and_ours() -> None:
    ours = [name for name in BROKER_KEYS if name.startswith("pykbroker.")]

    assert len(BROKER_KEYS) - len(ours) == 360
    assert len(ours) == 5
    assert sum(key.is_internal for key in BROKER_KEYS.values()) == 20
    check_table(tuple(DYNAMIC_ONLY_KEYS.values()))


def test_deviating_defaults_are_marked() -> None:
    found = {
        key.name: (key.default, key.kafka_default) for key in BROKER_KEYS.values() if key.deviates
    }

    assert found == DEVIATIONS


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("num.partitions", "num.partitions"),
        ("listener.name.internal.ssl.keystore.location", "ssl.keystore.location"),
        ("listener.name.internal.scram-sha-256.sasl.jaas.config", "sasl.jaas.config"),
        ("listener.name.internal.plain.num.partitions", None),
        ("listener.name.internal.nonsense", None),
        ("listener.name.", None),
        ("nonsense", None),
    ],
)
def test_settings_are_found_also_behind_a_listener_prefix(name: str, known: str | None) -> None:
    found = find_broker_key(name)

    assert (found.name if found is not None else None) == known


def test_settings_of_plug_ins_are_recognised() -> None:
    assert is_plugin_setting("super.users")
    assert is_plugin_setting("rsm.config.bucket")
    assert not is_plugin_setting("num.partitions")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("log.retention.hour", "unknown setting 'log.retention.hour': did you mean "),
        ("frobnicate", "unknown setting 'frobnicate'"),
        ("zookeeper.connect", "setting 'zookeeper.connect' no longer exists: it is gone since"),
        ("inter.broker.protocol.version", "no longer exists: it is gone since Kafka 4.0"),
        ("delegation.token.master.key", "it is called delegation.token.secret.key now"),
        ("password.encoder.secret", "no longer exists"),
    ],
)
def test_an_unknown_name_gets_advice(name: str, message: str) -> None:
    assert message in str(unknown_setting(name))


def test_the_advice_is_the_nearest_name() -> None:
    assert str(unknown_setting("log.retention.hour")).endswith("'log.retention.hours'?")
