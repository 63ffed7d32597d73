from dataclasses import fields

import pytest

from pykbroker.config.keys import ConfigError, default_value
from pykbroker.config.topic import MAX_LONG, TOPIC_KEYS, TopicConfig


def test_the_defaults_are_those_of_the_table() -> None:
    config = TopicConfig()

    for field in fields(TopicConfig):
        expected = default_value(TOPIC_KEYS[field.name.replace("_", ".")])
        value = getattr(config, field.name)
        assert value == (frozenset(expected) if isinstance(expected, tuple) else expected)


def test_every_setting_with_an_effect_has_an_attribute() -> None:
    attributes = {field.name.replace("_", ".") for field in fields(TopicConfig)}
    attributes.add("internal.segment.bytes")  # becomes segment_bytes

    assert {name for name, key in TOPIC_KEYS.items() if key.has_effect} <= attributes


def test_the_topic_wins_over_the_broker_and_the_broker_over_the_default() -> None:
    broker = {"log.retention.bytes": "10", "message.max.bytes": "20", "num.partitions": "3"}

    config = TopicConfig.from_overrides({"retention.bytes": "1", "unknown": "x"}, broker)

    assert config.retention_bytes == 1
    assert config.max_message_bytes == 20
    assert config.segment_bytes == 1_073_741_824


@pytest.mark.parametrize(
    ("broker", "retention_ms"),
    [
        ({}, 604_800_000),
        ({"log.retention.hours": "2"}, 7_200_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3"}, 180_000),
        ({"log.retention.minutes": "3", "log.retention.ms": "4"}, 4),
        ({"log.retention.hours": "-1"}, -1),
        ({"log.retention.ms": "-1"}, -1),
    ],
)
def test_the_finer_unit_of_retention_counts(broker: dict[str, str], retention_ms: int) -> None:
    assert TopicConfig.from_overrides({}, broker).retention_ms == retention_ms


def test_rolling_and_flushing_follow_their_stand_ins() -> None:
    broker = {
        "log.roll.hours": "1",
        "log.roll.jitter.hours": "2",
        "log.flush.scheduler.interval.ms": "3",
    }

    config = TopicConfig.from_overrides({}, broker)

    assert (config.segment_ms, config.segment_jitter_ms, config.flush_ms) == (
        3_600_000,
        7_200_000,
        3,
    )
    assert TopicConfig.from_overrides({}, {}).flush_ms == MAX_LONG


def test_the_cleanup_policy_is_a_set() -> None:
    both = TopicConfig.from_overrides({"cleanup.policy": "compact,delete"}, {})

    assert both.cleanup_policy == {"compact", "delete"}
    assert both.is_compacted
    assert not TopicConfig().is_compacted
    assert TopicConfig.from_overrides({"cleanup.policy": ""}, {}).cleanup_policy == frozenset()


def test_the_internal_segment_size_may_be_below_the_minimum() -> None:
    config = TopicConfig.from_overrides({"internal.segment.bytes": "100"}, {})

    assert config.segment_bytes == 100


def test_a_malformed_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"configuration segment\.bytes: Value must be at least"):
        TopicConfig.from_overrides({"segment.bytes": "100"}, {})
