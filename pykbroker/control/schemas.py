"""What is sent and answered as JSON: schemas, as the OpenAPI document has them, and their check.

The document and the check go by the same objects, so that what is described is what is accepted.
Of JSON Schema there is what these need and no more.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode

Schema = Mapping[str, Any]

MAX_NAME: Final = 1000
MAX_COUNT: Final = 2**31 - 1
MAX_KEPT: Final = 10_000
MAX_MS: Final = 86_400_000
MAX_S: Final = 86_400.0
# Time that a test may let pass at once: ten years.
MAX_ADVANCE_S: Final = 315_360_000.0


class SchemaError(ValueError):
    """What was sent is not what the document describes."""


def _text(about: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "description": about}


def _integer(about: str, least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, "description": about}


def _number(about: str, least: float, most: float) -> dict[str, Any]:
    return {"type": "number", "minimum": least, "maximum": most, "description": about}


def _object(properties: Mapping[str, Schema], *required: str) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return schema | ({"required": list(required)} if required else {})


API: Final[Schema] = {"type": "string", "enum": [api.display_name for api in ApiKey]}
ERROR: Final[Schema] = {
    "type": "string",
    "enum": [code.name for code in ErrorCode if code is not ErrorCode.NONE],
    "description": "A Kafka error, for the items that match.",
}

_SPARED: Final = _text("This client is left alone, unless client_id is its very name.")
MATCH: Final[Mapping[str, Schema]] = {
    "api": {"type": "array", "items": API, "minItems": 1, "description": "One of these APIs."},
    "client_id": _text("The client's id; may have the wildcards *, ? and [...], as all names."),
    "topic": _text("A topic that the request is about."),
    "partition": _integer("A partition that it is about.", 0, MAX_COUNT),
    "group": _text("A group that it is about."),
    "transactional_id": _text("A transactional id that it is about or part of."),
    "spared_client": _SPARED,
}
RULE: Final[Schema] = _object(
    {
        **MATCH,
        "first": _integer("The first match that gets the fault.", 1, MAX_COUNT),
        "times": _integer("So many get it.", 1, MAX_COUNT),
        "probability": _number("Each of them gets it with this probability.", 0, 1),
        "seed": _integer("Of the draws.", 0, MAX_COUNT),
        "for_s": _number("The rule ends so many seconds from now.", 0, MAX_S),
        "error": ERROR,
        "after_effect": {"type": "boolean", "description": "The error comes after the effect."},
        "close": {
            "type": "string",
            "enum": ["before", "after"],
            "description": "The connection is closed before or after the request took effect.",
        },
        "lose_answer": {"type": "boolean", "description": "It takes effect and is not answered."},
        "delay_ms": _integer("It is begun so much later.", 0, MAX_MS),
        "throttle_ms": _integer("The answer tells this throttle time.", 0, MAX_MS),
        "read_bytes_per_s": _integer("It is read at this speed.", 0, MAX_COUNT),
    }
)

_COUNTED: Final = {
    "id": _integer("Of the rule.", 1, MAX_COUNT),
    "matched": _integer("So many requests have matched.", 0, MAX_COUNT),
    "applied": _integer("So many of them have got the fault.", 0, MAX_COUNT),
}
RULE_IN_FORCE: Final[Schema] = _object(
    {**RULE["properties"], **_COUNTED}, *_COUNTED, "first", "probability", "seed"
)

LISTENING: Final[Schema] = _object(MATCH)
TAP: Final[Schema] = _object(
    {**MATCH, "last": _integer("Keep so many exchanges of each connection.", 1, MAX_KEPT)}
)
TAP_OPENED: Final[Schema] = _object(
    {
        **TAP["properties"],
        "id": _integer("Of the tap.", 1, MAX_COUNT),
        "told": _integer("So many exchanges there have been.", 0, MAX_COUNT),
    },
    "id",
    "last",
    "told",
)
_MESSAGE: Final = {
    "type": ["object", "null"],
    "description": "Its fields as Kafka names them, without what they have by default.",
}
_EXCHANGE: Final[Mapping[str, Schema]] = {
    "time": {"type": "string", "format": "date-time", "description": "When the request came."},
    "connection": {"type": "string", "description": "The client's address."},
    "client_id": {"type": "string"},
    "api": {"type": "string"},
    "version": {"type": "integer"},
    "correlation_id": {"type": "integer"},
    "took_ms": {"type": "number"},
    "request_bytes": {"type": "integer"},
    "response_bytes": {"type": "integer"},
    "request": _MESSAGE,
    "response": _MESSAGE,
}
EXCHANGE: Final[Schema] = _object(
    {**_EXCHANGE, "reason": {"type": "string", "description": "Why there is no response."}},
    *_EXCHANGE,
)

CLOCK: Final[Schema] = _object(
    {
        "now_ms": {"type": "integer", "description": "Wall time, since the epoch."},
        "is_stopped": {"type": "boolean", "description": "Time passes by `advance` alone."},
    },
    "now_ms",
    "is_stopped",
)
ADVANCE: Final[Schema] = _object(
    {"seconds": _number("So much passes now.", 0, MAX_ADVANCE_S)}, "seconds"
)

_BROKER: Final = {
    "available": {"type": "boolean", "description": "Connections are accepted."},
    "disk_full": {"type": "boolean", "description": "There is no room for records."},
    "failing_fsyncs": _integer("So many of the next fsyncs fail.", 0, MAX_COUNT),
}
BROKER: Final[Schema] = _object(_BROKER, *_BROKER)
BROKER_CHANGE: Final[Schema] = _object(_BROKER)

_FOR_S: Final = _number("So many seconds.", 0, MAX_S)
COORDINATOR_MOVE: Final[Schema] = _object(
    {
        "group": _text("Id of the group whose coordinator moves."),
        "transactional_id": _text("Or the transactional id."),
        "spared_client": _SPARED,
        "for_s": _FOR_S,
    }
)
LEADER_CHANGE: Final[Schema] = _object(
    {
        "topic": _text("Name of the topic."),
        "partition": _integer("Number of the partition.", 0, MAX_COUNT),
        "spared_client": _SPARED,
        "for_s": _FOR_S,
    },
    "topic",
    "partition",
)
PROBLEM: Final[Schema] = _object({"detail": {"type": "string"}}, "detail")

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def check(value: Any, schema: Schema, where: str = "the body") -> None:
    """Hold a value against a schema.

    Raises:
        SchemaError: With what is wrong where.
    """
    kind = schema["type"]
    if not _is_a(kind, value):
        raise SchemaError(f"{where} must be of type {kind}")
    if "enum" in schema and value not in schema["enum"]:
        raise SchemaError(f"{where} cannot be {value!r}")
    if kind == "object":
        _check_object(value, schema, where)
    elif kind == "array":
        if len(value) < schema["minItems"]:
            raise SchemaError(f"{where} is empty")
        for number, each in enumerate(value):
            check(each, schema["items"], f"{where}[{number}]")
    elif kind == "string":
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", MAX_NAME):
            raise SchemaError(f"{where} has {len(value)} characters")
    elif "minimum" in schema and not (
        isfinite(value) and schema["minimum"] <= value <= schema["maximum"]
    ):
        raise SchemaError(f"{where} must be from {schema['minimum']} to {schema['maximum']}")


def _is_a(kind: str, value: object) -> bool:
    # To Python true is a number.
    return isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")


def _check_object(value: Mapping[str, Any], schema: Schema, where: str) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            raise SchemaError(f"{where} lacks {name}")
    for name, each in value.items():
        if name not in schema["properties"]:
            raise SchemaError(f"{where} cannot have {name!r}")
        check(each, schema["properties"][name], name)
