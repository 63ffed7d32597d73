import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.primitives import Buffer
from pykbroker.request_context import CloseConnection, Deferred
from pykbroker.watching import NO_ANSWER_WANTED, Result, watched
from tests.harness.loop import run


class Heard:
    """Implements `Watcher`."""

    def __init__(self) -> None:
        self.outcome: object = None

    def answered(self, buffers: Iterable[Buffer]) -> None:
        self.outcome = list(buffers)

    def ended(self, outcome: str) -> None:
        self.outcome = outcome


def outcome(dispatch: Any) -> object:
    """What a watcher hears of a request; None as long as it is not known."""
    heard = Heard()

    async def main() -> None:
        result: Result = watched(dispatch, heard)
        if result is not None and not isinstance(result, list):
            assert heard.outcome is None
            result = await result
        assert result in (None, [b"answer"])

    run(main())
    return heard.outcome


def refuse(error: Exception) -> list[Buffer]:
    raise error


async def later(result: Any) -> Any:
    await asyncio.sleep(0)
    return result()


@pytest.mark.parametrize("wrap", [lambda make: make, lambda make: lambda: later(make)])
def test_an_answer_is_told_whenever_it_comes(wrap: Any) -> None:
    assert outcome(wrap(lambda: [b"answer"])) == [b"answer"]
    assert outcome(wrap(lambda: None)) == NO_ANSWER_WANTED


def test_an_answer_that_is_made_later_is_told() -> None:
    assert outcome(lambda: Deferred([], lambda: [b"answer"])) == [b"answer"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda make: make,
        lambda make: lambda: later(make),
        lambda make: lambda: Deferred([], make),
    ],
)
def test_the_end_of_a_connection_is_told_and_passed_on(wrap: Any) -> None:
    heard = Heard()

    async def main() -> None:
        result: Any = watched(wrap(lambda: refuse(CloseConnection("why"))), heard)
        await result

    with pytest.raises(CloseConnection):
        run(main())
    assert heard.outcome == "connection closed: why"


def test_a_request_may_not_be_understood() -> None:
    heard = Heard()
    with pytest.raises(ProtocolError):
        watched(lambda: refuse(ProtocolError("why")), heard)
    assert heard.outcome == "connection closed: why"
