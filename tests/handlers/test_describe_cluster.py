from pathlib import Path

import pytest

from pykbroker.handlers import describe_cluster
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
)
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run

NOT_REQUESTED = -(2**31)


@pytest.mark.parametrize("version", range(3))
def test_the_cluster_is_described(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path, broker_rack="r1") as broker:
            host, port = broker.broker.advertised_endpoint(broker.connection)
            response = await answer(broker, describe_cluster, DescribeClusterRequest(), version)

            assert (response.error_code, response.error_message) == (ErrorCode.NONE, None)
            assert response.cluster_id == broker.image.cluster_id
            assert response.controller_id == 1
            assert response.endpoint_type == 1
            assert response.brokers == [DescribeClusterBroker(1, host, port, "r1")]
            assert response.cluster_authorized_operations == NOT_REQUESTED

    run(scenario())


@pytest.mark.parametrize("version", range(3))
def test_authorized_operations_come_when_asked_for(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = DescribeClusterRequest(include_cluster_authorized_operations=True)
            response = await answer(broker, describe_cluster, request, version)
            assert response.cluster_authorized_operations == 8096

    run(scenario())


@pytest.mark.parametrize(
    ("endpoint_type", "code"),
    [
        (2, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
        (0, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
        (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
        (-1, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
    ],
)
def test_a_broker_knows_brokers_only(tmp_path: Path, endpoint_type: int, code: ErrorCode) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            request = DescribeClusterRequest(endpoint_type=endpoint_type)
            response = await answer(broker, describe_cluster, request, 1)
            assert response.error_code == code
            assert response.error_message
            assert (response.cluster_id, response.controller_id) == ("", -1)
            assert response.brokers == []

    run(scenario())
