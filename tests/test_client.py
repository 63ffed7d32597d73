import re
import socket
import threading
from collections.abc import Iterator

import pytest

from pykbroker import client as client_module
from pykbroker.client import (
    EARLIEST,
    LATEST,
    Client,
    ClientError,
    Connection,
    check,
    leaders_of,
    murmur2,
    partition_of_key,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.api_versions import ApiVersion, ApiVersionsResponse
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from tests.harness.running_server import a_running_server


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data"), num_partitions="3") as address:
        yield address


class ScriptedBroker:
    """Answers each frame of one connection with the next of its scripted bytes, then closes."""

    def __init__(self, *answers: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "ScriptedBroker":  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._socket.close()

    def _serve(self, answers: tuple[bytes, ...]) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rb") as stream:
            for answer in answers:
                stream.read(int.from_bytes(stream.read(4), "big"))
                connection.sendall(answer)


def framed(correlation_id: int, body: bytes) -> bytes:
    frame = correlation_id.to_bytes(4, "big") + body
    return len(frame).to_bytes(4, "big") + frame


def api_versions(*apis: ApiVersion, error_code: int = 0) -> bytes:
    response = ApiVersionsResponse(error_code=error_code, api_keys=list(apis))
    return framed(0, b"".join(response.encode(3)))


def test_error_codes_become_errors() -> None:
    check(0)
    with pytest.raises(KafkaError) as known:
        check(3, "no topic x")
    with pytest.raises(KafkaError, match="error code 12345") as unknown:
        check(12345)

    assert known.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert known.value.message == "no topic x"
    assert unknown.value.code is ErrorCode.UNKNOWN_SERVER_ERROR


def test_a_topic_is_made_on_demand_and_found(bootstrap: str) -> None:
    with Client(bootstrap) as client:
        topic = client.topic("made-on-demand", may_create=True)

        assert list(leaders_of(topic)) == [0, 1, 2]
        assert client.offsets(topic, [0, 2], EARLIEST) == {0: 0, 2: 0}
        assert client.offsets(topic, [1], LATEST) == {1: 0}
        assert client.offsets(topic, [1], 1_700_000_000_000) == {1: -1}


def test_a_topic_that_does_not_exist_is_an_error(bootstrap: str) -> None:
    with Client(bootstrap) as client, pytest.raises(KafkaError, match="topic none") as refused:
        client.topic("none")

    assert refused.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_coordinator_that_is_not_ready_is_asked_again(bootstrap: str) -> None:
    asked: list[int] = []

    def ask(node_id: int) -> str:
        asked.append(node_id)
        if len(asked) == 1:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return "ready"

    with Client(bootstrap) as client:
        assert client.at_coordinator("group", ask) == "ready"
        assert client.connection(asked[0]).address == bootstrap

    assert len(asked) == 2


def test_other_errors_of_a_coordinator_are_final(bootstrap: str) -> None:
    def ask(_: int) -> None:
        raise KafkaError(ErrorCode.NON_EMPTY_GROUP)

    with Client(bootstrap) as client, pytest.raises(KafkaError):
        client.at_coordinator("group", ask)


def test_a_coordinator_that_never_gets_ready_is_given_up(bootstrap: str) -> None:
    def ask(_: int) -> None:
        raise KafkaError(ErrorCode.NOT_COORDINATOR)

    with Client(bootstrap) as client:
        client.timeout_s = 0
        with pytest.raises(KafkaError) as refused:
            client.at_coordinator("group", ask)

    assert refused.value.code is ErrorCode.NOT_COORDINATOR


def test_a_node_that_metadata_has_not_named_is_refused(bootstrap: str) -> None:
    with Client(bootstrap) as client, pytest.raises(ClientError, match="no broker 77"):
        client.connection(77)


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(ClientError, match=f"no broker at 127.0.0.1:{port} .*pykbroker serve"):
        Connection("127.0.0.1", port)


def test_a_broker_without_a_common_version_is_refused() -> None:
    old = ApiVersion(api_key=MetadataRequest.API_KEY, min_version=0, max_version=1)
    with ScriptedBroker(api_versions(old)) as broker:
        connection = Connection(broker.host, broker.port)
        with pytest.raises(ClientError, match="no version of METADATA"):
            connection.call(MetadataRequest(), MetadataResponse)
        connection.close()


def test_the_newest_common_version_is_taken() -> None:
    newer = ApiVersion(api_key=MetadataRequest.API_KEY, min_version=9, max_version=99)
    answer = framed(1, b"\0" + b"".join(MetadataResponse(cluster_id="c").encode(13)))
    with ScriptedBroker(api_versions(newer), answer) as broker:
        connection = Connection(broker.host, broker.port)
        assert connection.call(MetadataRequest(), MetadataResponse).cluster_id == "c"
        connection.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed by the broker"),
        (b"HTTP/1.1 400 Bad Request", "answers what is not Kafka"),
        (framed(9, b""), "answer to request 9 instead of 0"),
        (framed(0, b"\0"), "answers what is not Kafka"),
        ((2**31 - 1).to_bytes(4, "big"), "a response of 2147483647 bytes"),
    ],
)
def test_a_peer_that_is_no_broker_is_named(answer: bytes, reason: str) -> None:
    with ScriptedBroker(answer) as broker, pytest.raises(ClientError, match=re.escape(reason)):
        Connection(broker.host, broker.port)


def test_a_broker_that_refuses_api_versions_is_an_error() -> None:
    refusal = api_versions(error_code=ErrorCode.UNSUPPORTED_VERSION)
    with ScriptedBroker(refusal) as broker, pytest.raises(KafkaError):
        Connection(broker.host, broker.port)


def test_a_lost_connection_is_told_when_sending() -> None:
    versions = ApiVersion(api_key=MetadataRequest.API_KEY, min_version=0, max_version=13)
    with ScriptedBroker(api_versions(versions)) as broker:
        connection = Connection(broker.host, broker.port)
        connection.close()
        with pytest.raises(ClientError, match="lost the connection"):
            connection.send(MetadataRequest())


def test_a_silent_broker_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with pytest.raises(ClientError, match="no answer in time"):
            Connection(host, port, timeout_s=0.05)


def test_a_topic_without_leaders_is_asked_for_until_the_time_is_over(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "RETRY_INTERVAL_S", 0)
    with Client(bootstrap) as client:
        real = client.metadata
        answers = 0

        def without_leader(topics: list[str], *, may_create: bool = False) -> MetadataResponse:
            nonlocal answers
            answers += 1
            response = real(topics, may_create=True)
            if answers < 3:
                response.topics[0].error_code = ErrorCode.LEADER_NOT_AVAILABLE
            return response

        monkeypatch.setattr(client, "metadata", without_leader)
        assert client.topic("slow").name == "slow"

    assert answers >= 3


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        # The examples of Kafka's own UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_hashed_as_kafka_does(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_a_keys_partition_is_its_hash_without_the_sign() -> None:
    assert murmur2(b"21") > 0x7FFFFFFF
    assert partition_of_key(b"21", 10) == (murmur2(b"21") - 0x80000000) % 10
