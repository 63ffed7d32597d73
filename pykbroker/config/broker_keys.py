"""All broker settings by name, and what to say about a name that is none of them."""

from collections.abc import Mapping
from typing import Final

from pykbroker.config.coordinator_keys import COORDINATOR_KEYS
from pykbroker.config.keys import ConfigError, ConfigKey, ConfigType, UpdateMode, key
from pykbroker.config.log_keys import LOG_KEYS
from pykbroker.config.own_keys import OWN_KEYS
from pykbroker.config.security_keys import SECURITY_KEYS
from pykbroker.config.server_keys import SERVER_KEYS
from pykbroker.config.validators import at_least

BROKER_KEYS: Final[Mapping[str, ConfigKey]] = {
    key.name: key
    for table in (SERVER_KEYS, LOG_KEYS, COORDINATOR_KEYS, SECURITY_KEYS, OWN_KEYS)
    for key in table
}

# Kafka knows these three only as dynamic settings of a broker (its `DynamicConfig.Broker`); they
# are shown only when they are set.
_RATE = ConfigType.LONG, "9223372036854775807", at_least(0)
# fmt: off
DYNAMIC_ONLY_KEYS: Final[Mapping[str, ConfigKey]] = {
    entry.name: entry
    for entry in (
        key("leader.replication.throttled.rate", *_RATE,
            "Bytes a second that a leader may send to throttled replicas.",
            UpdateMode.PER_BROKER),
        key("follower.replication.throttled.rate", *_RATE,
            "Bytes a second that throttled replicas may fetch.",
            UpdateMode.PER_BROKER),
        key("replica.alter.log.dirs.io.max.bytes.per.second", *_RATE,
            "Bytes a second for moving replicas between log directories.",
            UpdateMode.PER_BROKER),
    )
}
# fmt: on

# Settings of plug-ins, which Kafka hands to them unseen; they have no effect here.
PLUGIN_PREFIXES: Final = (
    "authorizer.",
    "config.providers.",
    "metrics.context.",
    "rlmm.config.",
    "rsm.config.",
)
PLUGIN_SETTINGS: Final = ("allow.everyone.if.no.acl.found", "super.users")
LISTENER_PREFIX: Final = "listener.name."
# `listener.name.<listener>.<mechanism>.<setting>` exists for these.
MECHANISM_SETTINGS: Final = (
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
)

_GONE_WITH_ZOOKEEPER = "it is gone since Kafka 4.0, which no longer uses ZooKeeper"
_GONE_WITH_FORMATS = "it is gone since Kafka 4.0, which has one record format only"
REMOVED_SETTINGS: Final[Mapping[str, str]] = {
    "advertised.host.name": "use advertised.listeners",
    "advertised.port": "use advertised.listeners",
    "auto.include.jmx.reporter": "it is gone since Kafka 4.0",
    "broker.id.generation.enable": _GONE_WITH_ZOOKEEPER,
    "control.plane.listener.name": _GONE_WITH_ZOOKEEPER,
    "controlled.shutdown.max.retries": _GONE_WITH_ZOOKEEPER,
    "controlled.shutdown.retry.backoff.ms": _GONE_WITH_ZOOKEEPER,
    "delegation.token.master.key": "it is called delegation.token.secret.key now",
    "group.coordinator.new.enable": "it is gone since Kafka 4.0, which has one coordinator only",
    "group.share.enable": "it is gone since Kafka 4.1; a feature level decides",
    "host.name": "use listeners",
    "inter.broker.protocol.version": _GONE_WITH_ZOOKEEPER,
    "log.message.downconversion.enable": _GONE_WITH_FORMATS,
    "log.message.format.version": _GONE_WITH_FORMATS,
    "log.message.timestamp.difference.max.ms": (
        "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"
    ),
    "offsets.commit.required.acks": "it is gone since Kafka 4.0; offset commits use acks=all",
    "port": "use listeners",
    "quota.consumer.default": "use dynamic client quotas",
    "quota.producer.default": "use dynamic client quotas",
    "reserved.broker.max.id": _GONE_WITH_ZOOKEEPER,
}
_REMOVED_PREFIXES: Final = {
    "zookeeper.": _GONE_WITH_ZOOKEEPER,
    "password.encoder.": _GONE_WITH_ZOOKEEPER,
}


def find_broker_key(name: str) -> ConfigKey | None:
    """Return the facts of a broker setting, also behind a listener's or a mechanism's prefix."""
    known = BROKER_KEYS.get(name)
    if known is not None or not name.startswith(LISTENER_PREFIX):
        return known
    suffix = name.removeprefix(LISTENER_PREFIX).partition(".")[2]
    known = BROKER_KEYS.get(suffix)
    if known is not None:
        return known
    mechanism_setting = suffix.partition(".")[2]
    return BROKER_KEYS[mechanism_setting] if mechanism_setting in MECHANISM_SETTINGS else None


def is_plugin_setting(name: str) -> bool:
    """Say whether a setting is for a plug-in, so that nothing here can check it."""
    return name in PLUGIN_SETTINGS or name.startswith(PLUGIN_PREFIXES)


def unknown_setting(name: str) -> ConfigError:
    """Return the error about a name that is no broker setting, with the best advice there is."""
    removed = REMOVED_SETTINGS.get(name)
    for prefix, reason in _REMOVED_PREFIXES.items():
        if name.startswith(prefix):
            removed = reason
    if removed is not None:
        return ConfigError(f"setting '{name}' no longer exists: {removed}")
    import difflib  # only for a mistake: not worth its start-up time

    near = difflib.get_close_matches(name, BROKER_KEYS, n=1, cutoff=0.6)
    advice = f": did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"unknown setting '{name}'{advice}")
