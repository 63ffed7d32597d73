from pykbroker.config.broker import BrokerConfig
from pykbroker.config.group import ConsumerGroupConfig


def test_a_group_without_settings_has_the_brokers() -> None:
    broker = BrokerConfig.from_settings({"group.consumer.session.timeout.ms": "50000"})
    assert ConsumerGroupConfig.of({}, broker) == ConsumerGroupConfig(50_000, 5_000, 1_000)


def test_a_groups_own_settings_hold_within_the_brokers_limits() -> None:
    broker = BrokerConfig.from_settings({"group.consumer.max.assignment.interval.ms": "2000"})
    overrides = {
        "consumer.session.timeout.ms": "44999",
        "consumer.heartbeat.interval.ms": "7000",
        "consumer.assignment.interval.ms": "3000",
        "share.session.timeout.ms": "46000",
    }
    config = ConsumerGroupConfig.of(overrides, broker)
    assert config == ConsumerGroupConfig(45_000, 7_000, 2_000)
