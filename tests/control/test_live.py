import json
from typing import Any

import pytest

from pykbroker.control import live as module
from pykbroker.control.live import Live
from tests.harness.loop import run


def lines(live: Live, gone: list[bool]) -> list[Any]:
    async def main() -> list[Any]:
        return [json.loads(line) async for line in live.lines(lambda: gone.pop(0))]

    return run(main())


def test_what_is_told_ends_with_its_end() -> None:
    live = Live()
    for number in range(2):
        live.put({"number": number})
    live.end()
    live.put({"number": 2})
    assert lines(live, [False] * 3) == [{"number": 0}, {"number": 1}]


def test_what_is_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    live = Live()
    for number in range(3):
        live.put({"number": number})
    assert lines(live, [False, True]) == [{"number": 0}, {"missed": 2}]


def test_it_ends_when_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.001)
    assert lines(Live(), [False, False, True]) == []
