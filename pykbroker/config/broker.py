"""The broker's settings as typed values, from a server.properties file and other sources.

Only settings that something uses have an attribute; `settings` holds the text of all that were
given, and `sources` shows every one as DescribeConfigs does. Cross-checks follow Kafka 4.3's
`KafkaConfig.validateValues`, as far as they concern a broker without a separate controller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Self

from pykbroker.config.broker_keys import (
    BROKER_KEYS,
    DYNAMIC_ONLY_KEYS,
    find_broker_key,
    is_plugin_setting,
    unknown_setting,
)
from pykbroker.config.keys import ConfigError, Value, default_value, parse_value
from pykbroker.config.listeners import (
    Listener,
    parse_listeners,
    parse_protocol_map,
    refuse_unsupported,
)
from pykbroker.config.topic import TopicConfig

_NOTHING: Mapping[str, str] = MappingProxyType({})


# Comparing and printing are left out: making them for so many fields costs 3 ms of every start.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class BrokerConfig:
    """Typed broker settings; attribute = Kafka's name with `_` for `.`.

    Make one with `from_settings`. It never changes: a dynamic setting makes a new one, so read
    `broker.config` again each time.
    """

    settings: Mapping[str, str]
    topic_defaults: TopicConfig

    # the process and its network
    node_id: int
    broker_rack: str | None
    listeners: tuple[Listener, ...]
    advertised_listeners: tuple[Listener, ...]
    log_dirs: tuple[str, ...]
    socket_request_max_bytes: int
    socket_send_buffer_bytes: int
    socket_receive_buffer_bytes: int
    socket_listen_backlog_size: int
    connections_max_idle_ms: int
    max_connections: int
    max_connections_per_ip: int
    max_connections_per_ip_overrides: Mapping[str, int]
    max_connection_creation_rate: int
    queued_max_requests: int
    queued_max_request_bytes: int
    request_timeout_ms: int
    background_threads: int
    telemetry_max_bytes: int

    # topics and logs
    auto_create_topics_enable: bool
    default_replication_factor: int
    delete_topic_enable: bool
    num_partitions: int
    message_max_bytes: int
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    log_cleaner_backoff_ms: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_enable: bool
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_buffer_size: int
    log_cleaner_io_max_bytes_per_second: float
    log_cleaner_threads: int
    log_flush_offset_checkpoint_interval_ms: int
    log_flush_scheduler_interval_ms: int
    log_flush_start_offset_checkpoint_interval_ms: int
    log_initial_task_delay_ms: int
    log_retention_check_interval_ms: int
    num_recovery_threads_per_data_dir: int
    replica_high_watermark_checkpoint_interval_ms: int
    replica_lag_time_max_ms: int

    # groups and offsets
    group_coordinator_rebalance_protocols: tuple[str, ...]
    group_initial_rebalance_delay_ms: int
    group_max_session_timeout_ms: int
    group_max_size: int
    group_min_session_timeout_ms: int
    group_consumer_assignment_interval_ms: int
    group_consumer_assignors: tuple[str, ...]
    group_consumer_heartbeat_interval_ms: int
    group_consumer_max_assignment_interval_ms: int
    group_consumer_max_heartbeat_interval_ms: int
    group_consumer_max_session_timeout_ms: int
    group_consumer_max_size: int
    group_consumer_migration_policy: str
    group_consumer_min_assignment_interval_ms: int
    group_consumer_min_heartbeat_interval_ms: int
    group_consumer_min_session_timeout_ms: int
    group_consumer_regex_refresh_interval_ms: int
    group_consumer_session_timeout_ms: int
    offset_metadata_max_bytes: int
    offsets_commit_timeout_ms: int
    offsets_load_buffer_size: int
    offsets_retention_check_interval_ms: int
    offsets_retention_minutes: int
    offsets_topic_compression_codec: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int

    # producers and transactions
    producer_id_expiration_check_interval_ms: int
    producer_id_expiration_ms: int
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int
    transaction_max_timeout_ms: int
    transaction_partition_verification_enable: bool
    transaction_remove_expired_transaction_cleanup_interval_ms: int
    transaction_state_log_load_buffer_size: int
    transaction_state_log_min_isr: int
    transaction_state_log_num_partitions: int
    transaction_state_log_replication_factor: int
    transaction_state_log_segment_bytes: int
    transaction_two_phase_commit_enable: bool
    transactional_id_expiration_ms: int

    # ours
    pykbroker_busy_poll_us: int
    pykbroker_cluster_id: str
    pykbroker_fsync: str
    pykbroker_queued_max_response_bytes: int
    pykbroker_replication_factor_cap: bool

    @classmethod
    def from_settings(cls, settings: Mapping[str, str] = _NOTHING) -> Self:
        """Check settings and make the typed view of them.

        Raises:
            ConfigError: An unknown or removed setting, a malformed value, or two settings that
                contradict each other.
        """
        values = _parse_all(settings)
        attributes = {
            name: values.get(setting, default) for name, (setting, default) in _defaults().items()
        }
        attributes["node_id"] = _node_id(values, attributes["node_id"])
        attributes["log_dirs"] = (
            values.get("log.dirs") or values.get("log.dir") or (attributes["log_dirs"])
        )
        attributes["listeners"], attributes["advertised_listeners"] = _addresses(values, attributes)
        attributes["max_connections_per_ip_overrides"] = _per_ip_overrides(
            attributes["max_connections_per_ip_overrides"]
        )
        _check_roles(values)
        _check_times(values)
        _check_group_limits(values)
        return cls(
            settings=MappingProxyType(dict(settings)),
            topic_defaults=TopicConfig.from_overrides({}, settings),
            **attributes,
        )

    def value(self, name: str) -> Value:
        """Return the value of any broker setting, given or default; `name` must be known."""
        key = BROKER_KEYS[name]
        text = self.settings.get(name)
        return default_value(key) if text is None else parse_value(key, text)

    @property
    def settings_without_effect(self) -> tuple[str, ...]:
        """The names of the settings that were given but that nothing here uses yet."""
        return tuple(
            sorted(
                name
                for name in self.settings
                if not (name in BROKER_KEYS and BROKER_KEYS[name].has_effect)
            )
        )


@lru_cache(maxsize=1)
def _defaults() -> dict[str, tuple[str, Any]]:
    """Map each attribute to its setting's name and default value."""
    keys = {key.name.replace(".", "_"): key for key in BROKER_KEYS.values()}
    return {
        attribute.name: (keys[attribute.name].name, default_value(keys[attribute.name]))
        for attribute in fields(BrokerConfig)
        if attribute.name in keys
    }


