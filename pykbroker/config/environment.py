"""Settings from the environment, as Apache Kafka's own container image reads them.

`KAFKA_` and a setting's name in upper case, with `_` for `.`, `__` for `_` and `___` for `-`; the
value as a properties file would have it, escapes and all. They are added to the properties file
that was mounted, if there is one, and count more. Source: `KafkaDockerWrapper` and the scripts
`configure` and `launch` of Kafka 4.3's image, and that class asked itself.

What a broker without a JVM, ZooKeeper or a quorum of controllers has no use for is left out and
named, as is a name that is no setting: Kafka ignores those with a warning too. A setting that is
known keeps its rules: a malformed value is refused later. Deviations: the data lies in
`DATA_DIR`, a random cluster id stands in for the image's fixed one, and a replication factor that
was chosen for a cluster is lowered.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pykbroker.config.broker_keys import (
    DYNAMIC_ONLY_KEYS,
    find_broker_key,
    is_plugin_setting,
    unknown_setting,
)
from pykbroker.config.keys import ConfigError
from pykbroker.config.properties import PropertiesError, parse_properties

PREFIX: Final = "KAFKA_"
DATA_DIR: Final = "/var/lib/kafka/data"
MOUNTED_FILE: Final = "/mnt/shared/config/server.properties"

# No settings of the broker in Kafka's image either.
_OF_THE_JVM: Final = (
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
)
_LOG_LEVEL: Final = "KAFKA_LOG4J_ROOT_LOGLEVEL"
_OF_LOG4J: Final = ("KAFKA_LOG4J_LOGGERS", "KAFKA_TOOLS_LOG4J_LOGLEVEL")
_IGNORED: Final[Mapping[str, str]] = {
    **dict.fromkeys(_OF_THE_JVM, "there is no JVM"),
    **dict.fromkeys(_OF_LOG4J, "there is no log4j"),
    "KAFKA_VERSION": "the image has one version",
}
_LOG_LEVELS: Final[Mapping[str, str]] = {
    "ALL": "debug",
    "TRACE": "debug",
    "DEBUG": "debug",
    "INFO": "info",
    "WARN": "warning",
    "ERROR": "error",
    "FATAL": "error",
    "OFF": "error",
}

# Kafka's default would listen on the loopback interface of the container alone, were it ours.
_BASE: Final[Mapping[str, str]] = {
    "listeners": "PLAINTEXT://:9092",
    "log.dirs": DATA_DIR,
    "pykbroker.replication.factor.cap": "true",
}
# Where nothing is set at all, Kafka's image takes a file that has these.
_BARE: Final[Mapping[str, str]] = {
    "node.id": "1",
    "advertised.listeners": "PLAINTEXT://localhost:9092",
}
_LINE_END: Final = re.compile(r"[\r\n]+")
_HOST_IN_LISTENER: Final = re.compile(r"://(\[[^\]]*\]|[^:]*):")


class Ignored(NamedTuple):
    """A variable or setting that has no say, and why."""

    name: str
    reason: str


class ContainerSettings(NamedTuple):
    """What the environment of a container asks for.

    `settings` are those of a broker; `is_controller` is set where no broker is asked for.
    """

    settings: Mapping[str, str]
    ignored: tuple[Ignored, ...]
    log_level: str
    is_controller: bool


def setting_of(variable: str) -> str:
    """Return the setting that a variable's name stands for; it begins with `KAFKA_`."""
    name = variable.removeprefix(PREFIX).lower().replace("_", ".")
    return name.replace("...", "-").replace("..", "_")


def variable_of(setting: str) -> str:
    """Return the variable that stands for a setting."""
    name = setting.replace("_", "__").replace("-", "___").replace(".", "_")
    return f"{PREFIX}{name.upper()}"


def value_for(text: str) -> str:
    """Return what a variable must hold for a setting to have this value."""
    return text.replace("\\", "\\\\")


def read_environment(
    environment: Mapping[str, str], mounted: str | None = None
) -> ContainerSettings:
    """Read the settings of a container.

    Args:
        environment: All variables; those of other programs are passed over.
        mounted: The text of the properties file at `MOUNTED_FILE`, if there is one.

    Raises:
        ConfigError: The file, or the value of a variable, is no properties text.
    """
    ignored: list[Ignored] = []
    given = _parse(mounted or "", MOUNTED_FILE)
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable in (PREFIX, _LOG_LEVEL):
            continue
        if variable in _IGNORED:
            ignored.append(Ignored(variable, _IGNORED[variable]))
            continue
        given[setting_of(variable)] = _value(variable, text)
    is_bare = not given
    known: dict[str, str] = {}
    for name, value in given.items():
        reason = _why_unknown(name)
        if reason is None:
            known[name] = value
        else:
            ignored.append(Ignored(name, reason))
    roles = _items(known.get("process.roles", ""))
    settings = {**_BASE, **(_BARE if is_bare else {}), **known, **_listening(known)}
    if "log.dir" in known and "log.dirs" not in known:
        del settings["log.dirs"]
    if environment.get("CLUSTER_ID"):
        settings["pykbroker.cluster.id"] = environment["CLUSTER_ID"]
    return ContainerSettings(
        settings=settings,
        ignored=(*ignored, *_quorum(known)),
        log_level=_LOG_LEVELS.get(environment.get(_LOG_LEVEL, "").upper(), "info"),
        is_controller=bool(roles) and "broker" not in roles,
    )


def _parse(text: str, where: str) -> dict[str, str]:
    try:
        return parse_properties(text)
    except PropertiesError as error:
        raise ConfigError(f"cannot read {where}: {error}") from error


def _value(variable: str, text: str) -> str:
    """Read a value as the line of a properties file would have it.

    A newline does not begin another setting, unlike in Kafka's image, where it can by accident.
    """
    return _parse(f"value={_LINE_END.sub(' ', text)}", variable)["value"]


def _why_unknown(name: str) -> str | None:
    """Say why a name is no setting, with advice; None if it is one."""
    if find_broker_key(name) or name in DYNAMIC_ONLY_KEYS or is_plugin_setting(name):
        return None
    return str(unknown_setting(name))


def _listening(known: Mapping[str, str]) -> dict[str, str]:
    """Without listeners, open those that are advertised, on all interfaces."""
    advertised = known.get("advertised.listeners", "")
    if known.get("listeners") or not advertised:
        return {}
    return {"listeners": _HOST_IN_LISTENER.sub("://0.0.0.0:", advertised)}


def _quorum(known: Mapping[str, str]) -> tuple[Ignored, ...]:
    """Name a quorum of several nodes: what was meant as one cluster is several here."""
    found = []
    for name in ("controller.quorum.voters", "controller.quorum.bootstrap.servers"):
        nodes = _items(known.get(name, ""))
        if len(nodes) > 1:
            reason = f"this broker is a cluster of its own: it knows none of the {len(nodes)} nodes"
            found.append(Ignored(name, reason))
    return tuple(found)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
