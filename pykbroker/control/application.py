"""The control interface as an aiohttp application.

It is for programs of this machine. A page in a browser is not one: what is asked must be addressed
to a loopback address, so that no name that was made to point here will do, and bodies must say that
they are JSON, which other pages' forms cannot.
"""

import json
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from pykbroker.control import schemas
from pykbroker.control.addresses import is_loopback
from pykbroker.control.as_json import rule_as_json, tap_as_json
from pykbroker.control.live import Live
from pykbroker.control.openapi import document
from pykbroker.control.schemas import Schema, SchemaError
from pykbroker.faults import moves
from pykbroker.faults.movable_clock import MS_PER_S, MovableClock
from pykbroker.faults.rules import RuleError, Rules
from pykbroker.faults.server import FaultyServer
from pykbroker.tap.taps import LAST, Taps

JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"
MOVE_S: Final = 1.0
NO_NUMBER: Final = 0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """What may be done to a server, request by request.

    Args:
        server: To which it is done.
        rules: Those of the server.
        clock: That of the server.
        taps: Those of the server.
    """

    def __init__(self, server: FaultyServer, rules: Rules, clock: MovableClock, taps: Taps) -> None:
        self._server = server
        self._rules = rules
        self._clock = clock
        self._taps = taps
        self._listeners: set[Live] = set()
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
        router.add_get("/taps", self._list_taps, allow_head=False)
        router.add_post("/taps", self._open_tap)
        router.add_delete("/taps", self._close_taps)
        router.add_get("/taps/{id}", self._get_tap, allow_head=False)
        router.add_delete("/taps/{id}", self._close_tap)
        router.add_get("/taps/{id}/exchanges", self._tapped, allow_head=False)
        router.add_get("/exchanges", self._listen, allow_head=False)
        application.on_shutdown.append(self._end_listening)
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
        rule = self._rules.get(_number(request))
        return _none("rule", request) if rule is None else web.json_response(rule_as_json(rule))

    async def _remove_rule(self, request: web.Request) -> web.Response:
        if not self._rules.discard(_number(request)):
            return _none("rule", request)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    # -- taps --------------------------------------------------------------------------------

    async def _list_taps(self, request: web.Request) -> web.Response:
        return web.json_response([tap_as_json(tap) for tap in self._taps])

    async def _open_tap(self, request: web.Request) -> web.Response:
        tap = self._taps.open(**({"last": LAST} | await _body(request, schemas.TAP)))
        return web.json_response(
            tap_as_json(tap),
            status=HTTPStatus.CREATED,
            headers={"Location": f"/taps/{tap.id}"},
        )

    async def _close_taps(self, request: web.Request) -> web.Response:
        self._taps.clear()
        for live in self._listeners:
            live.end()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_tap(self, request: web.Request) -> web.Response:
        tap = self._taps.get(_number(request))
        return _none("tap", request) if tap is None else web.json_response(tap_as_json(tap))

    async def _close_tap(self, request: web.Request) -> web.Response:
        if not self._taps.discard(_number(request)):
            return _none("tap", request)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _tapped(self, request: web.Request) -> web.Response:
        tap = self._taps.get(_number(request))
        return _none("tap", request) if tap is None else web.json_response(tap.exchanges)

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        chosen = _query(request)
        live = Live()
        response = web.StreamResponse(headers={"Content-Type": JSON_LINES})
        with self._taps.open(**chosen, listener=live.put):
            self._listeners.add(live)
            try:
                await response.prepare(request)
                async for line in live.lines(lambda: _is_gone(request)):
                    await response.write(line)
                await response.write_eof()
            except ConnectionError:
                pass  # whoever listened does so no more
            finally:
                self._listeners.discard(live)
        return response

    async def _end_listening(self, application: web.Application) -> None:
        for live in self._listeners:
            live.end()

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


def _none(kind: str, request: web.Request) -> web.Response:
    return _problem(HTTPStatus.NOT_FOUND, f"there is no {kind} {request.match_info['id']}")


def _number(request: web.Request) -> int:
    """Return the number in the path; one that nothing has if it is none."""
    text = request.match_info["id"]
    return int(text) if _is_number(text) else NO_NUMBER


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(schemas.MAX_COUNT))


def _query(request: web.Request) -> dict[str, Any]:
    """Return which exchanges are asked for.

    Raises:
        SchemaError: The query is not what is described.
    """
    chosen: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        chosen[name] = values if name == "api" else values[0]
        if len(values) > 1 and name != "api":
            raise SchemaError(f"{name} is given twice")
    partition = chosen.get("partition", "")
    if _is_number(partition):
        chosen["partition"] = int(partition)
    schemas.check(chosen, schemas.LISTENING, "the query")
    return chosen


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def serve(
    server: FaultyServer, rules: Rules, clock: MovableClock, taps: Taps, listening: socket.socket
) -> web.AppRunner:
    """Serve the interface of a server on a socket; whoever waits there already is answered."""
    application = Control(server, rules, clock, taps).application()
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner
