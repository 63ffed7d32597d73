from pykbroker.security.operations import (
    CLUSTER_OPERATIONS,
    GROUP_OPERATIONS,
    TOPIC_OPERATIONS,
    AclOperation,
    bit_field,
)


def test_a_bit_stands_for_the_operation_of_its_number() -> None:
    assert bit_field([AclOperation.READ, AclOperation.READ, AclOperation.WRITE]) == 0b11000


def test_the_fields_are_those_of_kafka_without_an_authorizer() -> None:
    """Asked of Apache Kafka 4.3.1 with Metadata v10, DescribeCluster v2, DescribeGroups v6."""
    assert TOPIC_OPERATIONS == 3576
    assert CLUSTER_OPERATIONS == 8096
    assert GROUP_OPERATIONS == 3400
