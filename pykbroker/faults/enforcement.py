"""Carries out what rules say, between the dispatcher and the handlers.

It stands in the place of handlers only while there are rules, or time is moved on. Requests that no
rule is for are handled as ever; what a rule is for is carried out by a task. What comes while time
is moved on is handled behind it: a heartbeat that came in between would save a member that has sent
none for an hour.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any, Final

from pykbroker.broker import Broker
from pykbroker.faults.marking import MARKED_APIS, SESSION_ERRORS, MarkedSubject
from pykbroker.faults.matching import Asked, Item
from pykbroker.faults.movable_clock import MovableClock
from pykbroker.faults.places import Subject, merge
from pykbroker.faults.rules import End, Failing, Rules, Verdict
from pykbroker.handlers import LoadedApi, Message
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.request_context import CloseConnection, RequestContext

MS_PER_S: Final = 1000


class Enforcement:
    """The rules of one running broker, in its event loop.

    Args:
        rules: What is to be carried out.
        broker: Whose requests these are.
        clock: The broker's, if it can be moved.
    """

    def __init__(self, rules: Rules, broker: Broker, clock: MovableClock | None = None) -> None:
        self._rules = rules
        self._broker = broker
        self._clock = clock
        self._held: set[asyncio.Future[None]] = set()
        self._is_released = False

    def wrap(self, loaded: LoadedApi) -> LoadedApi:
        """Return an API that obeys the rules."""
        return replace(loaded, handle=partial(self._handle, loaded))

    def release(self) -> None:
        """Close the connections of all requests that are held: the broker is about to stop."""
        self._is_released = True
        for future in self._held:
            if not future.done():
                future.set_result(None)

    def _handle(
        self, loaded: LoadedApi, context: RequestContext, request: Any
    ) -> Message | Awaitable[Message | None] | None:
        if self._clock is not None and self._clock.is_advancing:
            return self._handle_behind(self._clock, loaded, context, request)
        subject = self._subject(loaded, context, request)
        asked = Asked(loaded.api.key, context.client_id, subject.items())
        verdict = self._rules.decide(asked)
        if verdict is None:
            return loaded.handle(context, request)
        return self._carry_out(loaded, context, request, subject, asked, verdict)

    async def _handle_behind(
        self, clock: MovableClock, loaded: LoadedApi, context: RequestContext, request: Any
    ) -> Message | None:
        await clock.settled()
        result: Any = self._handle(loaded, context, request)
        answer: Message | None = result
        if isawaitable(result):
            answer = await result
        return answer

    def _subject(
        self, loaded: LoadedApi, context: RequestContext, request: Any
    ) -> Subject | MarkedSubject:
        key, image = loaded.api.key, self._broker.metadata.image
        if key not in MARKED_APIS:
            return Subject(key, request, image)
        session = (
            self._broker.fetch_sessions.partitions_of(request.session_id)
            if key == ApiKey.FETCH and request.session_epoch > 0
            else ()
        )
        return MarkedSubject(key, context.api_version, request, image, session)

    async def _carry_out(
        self,
        loaded: LoadedApi,
        context: RequestContext,
        request: Any,
        subject: Subject | MarkedSubject,
        asked: Asked,
        verdict: Verdict,
    ) -> Message | None:
        delay_ms = verdict.delay_ms
        if verdict.read_bytes_per_s:
            size_bytes = sum(map(len, request.encode(context.api_version)))
            delay_ms += size_bytes * MS_PER_S // verdict.read_bytes_per_s
        if delay_ms:
            await self._hold(delay_ms)
        if verdict.end is End.CLOSE_BEFORE:
            raise CloseConnection(f"a rule: {verdict.end}")
        if verdict.end is not None:
            with suppress(KafkaError):  # nobody will hear of it
                await _response(loaded, context, request)
            if verdict.end is End.LOSE_ANSWER:
                await self._hold(None)
            raise CloseConnection(f"a rule: {verdict.end}")
        response: Any
        try:
            if isinstance(subject, MarkedSubject):
                response = await _marked(loaded, context, request, subject, verdict)
            else:
                response = await _refused(loaded, context, request, subject, asked, verdict)
        except KafkaError as error:
            if not verdict.throttle_ms:
                raise
            response = loaded.error_response(request, error.code, error.message)
        if response is not None and verdict.throttle_ms and hasattr(response, "throttle_time_ms"):
            response.throttle_time_ms = max(response.throttle_time_ms, verdict.throttle_ms)
        answer: Message | None = response
        return answer

    async def _hold(self, delay_ms: int | None) -> None:
        """Wait; without a time until the broker stops.

        Raises:
            CloseConnection: It stops.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = None
        if delay_ms is not None:
            timer = loop.call_later(delay_ms / MS_PER_S, _done, future)
        self._held.add(future)
        try:
            if not self._is_released:
                await future
        finally:
            self._held.discard(future)
            if timer is not None:
                timer.cancel()
        if self._is_released:
            raise CloseConnection("the broker is stopping")


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _response(loaded: LoadedApi, context: RequestContext, request: Any) -> Any:
    """Handle a request, whatever it takes."""
    result: Any = loaded.handle(context, request)
    if result is None or isinstance(result, loaded.response_type):
        return result
    return await result


async def _marked(
    loaded: LoadedApi,
    context: RequestContext,
    request: Any,
    subject: MarkedSubject,
    verdict: Verdict,
) -> Any:
    for each in verdict.failing:
        if loaded.api.key == ApiKey.FETCH and each.code in SESSION_ERRORS:
            raise KafkaError(each.code)
    if verdict.failing:
        subject.prepare()
    response = await _response(loaded, context, request)
    for each in verdict.failing:
        is_of_offsets = loaded.api.key == ApiKey.OFFSET_FETCH
        narrow = each.match.topic if is_of_offsets else each.match.partition
        subject.mark(response, each.items, each.code, narrowly=narrow is not None)
    return response


async def _refused(
    loaded: LoadedApi,
    context: RequestContext,
    request: Any,
    subject: Subject,
    asked: Asked,
    verdict: Verdict,
) -> Any:
    """Handle what no error is for, and answer for all."""
    failing, places = verdict.failing, subject.places
    if not failing:
        return await _response(loaded, context, request)
    undone = {item for each in failing if not each.after_effect for item in each.items}
    if places is None or places.results is None or _is_one_error(failing, asked):
        if not undone:
            await _response(loaded, context, request)
        _refuse_unanswered(request)
        raise KafkaError(failing[0].code)
    rest = [item for item in asked.items if item not in undone]
    if rest and places.is_atomic and undone:
        response: Any = loaded.error_response(
            subject.part(rest.__contains__), ErrorCode.OPERATION_NOT_ATTEMPTED, None
        )
    elif rest:
        kept = subject.part(lambda item: item not in undone) if undone else request
        response = await _response(loaded, context, kept)
    else:
        response = loaded.response_type()
    _refuse_unanswered(request)
    for each in failing:
        part = subject.part(each.items.__contains__)
        merge(places, response, loaded.error_response(part, each.code, None))
    return response


def _is_one_error(failing: list[Failing], asked: Asked) -> bool:
    """Whether a request fails as a whole; what is said of a topic is told where topics are."""
    match = failing[0].match
    if match.topic is not None or match.partition is not None:
        return False
    items: set[Item] = set(failing[0].items)
    return len(failing) == 1 and items.issuperset(asked.items)


def _refuse_unanswered(request: Any) -> None:
    """Close the connection of who wants no answer, and would not hear of the error."""
    if getattr(request, "acks", None) == 0:
        raise CloseConnection("a rule: an error in a produce request with acks=0")
