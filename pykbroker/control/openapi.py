"""The OpenAPI document of the control interface."""

from collections.abc import Mapping
from typing import Any, Final

from pykbroker import __version__
from pykbroker.control import schemas
from pykbroker.control.schemas import Schema

_SCHEMAS: Final[Mapping[str, Schema]] = {
    "Rule": schemas.RULE,
    "RuleInForce": schemas.RULE_IN_FORCE,
    "Tap": schemas.TAP,
    "TapOpened": schemas.TAP_OPENED,
    "Exchange": schemas.EXCHANGE,
    "Clock": schemas.CLOCK,
    "Advance": schemas.ADVANCE,
    "Broker": schemas.BROKER,
    "BrokerChange": schemas.BROKER_CHANGE,
    "CoordinatorMove": schemas.COORDINATOR_MOVE,
    "LeaderChange": schemas.LEADER_CHANGE,
    "Problem": schemas.PROBLEM,
}
LIVE: Final = "/exchanges"
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": schemas.MAX_COUNT},
}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(about: str, schema: Schema | None = None) -> dict[str, Any]:
    return {"description": about} | ({} if schema is None else {"content": _json(schema)})


def _problem(about: str) -> dict[str, Any]:
    return _answer(about, _ref("Problem"))


def _query(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _operation(
    summary: str,
    answers: Mapping[str, dict[str, Any]],
    *,
    body: str | None = None,
    parameters: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": dict(answers)}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(_ref(body))}
        operation["responses"]["400"] = _problem("This cannot be done.")
        operation["responses"]["415"] = _problem("The body is no JSON.")
    if parameters:
        operation["parameters"] = list(parameters)
    return operation


def _taps() -> dict[str, Any]:
    gone = _problem("There is no such tap.")
    done = {"204": _answer("It is done.")}
    exchanges = {"type": "array", "items": _ref("Exchange")}
    lines = {"description": "An exchange a line.", "content": {"application/x-ndjson": {}}}
    return {
        "/taps": {
            "get": _operation(
                "List the taps",
                {"200": _answer("The taps.", {"type": "array", "items": _ref("TapOpened")})},
            ),
            "post": _operation(
                "Keep the last exchanges of each connection from now on",
                {"201": _answer("The tap.", _ref("TapOpened"))},
                body="Tap",
            ),
            "delete": _operation("Close all taps, and end what is told live", done),
        },
        "/taps/{id}": {
            "get": _operation(
                "Tell how many exchanges there have been",
                {"200": _answer("The tap.", _ref("TapOpened")), "404": gone},
                parameters=(_ID,),
            ),
            "delete": _operation("Close a tap", done | {"404": gone}, parameters=(_ID,)),
        },
        "/taps/{id}/exchanges": {
            "get": _operation(
                "Tell what is kept, in the order in which it was answered",
                {"200": _answer("The exchanges.", exchanges), "404": gone},
                parameters=(_ID,),
            )
        },
        LIVE: {
            "get": _operation(
                "Tell exchanges as they come, an object a line; does not end by itself",
                {"200": lines, "400": _problem("This cannot be asked for.")},
                parameters=tuple(_query(name, each) for name, each in schemas.MATCH.items()),
            )
        },
    }


def document() -> dict[str, Any]:
    """Return the document, as OpenAPI 3.1."""
    gone = _problem("There is no such rule.")
    clock = {"200": _answer("What time it is then.", _ref("Clock"))}
    broker = {"200": _answer("What is so then.", _ref("Broker"))}
    done = {"204": _answer("It is done.")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pykbroker control",
            "version": __version__,
            "description": "Faults and time of a broker, and what it is asked, for tests.",
        },
        "paths": {
            "/rules": {
                "get": _operation(
                    "List the rules in force, in the order in which they are asked",
                    {"200": _answer("The rules.", {"type": "array", "items": _ref("RuleInForce")})},
                ),
                "post": _operation(
                    "Put a rule in force",
                    {"201": _answer("The rule.", _ref("RuleInForce"))},
                    body="Rule",
                ),
                "delete": _operation("Remove all rules", done),
            },
            "/rules/{id}": {
                "get": _operation(
                    "Tell how often a rule was applied",
                    {"200": _answer("The rule.", _ref("RuleInForce")), "404": gone},
                    parameters=(_ID,),
                ),
                "delete": _operation("Remove a rule", done | {"404": gone}, parameters=(_ID,)),
            },
            **_taps(),
            "/clock": {"get": _operation("Tell the broker's time", clock)},
            "/clock/advance": {
                "post": _operation(
                    "Move time on; what is due until then happens now", clock, body="Advance"
                )
            },
            "/clock/stop": {"post": _operation("Have time pass by advance alone", clock)},
            "/clock/resume": {"post": _operation("Have time pass as it does", clock)},
            "/broker": {
                "get": _operation("Tell what has happened to the broker", broker),
                "patch": _operation("Have something happen", broker, body="BrokerChange"),
            },
            "/moves/coordinator": {
                "post": _operation(
                    "Have a group or a transactional id without a coordinator for a while",
                    done,
                    body="CoordinatorMove",
                )
            },
            "/moves/leader": {
                "post": _operation(
                    "Have a partition without a leader for a while, then with a new one",
                    done,
                    body="LeaderChange",
                )
            },
        },
        "components": {"schemas": dict(_SCHEMAS)},
    }
