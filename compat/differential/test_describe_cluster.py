"""DescribeCluster: the brokers, and who may be asked for them."""

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.describe_cluster import DescribeClusterRequest

FIRST_WITH_ENDPOINT_TYPE = 1
BROKER, CONTROLLER = 1, 2


@case(DescribeClusterRequest)
def test_brokers(session: Session, version: int) -> None:
    session.send(DescribeClusterRequest(), version)


@case(DescribeClusterRequest)
def test_operations(session: Session, version: int) -> None:
    session.send(DescribeClusterRequest(include_cluster_authorized_operations=True), version)


@case(DescribeClusterRequest, versions=(1, 2))
def test_endpoint_types(session: Session, version: int) -> None:
    for endpoint_type in (BROKER, CONTROLLER, 0, 3, -1, 127):
        for operations in (False, True):
            request = DescribeClusterRequest(
                endpoint_type=endpoint_type, include_cluster_authorized_operations=operations
            )
            session.send(request, version)


@case(DescribeClusterRequest, versions=(2,))
def test_fenced_brokers(session: Session, version: int) -> None:
    session.send(DescribeClusterRequest(include_fenced_brokers=True), version)
    request = DescribeClusterRequest(include_fenced_brokers=True, endpoint_type=CONTROLLER)
    session.send(request, version)
