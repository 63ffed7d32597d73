"""The settings of every kind of resource: what they are, and what a request makes of them.

Pure. The order of the checks is Kafka 4.3's: the request's form (`ConfigAdminManager` on the
broker), then the resource and its settings as a whole (the controller's validator).
"""

import re
from collections.abc import Mapping, Sequence

from pykbroker.config.broker import BrokerConfig
from pykbroker.config.keys import ConfigError
from pykbroker.config.sources import (
    BrokerLayers,
    DescribedConfig,
    describe_broker,
    describe_broker_default,
    describe_client_metrics,
    describe_created_topic,
    describe_group,
    describe_topic,
)
from pykbroker.metadata.config_changes import (
    ConfigChange,
    ConfigReplacement,
    apply_change,
    apply_replacement,
    find_repeated_resources,
)
from pykbroker.metadata.config_rules import (
    effective_broker_config,
    validate_broker_configs,
    validate_broker_resource,
    validate_client_metrics_configs,
    validate_group_configs,
    validate_topic_configs,
    validate_topic_resource,
)
from pykbroker.metadata.image import MetadataImage, ResourceType, TopicImage
from pykbroker.metadata.topics import validate_topic_name
from pykbroker.protocol.errors import ErrorCode, KafkaError

_ALTERABLE = (
    ResourceType.TOPIC,
    ResourceType.BROKER,
    ResourceType.GROUP,
    ResourceType.CLIENT_METRICS,
)


def plan_configs(
    changes: Sequence[ConfigChange | ConfigReplacement],
    image: MetadataImage,
    static: BrokerConfig,
    broker: BrokerConfig,
) -> tuple[MetadataImage, list[KafkaError | None]]:
    """Return the image after all good changes, and an error or None for each change.

    Args:
        changes: What is asked for.
        image: The current image.
        static: The broker's settings without dynamic ones.
        broker: The broker's settings in force.
    """
    repeated = find_repeated_resources(changes)
    results: list[KafkaError | None] = []
    for change in changes:
        try:
            if (change.resource_type, change.resource_name) in repeated:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, "Each resource must appear at most once."
                )
            image = _plan(change, image, static, broker)
            results.append(None)
        except KafkaError as error:
            results.append(error)
    return image, results


def _plan(
    change: ConfigChange | ConfigReplacement,
    image: MetadataImage,
    static: BrokerConfig,
    broker: BrokerConfig,
) -> MetadataImage:
    if change.resource_type not in _ALTERABLE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {change.resource_type}")
    kind, name = ResourceType(change.resource_type), change.resource_name
    before = image.configs(kind, name)
    if isinstance(change, ConfigChange):
        after = apply_change(before, change)
    else:
        after = apply_replacement(change)
    if kind is ResourceType.TOPIC:
        validate_topic_resource(name, image.topics)
        validate_topic_configs(after, broker.settings)
    elif kind is ResourceType.GROUP:
        validate_group_configs(name, after, broker)
    elif kind is ResourceType.CLIENT_METRICS:
        validate_client_metrics_configs(name, after)
    else:
        validate_broker_resource(name, image.node_id)
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        validate_broker_configs(name, changed)
        _validate_together(name, after, image, static)
    # An unchanged image needs no transaction.
    return image if after == before else image.with_configs(kind, name, after)


def _validate_together(
    name: str, after: Mapping[str, str], image: MetadataImage, static: BrokerConfig
) -> None:
    """Refuse dynamic broker settings that do not fit to the others."""
    layers = {**image.broker_configs, name: after}
    try:
        effective_broker_config(static, layers.get("", {}), layers.get(str(image.node_id), {}))
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, str(error)) from error


def describe_resource(
    resource_type: int, name: str, image: MetadataImage, static: BrokerConfig
) -> list[DescribedConfig]:
    """Return all settings of a resource with their sources, sorted by name.

    Raises:
        KafkaError: INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST.
    """
    if resource_type not in _ALTERABLE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {resource_type}")
    own = image.configs(ResourceType(resource_type), name)
    layers = _layers(image, static)
    if resource_type == ResourceType.TOPIC:
        validate_topic_name(name)
        if name not in image.topics:
            # Without a word, as in Kafka.
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        return describe_topic(own, layers)
    if resource_type == ResourceType.GROUP:
        return describe_group(own, layers)
    if resource_type == ResourceType.CLIENT_METRICS:
        return describe_client_metrics(own)
    _validate_described_broker(name, image.node_id)
    return describe_broker(layers) if name else describe_broker_default(own)


def describe_topic_image(
    topic: TopicImage, image: MetadataImage, static: BrokerConfig
) -> list[DescribedConfig]:
    """Return all settings of a new topic, which need not be in the image, sorted by name."""
    return describe_created_topic(topic.configs, _layers(image, static))


def _layers(image: MetadataImage, static: BrokerConfig) -> BrokerLayers:
    return BrokerLayers(
        static.settings,
        image.broker_configs.get("", {}),
        image.broker_configs.get(str(image.node_id), {}),
    )


def _validate_described_broker(name: str, node_id: int) -> None:
    if name and not re.fullmatch(r"[+-]?[0-9]{1,10}", name):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}"
        )
    if name and int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id} or empty string, but received {name}",
        )
