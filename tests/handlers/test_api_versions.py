from types import SimpleNamespace
from typing import cast

import pytest

from pykbroker.broker import Broker
from pykbroker.handlers import APIS
from pykbroker.handlers.api_versions import error_response, handle, unsupported_version_response
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.request_context import RequestContext
from tests.harness.connections import FakeConnection
from tests.harness.metadata import an_image


def a_context(version: int, connection: FakeConnection | None = None) -> RequestContext:
    # ApiVersions asks the broker for nothing but the features.
    broker = cast(Broker, SimpleNamespace(metadata=SimpleNamespace(image=an_image())))
    return RequestContext(broker, version, "client", "127.0.0.1", connection or FakeConnection())


@pytest.mark.parametrize("version", range(5))
def test_every_api_of_the_table_is_listed(version: int) -> None:
    request = ApiVersionsRequest(client_software_name="kcat", client_software_version="1.7.1")
    response = handle(a_context(version), request)

    assert response.error_code == ErrorCode.NONE
    assert {key.api_key for key in response.api_keys} == set(APIS)


def test_produce_is_advertised_from_0_for_old_librdkafka() -> None:
    response = handle(a_context(0), ApiVersionsRequest())
    produce = next(key for key in response.api_keys if key.api_key == ApiKey.PRODUCE)
    assert (produce.min_version, produce.max_version) == (0, 13)


def test_the_client_software_is_remembered() -> None:
    connection = FakeConnection()
    request = ApiVersionsRequest(
        client_software_name="apache-kafka-java", client_software_version="4.3.1"
    )
    handle(a_context(3, connection), request)
    assert (connection.software_name, connection.software_version) == (
        "apache-kafka-java",
        "4.3.1",
    )


@pytest.mark.parametrize(("name", "version"), [("", "1"), ("a b", "1"), ("-a", "1"), ("a", "1.")])
def test_a_malformed_software_name_is_refused(name: str, version: str) -> None:
    request = ApiVersionsRequest(client_software_name=name, client_software_version=version)
    with pytest.raises(KafkaError) as refusal:
        handle(a_context(3), request)
    assert refusal.value.code == ErrorCode.INVALID_REQUEST


def test_an_error_answer_lists_nothing() -> None:
    response = error_response(ApiVersionsRequest(), ErrorCode.INVALID_REQUEST)
    assert response.error_code == ErrorCode.INVALID_REQUEST
    assert response.api_keys == []


def test_an_unknown_version_is_told_the_range() -> None:
    # error 35; one entry: key 18, versions 0-4
    encoded = b"".join(unsupported_version_response().encode(0))
    assert encoded.hex(" ") == "00 23 00 00 00 01 00 12 00 00 00 04"


FEATURES = [("group.version", 1), ("metadata.version", 30), ("transaction.version", 2)]
METADATA_LEVELS = ("metadata.version", 7, 30)


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        (3, [METADATA_LEVELS]),
        (4, [("group.version", 0, 1), METADATA_LEVELS, ("transaction.version", 0, 2)]),
    ],
)
def test_the_features_that_are_complete_are_listed(
    version: int, supported: list[tuple[str, int, int]]
) -> None:
    """Older clients cannot read a feature that may have level 0 (KAFKA-17492)."""
    request = ApiVersionsRequest(client_software_name="a", client_software_version="1")
    response = handle(a_context(version), request)
    assert [
        (each.name, each.min_version, each.max_version) for each in response.supported_features
    ] == supported
    assert [
        (each.name, each.min_version_level, each.max_version_level)
        for each in response.finalized_features
    ] == [(name, level, level) for name, level in FEATURES]
    assert response.finalized_features_epoch >= 0
