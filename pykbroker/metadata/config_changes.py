"""What IncrementalAlterConfigs and AlterConfigs ask for, and what becomes of a resource's settings.

Pure. Source: `ConfigurationControlManager.incrementalAlterConfig` and `ConfigAdminManager` of
Kafka 4.3.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.keys import ConfigKey, ConfigType
from pykbroker.config.topic import TOPIC_KEYS
from pykbroker.metadata.image import ResourceType
from pykbroker.protocol.errors import ErrorCode, KafkaError


class AlterOperation(IntEnum):
    """What to do with one setting; Kafka's numbers (`AlterConfigOp.OpType`)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigOperation(NamedTuple):
    """One change of one setting; `operation` is an `AlterOperation`, as the peer sent it."""

    name: str
    operation: int
    value: str | None = None


class ConfigChange(NamedTuple):
    """Changes of some settings of one resource; the others stay (IncrementalAlterConfigs)."""

    resource_type: int
    resource_name: str
    operations: tuple[ConfigOperation, ...]


class ConfigReplacement(NamedTuple):
    """All settings that a resource shall have from now on (AlterConfigs)."""

    resource_type: int
    resource_name: str
    configs: tuple[tuple[str, str | None], ...]


def find_repeated_resources(
    changes: Sequence[ConfigChange | ConfigReplacement],
) -> set[tuple[int, str]]:
    """Return the resources that a request names more than once: none of them is changed."""
    counts = Counter((change.resource_type, change.resource_name) for change in changes)
    return {resource for resource, count in counts.items() if count > 1}


def apply_change(current: Mapping[str, str], change: ConfigChange) -> dict[str, str]:
    """Return the settings of a resource after a change, not yet checked.

    APPEND leaves out items that the list has; without a value of its own the resource's list
    starts from the default. DELETE of what is not set, or not even known, does nothing.

    Raises:
        KafkaError: INVALID_REQUEST for a setting named twice, a null value or an unknown
            operation; INVALID_CONFIG for an APPEND or SUBTRACT on what is no list.
    """
    operations = change.operations
    if len({operation.name for operation in operations}) != len(operations):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    nulls = [
        operation.name
        for operation in operations
        if operation.value is None and operation.operation != AlterOperation.DELETE
    ]
    _refuse_nulls(nulls)
    after = dict(current)
    for operation in operations:
        value = operation.value or ""
        if operation.operation == AlterOperation.SET:
            after[operation.name] = value
        elif operation.operation == AlterOperation.DELETE:
            after.pop(operation.name, None)
        elif operation.operation in (AlterOperation.APPEND, AlterOperation.SUBTRACT):
            append = operation.operation == AlterOperation.APPEND
            items = _list_items(change.resource_type, operation.name, current, append)
            named = value.split(",")
            if append:
                items += [item for item in dict.fromkeys(named) if item not in items]
            else:
                items = [item for item in items if item not in named]
            after[operation.name] = ",".join(items)
        else:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown operation {operation.operation}")
    return after


def apply_replacement(replacement: ConfigReplacement) -> dict[str, str]:
    """Return the settings of a resource after a replacement, not yet checked.

    Raises:
        KafkaError: INVALID_REQUEST for a setting named twice or a null value.
    """
    names = [name for name, _ in replacement.configs]
    if len(set(names)) != len(names):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    _refuse_nulls([name for name, value in replacement.configs if value is None])
    return {name: value or "" for name, value in replacement.configs}


def _refuse_nulls(names: Sequence[str]) -> None:
    if names:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(names)}"
        )


def _list_items(
    resource_type: int, name: str, current: Mapping[str, str], append: bool
) -> list[str]:
    """Return the items that a list setting has now."""
    # Kafka knows the types of topic and broker settings only at this place.
    keys: Mapping[int, Mapping[str, ConfigKey]] = {
        ResourceType.TOPIC: TOPIC_KEYS,
        ResourceType.BROKER: BROKER_KEYS,
    }
    key = keys.get(resource_type, {}).get(name)
    if key is None or key.type is not ConfigType.LIST:
        word = "APPEND" if append else "SUBTRACT"
        if resource_type == ResourceType.BROKER:
            message = f"Config value {word.lower()} is not allowed for config key: {name}"
        else:
            message = f"Can't {word} to key {name} because its type is not LIST."
        raise KafkaError(ErrorCode.INVALID_CONFIG, message)
    text = current.get(name, key.default or "")
    return [item.strip() for item in text.split(",") if item.strip()]