def _parse_all(settings: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in settings.items():
        key = find_broker_key(name) or DYNAMIC_ONLY_KEYS.get(name)
        if key is not None:
            values[name] = parse_value(key, text)
        elif not is_plugin_setting(name):
            raise unknown_setting(name)
    return values


def _node_id(values: Mapping[str, Any], default: int) -> int:
    """node.id and its older name broker.id must agree where both are given."""
    node_id, broker_id = values.get("node.id"), values.get("broker.id")
    if broker_id is not None and broker_id < 0:
        broker_id = None
    if node_id is not None and broker_id is not None and node_id != broker_id:
        raise ConfigError(
            f"node.id ({node_id}) and broker.id ({broker_id}) must be the same; set only node.id"
        )
    chosen = node_id if node_id is not None else broker_id
    return default if chosen is None else int(chosen)


def _addresses(
    values: Mapping[str, Any], attributes: Mapping[str, Any]
) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
    """Return the listeners to open and the addresses to advertise (none: as connected)."""
    protocol_key = BROKER_KEYS["listener.security.protocol.map"]
    protocols = parse_protocol_map(values.get(protocol_key.name, protocol_key.default))
    controllers = {name.upper() for name in values.get("controller.listener.names", ())}
    if protocol_key.name not in values:
        # Kafka gives controller listeners PLAINTEXT while the map is the default one.
        protocols = dict.fromkeys(controllers, "PLAINTEXT") | protocols
    every = parse_listeners("listeners", attributes["listeners"], protocols)
    opened = tuple(listener for listener in every if listener.name not in controllers)
    if not opened:
        raise ConfigError("listeners must hold at least one that is not a controller's")
    refuse_unsupported(opened)
    advertised = tuple(
        listener
        for listener in parse_listeners(
            "advertised.listeners", values.get("advertised.listeners") or (), protocols
        )
        if listener.name not in controllers
    )
    for listener in advertised:
        if listener.name not in {other.name for other in every}:
            raise ConfigError(f"advertised.listeners: {listener} is not the name of a listener")
        if listener.host in ("0.0.0.0", "::"):  # noqa: S104 - refused, not bound
            raise ConfigError(
                f"advertised.listeners: {listener} cannot be reached; use a routable address"
            )
    return opened, advertised


def _per_ip_overrides(text: str) -> Mapping[str, int]:
    """Read `host:count,host:count`; the host may hold colons."""
    overrides: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        host, _, count = item.rpartition(":")
        if not host or not count.isdecimal():
            raise ConfigError(
                f"Invalid value {text} for configuration max.connections.per.ip.overrides: "
                "expected host:count,host:count"
            )
        overrides[host.strip()] = int(count)
    return MappingProxyType(overrides)


def _check_roles(values: Mapping[str, Any]) -> None:
    roles = values.get("process.roles")
    if roles is not None and "broker" not in roles:
        raise ConfigError("process.roles must hold broker: there is no separate controller here")


def _check_times(values: Mapping[str, Any]) -> None:
    for name in ("log.retention.ms", "log.retention.minutes", "log.retention.hours"):
        value = values.get(name)
        if value is not None and (value == 0 or value < -1):
            raise ConfigError(
                f"Invalid value {value} for configuration {name}: "
                "Value must be at least 1, or -1 for no limit"
            )
    for name, low in (("log.roll.ms", 1), ("log.roll.jitter.ms", 0)):
        value = values.get(name)
        if value is not None and value < low:
            raise ConfigError(
                f"Invalid value {value} for configuration {name}: Value must be at least {low}"
            )


def _check_group_limits(values: Mapping[str, Any]) -> None:
    """Each setting of groups must lie between the limits that groups have for it."""
    if "classic" not in values.get("group.coordinator.rebalance.protocols", ("classic",)):
        raise ConfigError("group.coordinator.rebalance.protocols must hold classic")
    chains = [("group.min.session.timeout.ms", "group.max.session.timeout.ms")]
    for kind in ("consumer", "share", "streams"):
        for limited in ("session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms"):
            low, middle, high = (f"group.{kind}.{word}{limited}" for word in ("min.", "", "max."))
            chains += [(low, high), (low, middle), (middle, high)]
    for low, high in chains:
        if low not in values and high not in values:
            continue
        least: Any = values.get(low, default_value(BROKER_KEYS[low]))
        most: Any = values.get(high, default_value(BROKER_KEYS[high]))
        if least > most:
            raise ConfigError(f"{low} ({least}) must be less than or equal to {high} ({most})")
    for kind in ("consumer", "share", "streams"):
        names = [f"group.{kind}.{word}" for word in ("heartbeat.interval.ms", "session.timeout.ms")]
        interval, timeout = (values.get(name, default_value(BROKER_KEYS[name])) for name in names)
        if interval >= timeout:
            raise ConfigError(f"{names[0]} ({interval}) must be less than {names[1]} ({timeout})")
