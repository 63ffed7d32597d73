"""Which settings topics, brokers, groups and client metrics subscriptions may be given.

Pure rules; values are text. Codes and messages follow Kafka 4.3's
`ControllerConfigurationValidator`, `LogConfig.validate`, `DynamicBrokerConfig.validateConfigs`,
`GroupConfig.validate` and `ClientMetricsConfigs.validate`. Two of its ways may surprise: a bad
broker setting is INVALID_REQUEST where a bad topic setting is INVALID_CONFIG, and a broker
accepts names that it does not know, as a plug-in might.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.broker_keys import (
    BROKER_KEYS,
    DYNAMIC_ONLY_KEYS,
    LISTENER_PREFIX,
    find_broker_key,
    is_plugin_setting,
)
from pykbroker.config.client_metrics_keys import CLIENT_METRICS_KEYS
from pykbroker.config.group_keys import GROUP_KEYS
from pykbroker.config.keys import ConfigError, ConfigKey, UpdateMode, Value, parse_value
from pykbroker.config.synonyms import merge_settings
from pykbroker.config.topic import TOPIC_KEYS, TopicConfig
from pykbroker.metadata.topics import validate_topic_name
from pykbroker.protocol.errors import ErrorCode, KafkaError

GROUP_KEYS_BY_NAME: Final[Mapping[str, ConfigKey]] = {key.name: key for key in GROUP_KEYS}
CLIENT_METRICS_KEYS_BY_NAME: Final[Mapping[str, ConfigKey]] = {
    key.name: key for key in CLIENT_METRICS_KEYS
}

# Kafka's DYNAMIC_SECURITY_CONFIGS: key stores belong to a listener, so its prefix is required.
_ONLY_PER_LISTENER: Final = (
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
)
_MIN_METRICS_INTERVAL_MS: Final = 100
_MAX_METRICS_INTERVAL_MS: Final = 3_600_000
_METRICS_SELECTORS: Final = (
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
)


def validate_topic_configs(
    configs: Mapping[str, str], broker_settings: Mapping[str, str]
) -> TopicConfig:
    """Check all settings of one topic; unknown names first, then values, then combinations.

    Args:
        configs: The topic's own settings.
        broker_settings: The broker's explicit settings, which fill in for the rest.

    Raises:
        KafkaError: INVALID_CONFIG.
    """
    for name in configs:
        if name not in TOPIC_KEYS:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
    try:
        for name, text in configs.items():
            parse_value(TOPIC_KEYS[name], text)
        effective = TopicConfig.from_overrides(configs, broker_settings)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error
    if effective.min_compaction_lag_ms > effective.max_compaction_lag_ms:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "conflict topic config setting min.compaction.lag.ms "
            f"({effective.min_compaction_lag_ms}) > max.compaction.lag.ms "
            f"({effective.max_compaction_lag_ms})",
        )
    if configs.get("remote.storage.enable", "").strip().lower() == "true":
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
            "with remote log storage.",
        )
    return effective


def validate_topic_resource(name: str, topics: Mapping[str, object]) -> None:
    """Refuse to alter the settings of a topic that cannot or does not exist.

    Raises:
        KafkaError: INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION.
    """
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
    validate_topic_name(name)
    if name not in topics:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist."
        )


def validate_broker_resource(name: str, node_id: int) -> None:
    """Refuse a broker that is neither this one nor "", which means all.

    Raises:
        KafkaError: INVALID_REQUEST.
    """
    if not name:
        return
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", name):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        )
    if int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id}, but received {name}",
        )


def validate_broker_configs(name: str, changed: Mapping[str, str]) -> None:
    """Refuse dynamic broker settings that may not be set at run time, or not on this level.

    Args:
        name: The node id, or "" for all brokers.
        changed: The settings that are given a value now.

    Raises:
        KafkaError: INVALID_REQUEST.
    """
    read_only = [setting for setting in changed if _mode(setting) is UpdateMode.READ_ONLY]
    _refuse("Cannot update these configs dynamically", read_only)
    _refuse(
        "These security configs can be dynamically updated only per-listener using the listener "
        "prefix",
        [setting for setting in changed if setting in _ONLY_PER_LISTENER],
    )
    try:
        for setting, text in changed.items():
            key = find_broker_key(setting) or DYNAMIC_ONLY_KEYS.get(setting)
            if key is not None:
                parse_value(key, text)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, str(error)) from error
    if not name:
        per_broker = [
            setting
            for setting in changed
            if _mode(setting) is UpdateMode.PER_BROKER and setting not in DYNAMIC_ONLY_KEYS
        ]
        _refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            per_broker,
        )


def _refuse(reason: str, settings: Iterable[str]) -> None:
    named = ", ".join(settings)
    if named:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{reason}: [{named}]")


def _mode(setting: str) -> UpdateMode | None:
    """Return where a setting may change at run time; None for a name that nothing here knows."""
    if setting.startswith(LISTENER_PREFIX):
        return UpdateMode.PER_BROKER
    key = BROKER_KEYS.get(setting) or DYNAMIC_ONLY_KEYS.get(setting)
    return None if key is None else key.mode


def effective_broker_config(
    static: BrokerConfig, dynamic_default: Mapping[str, str], dynamic_own: Mapping[str, str]
) -> BrokerConfig:
    """Lay the dynamic settings over the static ones.

    Raises:
        ConfigError: The settings contradict each other.
    """
    if not dynamic_default and not dynamic_own:
        return static
    merged = merge_settings([static.settings, dynamic_default, dynamic_own])
    usable = {
        name: text
        for name, text in merged.items()
        if find_broker_key(name) or name in DYNAMIC_ONLY_KEYS or is_plugin_setting(name)
    }
    return BrokerConfig.from_settings(usable)


def validate_group_configs(name: str, configs: Mapping[str, str], broker: BrokerConfig) -> None:
    """Check all settings of one group against the broker's limits.

    Raises:
        KafkaError: INVALID_REQUEST for the group "", INVALID_CONFIG.
    """
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
    for setting in configs:
        if setting not in GROUP_KEYS_BY_NAME:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown group config name: {setting}")
    values = _parse(GROUP_KEYS_BY_NAME, configs)
    for setting, value in values.items():
        kind, _, rest = setting.partition(".")
        for word, reason, sign in (
            ("min", "greater than or equal to", -1),
            ("max", "less than or equal to", 1),
        ):
            limit_name = f"group.{kind}.{word}.{rest.removeprefix('num.')}"
            limit = broker.value(limit_name) if limit_name in BROKER_KEYS else None
            if isinstance(limit, int) and isinstance(value, int) and sign * (value - limit) > 0:
                raise KafkaError(
                    ErrorCode.INVALID_CONFIG, f"{setting} must be {reason} {limit_name}"
                )
    for kind in ("consumer", "share", "streams"):
        timeout, interval = f"{kind}.session.timeout.ms", f"{kind}.heartbeat.interval.ms"
        after = [values.get(key, broker.value(f"group.{key}")) for key in (timeout, interval)]
        if isinstance(after[0], int) and isinstance(after[1], int) and after[0] <= after[1]:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{timeout} must be greater than {interval}")


def validate_client_metrics_configs(name: str, configs: Mapping[str, str]) -> None:
    """Check all settings of one client metrics subscription.

    Raises:
        KafkaError: INVALID_REQUEST for the name "", an unknown setting and a bad interval;
            INVALID_CONFIG for the rest.
    """
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
    for setting in configs:
        if setting not in CLIENT_METRICS_KEYS_BY_NAME:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"Unknown client metrics configuration: {setting}"
            )
    values = _parse(CLIENT_METRICS_KEYS_BY_NAME, configs)
    interval = values.get("interval.ms")
    if isinstance(interval, int) and not (
        _MIN_METRICS_INTERVAL_MS <= interval <= _MAX_METRICS_INTERVAL_MS
    ):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Invalid value {interval} for interval.ms, interval must be between "
            f"{_MIN_METRICS_INTERVAL_MS} and {_MAX_METRICS_INTERVAL_MS} (1 hour)",
        )
    patterns = values.get("match")
    for pattern in patterns if isinstance(patterns, tuple) else ():
        if not _is_selector(pattern):
            raise KafkaError(
                ErrorCode.INVALID_CONFIG, f"Illegal client matching pattern: {pattern}"
            )


def _is_selector(pattern: str) -> bool:
    name, equals, expression = (part.strip() for part in pattern.partition("="))
    if not equals or name not in _METRICS_SELECTORS:
        return False
    try:
        re.compile(expression)
    except re.error:
        return False
    return True


def _parse(keys: Mapping[str, ConfigKey], configs: Mapping[str, str]) -> dict[str, Value]:
    try:
        return {name: parse_value(keys[name], text) for name, text in configs.items()}
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error
