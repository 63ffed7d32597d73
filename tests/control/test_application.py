import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the extra `control` is not installed")

from pykbroker.client import Client
from pykbroker.control import schemas
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.produce import ProduceRequest, ProduceResponse
from tests.harness.controlled_server import ControlClient, a_controlled_server
from tests.harness.produced import a_batch, a_request


@pytest.fixture(scope="module")
def module_control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlClient]:
    directory = tmp_path_factory.mktemp("data")
    with a_controlled_server(directory, pykbroker_fsync="always") as control:
        with Client(control.bootstrap_servers) as client:
            client.topic("t", may_create=True)
        yield control


@pytest.fixture
def control(module_control: ControlClient) -> Iterator[ControlClient]:
    yield module_control
    assert module_control.ask("DELETE", "/rules") == (204, None)


def produced(control: ControlClient) -> int:
    """Append one record; returns the error code."""
    request: ProduceRequest = a_request(a_batch(), acks=-1)
    with Client(control.bootstrap_servers) as client:
        response: Any = client.call(request, ProduceResponse)
    code: int = response.responses[0].partition_responses[0].error_code
    return code


def test_a_rule_is_put_in_force_counted_and_removed(control: ControlClient) -> None:
    sent = {"api": ["Produce"], "topic": "t", "error": "NOT_LEADER_OR_FOLLOWER", "times": 1}
    status, rule = control.ask("POST", "/rules", sent)
    assert status == 201
    schemas.check(rule, schemas.RULE_IN_FORCE)
    assert rule == sent | {
        "id": rule["id"],
        "first": 1,
        "probability": 1.0,
        "seed": 0,
        "matched": 0,
        "applied": 0,
    }
    codes = [produced(control) for _ in range(2)]
    assert codes == [ErrorCode.NOT_LEADER_OR_FOLLOWER, 0]
    counted = rule | {"matched": 2, "applied": 1}
    assert control.ask("GET", f"/rules/{rule['id']}") == (200, counted)
    assert control.ask("GET", "/rules") == (200, [counted])
    assert control.ask("DELETE", f"/rules/{rule['id']}") == (204, None)
    assert control.ask("GET", "/rules") == (200, [])
    for method in ("GET", "DELETE"):
        for number in (rule["id"], "x", "9" * 30):
            assert control.ask(method, f"/rules/{number}") == (
                404,
                {"detail": f"there is no rule {number}"},
            )


@pytest.mark.parametrize(
    "sent",
    [
        {"close": "before", "client_id": "c", "group": "g", "transactional_id": "x"},
        {"close": "after", "partition": 3, "first": 2, "for_s": 60},
        {"lose_answer": True, "probability": 0.5, "seed": 4},
        {"delay_ms": 5, "throttle_ms": 6, "read_bytes_per_s": 7},
        {"error": "REQUEST_TIMED_OUT", "after_effect": True, "api": ["EndTxn", "Fetch"]},
    ],
)
def test_a_rule_is_told_as_it_was_given(control: ControlClient, sent: dict[str, Any]) -> None:
    status, rule = control.ask("POST", "/rules", sent)
    assert status == 201
    schemas.check(rule, schemas.RULE_IN_FORCE)
    told = {name: rule[name] for name in sent if name != "for_s"}
    assert told == {name: sent[name] for name in told}
    assert rule.keys() - sent.keys() <= {
        "id",
        "first",
        "probability",
        "seed",
        "matched",
        "applied",
    }


def test_time_is_moved_on_and_stopped(control: ControlClient) -> None:
    _, before = control.ask("GET", "/clock")
    assert before["is_stopped"] is False
    status, clock = control.ask("POST", "/clock/advance", {"seconds": 3600})
    assert status == 200
    assert 3_600_000 <= clock["now_ms"] - before["now_ms"] < 3_660_000
    _, stopped = control.ask("POST", "/clock/stop")
    assert stopped["is_stopped"] is True
    assert control.ask("GET", "/clock") == (200, stopped)
    _, running = control.ask("POST", "/clock/resume")
    assert running["is_stopped"] is False


def test_a_broker_is_gone_and_comes_back(control: ControlClient) -> None:
    status, gone = control.ask("PATCH", "/broker", {"available": False})
    assert (status, gone) == (200, {"available": False, "disk_full": False, "failing_fsyncs": 0})
    host, port = control.bootstrap_servers.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    assert control.ask("PATCH", "/broker", {"disk_full": True}) == (200, gone | {"disk_full": True})
    _, back = control.ask("PATCH", "/broker", {"available": True})
    assert control.ask("GET", "/broker") == (200, back)
    assert produced(control) == ErrorCode.KAFKA_STORAGE_ERROR
    control.ask("PATCH", "/broker", {"disk_full": False})
    assert produced(control) == 0


