"""Requests about settings, for the cases of several areas."""

from collections.abc import Sequence
from typing import Any

from compat.differential.session import Session
from pykbroker.protocol.messages.alter_configs import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
)
from pykbroker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterableConfig as IncrementalConfig,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    AlterConfigsResource as IncrementalResource,
)
from pykbroker.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
)

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
NODE = "1"
NEWEST_DESCRIBE, NEWEST_ALTER, NEWEST_INCREMENTAL = 4, 2, 1

# resource type, name, settings to describe
Described = tuple[int, str, Sequence[str] | None]
# resource type, name, settings and their values
Replaced = tuple[int, str, Sequence[tuple[str, str | None]]]
# resource type, name, settings, operations and values
Changed = tuple[int, str, Sequence[tuple[str, int, str | None]]]


def a_description(
    *resources: Described, synonyms: bool = True, documentation: bool = False
) -> DescribeConfigsRequest:
    """A request for settings; no names mean all."""
    return DescribeConfigsRequest(
        resources=[
            DescribeConfigsResource(
                resource_type=kind,
                resource_name=name,
                configuration_keys=None if keys is None else list(keys),
            )
            for kind, name, keys in resources
        ],
        include_synonyms=synonyms,
        include_documentation=documentation,
    )


def a_replacement(*resources: Replaced, validate_only: bool = False) -> AlterConfigsRequest:
    """A request for new settings in place of the old ones."""
    return AlterConfigsRequest(
        resources=[
            AlterConfigsResource(
                resource_type=kind,
                resource_name=name,
                configs=[AlterableConfig(name=key, value=value) for key, value in configs],
            )
            for kind, name, configs in resources
        ],
        validate_only=validate_only,
    )


def a_change(*resources: Changed, validate_only: bool = False) -> IncrementalAlterConfigsRequest:
    """A request to change some settings."""
    return IncrementalAlterConfigsRequest(
        resources=[
            IncrementalResource(
                resource_type=kind,
                resource_name=name,
                configs=[
                    IncrementalConfig(name=key, config_operation=operation, value=value)
                    for key, operation, value in configs
                ],
            )
            for kind, name, configs in resources
        ],
        validate_only=validate_only,
    )


# Kafka answers in no order, neither of resources nor of settings.
ANSWERS = {"responses": "resource_name"}
RESULTS = {"results": "resource_name", "configs": "name"}


def describe(session: Session, *resources: Described, version: int = NEWEST_DESCRIBE) -> Any:
    """Compare settings, with their synonyms."""
    return session.send(a_description(*resources), version, sort=RESULTS)


def own_settings(session: Session, kind: int, name: str) -> dict[str, str | None]:
    """What a resource was given itself, as the broker sees it now."""
    own_sources = {TOPIC: 1, GROUP: 8, CLIENT_METRICS: 7, BROKER: 2 if name else 3}
    answer = session.ask(a_description((kind, name, None)), NEWEST_DESCRIBE)
    return {
        config.name: config.value
        for config in answer.results[0].configs
        if config.config_source == own_sources[kind]
    }


def settle(session: Session, kind: int, name: str, expected: dict[str, str | None]) -> None:
    """Wait until the broker shows settings: Kafka answers a change before that."""
    session.eventually(
        lambda: own_settings(session, kind, name) == expected, what=f"settings {expected} of {name}"
    )
