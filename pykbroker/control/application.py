"""The control interface as an aiohttp application.

It is for programs of this machine. A page in a browser is not one: what is asked must be addressed
to a loopback address, so that no name that was made to point here will do, and bodies must say that
they are JSON, which other pages' forms cannot.
"""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web

from pykbroker.control import schemas
from pykbroker.control.openapi import document
from pykbroker.control.schemas import Schema, SchemaError
from pykbroker.faults import moves
from pykbroker.faults.movable_clock import MS_PER_S, MovableClock
from pykbroker.faults.rules import End, Rule, RuleError, Rules
from pykbroker.faults.server import FaultyServer

JSON: Final = "application/json"
MOVE_S: Final = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """What may be done to a server, request by request.

    Args:
        server: To which it is done.
        rules: Those of the server.
        clock: That of the server.
    """

    def __init__(self, server: FaultyServer, rules: Rules, clock: MovableClock) -> None:
        self._server = server
        self._rules = rules
        self._clock = clock
        self._is_available = True

    def application(self) -> web.Application:
        """Return what serves it."""
        application = web.Application(middlewares=[web.middleware(_guard)])
        router = application.router
        router.add_get("/openapi.json", self._openapi, allow_head=False)
        router.add_get("/rules", self._list_rules, allow_head=False)
        router.add_post("/rules", self._add_rule)
        router.add_delete("/rules", self._clear_rules)
        router.add_get("/rules/{id}", self._get_rule, allow_head=False)
        router.add_delete("/rules/{id}", self._remove_rule)
        router.add_get("/clock", self._get_clock, allow_head=False)
        router.add_post("/clock/advance", self._advance)
        router.add_post("/clock/stop", self._stop_clock)
        router.add_post("/clock/resume", self._resume_clock)
        router.add_get("/broker", self._get_broker, allow_head=False)
        router.add_patch("/broker", self._change_broker)
        router.add_post("/moves/coordinator", self._move_coordinator)
        router.add_post("/moves/leader", self._change_leader)
        return application

    # -- rules -------------------------------------------------------------------------------

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(document())

    async def _list_rules(self, request: web.Request) -> web.Response:
        return web.json_response([rule_as_json(rule) for rule in self._rules])

    async def _add_rule(self, request: web.Request) -> web.Response:
        rule = self._rules.add(**await _body(request, schemas.RULE))
        return web.json_response(
            rule_as_json(rule),
            status=HTTPStatus.CREATED,
            headers={"Location": f"/rules/{rule.id}"},
        )

    async def _clear_rules(self, request: web.Request) -> web.Response:
        self._rules.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_rule(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        rule = self._rules.get(int(number)) if _is_number(number) else None
        if rule is None:
            return _problem(HTTPStatus.NOT_FOUND, f"there is no rule {number}")
        return web.json_response(rule_as_json(rule))

    async def _remove_rule(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if not _is_number(number) or not self._rules.discard(int(number)):
            return _problem(HTTPStatus.NOT_FOUND, f"there is no rule {number}")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    # -- clock -------------------------------------------------------------------------------

    async def _get_clock(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"now_ms": self._clock.now_ms(), "is_stopped": self._clock.is_standing}
        )

    async def _advance(self, request: web.Request) -> web.Response:
        body = await _body(request, schemas.ADVANCE)
        await self._clock.advance(body["seconds"] * MS_PER_S)
        return await self._get_clock(request)

    async def _stop_clock(self, request: web.Request) -> web.Response:
        self._clock.stand_still()
        return await self._get_clock(request)

    async def _resume_clock(self, request: web.Request) -> web.Response:
        self._clock.run()
        return await self._get_clock(request)

    # -- incidents ---------------------------------------------------------------------------

    async def _get_broker(self, request: web.Request) -> web.Response:
        disk = self._server.disk
        return web.json_response(
            {
                "available": self._is_available,
                "disk_full": disk.is_full,
                "failing_fsyncs": disk.failing_syncs,
            }
        )

    async def _change_broker(self, request: web.Request) -> web.Response:
        change = await _body(request, schemas.BROKER_CHANGE)
        disk = self._server.disk
        if change.get("failing_fsyncs") and not disk.fsync_enabled:
            raise SchemaError("this broker does not fsync: pykbroker.fsync=always")
        is_available = change.get("available", self._is_available)
        if is_available and not self._is_available:
            await self._server.resume()
        elif self._is_available and not is_available:
            self._server.suspend()
        self._is_available = is_available
        disk.is_full = change.get("disk_full", disk.is_full)
        disk.failing_syncs = change.get("failing_fsyncs", disk.failing_syncs)
        return await self._get_broker(request)

    async def _move_coordinator(self, request: web.Request) -> web.Response:
        body = {"for_s": MOVE_S} | await _body(request, schemas.COORDINATOR_MOVE)
        moves.move_coordinator(self._rules, **body)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _change_leader(self, request: web.Request) -> web.Response:
        body = {"for_s": MOVE_S} | await _body(request, schemas.LEADER_CHANGE)
        await moves.change_leader(self._rules, self._server.broker.metadata, **body)
        return web.Response(status=HTTPStatus.NO_CONTENT)


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as `RULE_IN_FORCE` describes it; what it does not say is left out."""
    match, fault, limits = rule.match, rule.fault, rule.limits
    closes = {End.CLOSE_BEFORE: "before", End.CLOSE_AFTER: "after"}
    said = {
        "id": rule.id,
        "matched": rule.matched,
        "applied": rule.applied,
        "api": None if match.apis is None else sorted(api.display_name for api in match.apis),
        "client_id": match.client_id,
        "topic": match.topic,
        "partition": match.partition,
        "group": match.group,
        "transactional_id": match.transactional_id,
        "first": limits.first,
        "times": limits.times,
        "probability": limits.probability,
        "seed": limits.seed,
        "error": None if fault.error is None else fault.error.name,
        "after_effect": fault.after_effect or None,
        "close": None if fault.end is None else closes.get(fault.end),
        "lose_answer": fault.end is End.LOSE_ANSWER or None,
        "delay_ms": fault.delay_ms or None,
        "throttle_ms": fault.throttle_ms or None,
        "read_bytes_per_s": fault.read_bytes_per_s or None,
    }
    return {name: value for name, value in said.items() if value is not None}


async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer for this machine's programs alone, and say what is wrong with a request."""
    if not is_loopback(request.url.host or ""):
        return _problem(HTTPStatus.FORBIDDEN, f"{request.host} is no loopback address")
    try:
        return await handler(request)
    except (SchemaError, RuleError) as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error))
    except web.HTTPException as refusal:
        if refusal.status < HTTPStatus.BAD_REQUEST:
            raise
        answer = _problem(HTTPStatus(refusal.status), refusal.reason)
        if "Allow" in refusal.headers:
            answer.headers["Allow"] = refusal.headers["Allow"]
        return answer


async def _body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """Return what was sent.

    Raises:
        SchemaError: It is not what is described.
        HTTPUnsupportedMediaType: It does not say that it is JSON.
    """
    if request.content_type != JSON:
        raise web.HTTPUnsupportedMediaType(reason=f"the body must be {JSON}")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the body is no JSON: {error}") from error
    schemas.check(body, schema)
    assert isinstance(body, dict)
    return body


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    return web.json_response({"detail": detail}, status=status)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(schemas.MAX_COUNT))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