def test_leaders_and_coordinators_move(control: ControlClient) -> None:
    leader = {"topic": "t", "partition": 0, "for_s": 60}
    assert control.ask("POST", "/moves/leader", leader) == (204, None)
    assert control.ask("POST", "/moves/coordinator", {"group": "g"}) == (204, None)
    _, rules = control.ask("GET", "/rules")
    assert [rule["error"] for rule in rules] == [
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_OR_FOLLOWER",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
    ]
    assert control.ask("POST", "/moves/leader", leader | {"partition": 9}) == (
        400,
        {"detail": "there is no partition t-9"},
    )
    assert control.ask("POST", "/moves/coordinator", {})[0] == 400


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "detail"),
    [
        (b"{}", "application/json", 400, "a rule without anything that a request gets"),
        (b'{"topic": 7}', "application/json", 400, "topic must be of type string"),
        (b"{", "application/json; charset=utf-8", 400, "the body is no JSON: "),
        (b"\xff", "application/json", 400, "the body is no JSON: "),
        (b"[" * 100_000, "application/json", 400, "the body is no JSON: "),
        (b'{"delay_ms": 1}', "text/plain", 415, "the body must be application/json"),
        (b"x" * 2**21, "application/json", 413, "Request Entity Too Large"),
    ],
)
def test_what_is_not_described_is_refused(
    control: ControlClient, raw: bytes, content_type: str, status: int, detail: str
) -> None:
    answered, problem = control.ask("POST", "/rules", raw=raw, Content_Type=content_type)
    assert answered == status
    assert problem["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/rules", 405), ("HEAD", "/rules", 405)],
)
def test_there_is_nothing_else(control: ControlClient, method: str, path: str, status: int) -> None:
    assert control.ask(method, path)[0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:80", 200), ("[::1]", 200), ("evil.example", 403), ("10.0.0.1", 403)],
)
def test_only_a_loopback_address_is_answered(
    control: ControlClient, host: str, status: int
) -> None:
    assert control.ask("GET", "/rules", Host=host)[0] == status


def test_a_broker_without_fsync_cannot_fail_it(tmp_path: Path) -> None:
    with a_controlled_server(tmp_path) as control:
        status, problem = control.ask("PATCH", "/broker", {"failing_fsyncs": 1})
        assert (status, "does not fsync" in problem["detail"]) == (400, True)


def test_a_failed_fsync_ends_the_writing(tmp_path: Path) -> None:
    with a_controlled_server(tmp_path, pykbroker_fsync="always") as control:
        with Client(control.bootstrap_servers) as client:
            client.topic("t", may_create=True)
        assert produced(control) == 0
        assert control.ask("PATCH", "/broker", {"failing_fsyncs": 1})[0] == 200
        assert [produced(control) for _ in range(2)] == [ErrorCode.KAFKA_STORAGE_ERROR] * 2


def test_a_tap_keeps_what_is_said(control: ControlClient) -> None:
    sent = {"api": ["Produce"], "topic": "t", "last": 1}
    status, tap = control.ask("POST", "/taps", sent)
    assert status == 201
    assert tap == {"id": tap["id"], "told": 0} | sent
    path = f"/taps/{tap['id']}"
    for _ in range(2):
        assert produced(control) == 0
    assert control.ask("GET", path) == (200, tap | {"told": 2})
    assert control.ask("GET", "/taps") == (200, [tap | {"told": 2}])
    status, exchanges = control.ask("GET", f"{path}/exchanges")
    assert (status, [each["api"] for each in exchanges]) == (200, ["Produce"] * 2)
    for exchange in exchanges:
        assert set(schemas.EXCHANGE["required"]) <= exchange.keys()
        assert exchange.keys() <= schemas.EXCHANGE["properties"].keys()
    assert control.ask("DELETE", path) == (204, None)
    for method, gone in (("GET", path), ("DELETE", path), ("GET", f"{path}/exchanges")):
        assert control.ask(method, gone) == (404, {"detail": f"there is no tap {tap['id']}"})
    assert control.ask("POST", "/taps", {})[1]["last"] == 100
    assert control.ask("DELETE", "/taps") == (204, None)
    assert control.ask("GET", "/taps") == (200, [])


def test_exchanges_are_told_as_they_come(control: ControlClient) -> None:
    url = f"{control.url}/exchanges?api=Produce&api=Fetch&partition=0&topic=t"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert produced(control) == 0
        assert json.loads(answer.readline())["api"] == "Produce"
        assert control.ask("DELETE", "/taps") == (204, None)
        assert answer.read() == b""


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("api=Fetsch", "api[0] cannot be 'Fetsch'"),
        ("partition=x", "partition must be of type integer"),
        ("topic=a&topic=b", "topic is given twice"),
        ("last=1", "the query cannot have 'last'"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    control: ControlClient, query: str, reason: str
) -> None:
    assert control.ask("GET", f"/exchanges?{query}") == (400, {"detail": reason})


def test_a_stop_ends_what_is_told_live(tmp_path: Path) -> None:
    with a_controlled_server(tmp_path) as control:
        answer = urllib.request.urlopen(f"{control.url}/exchanges", timeout=10)
    with answer:
        assert answer.read() == b""
