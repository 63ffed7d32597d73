"""What a customer was told is ordered, is ordered, and once."""

from collections import defaultdict

import pytest

from compat.order_service.conftest import ids, some_orders
from compat.order_service.settings import Service, Settings
from pykbroker.testing import Broker

pytestmark = pytest.mark.kafka_topic(partitions=2)


def assert_each_is_there_once_and_in_order(broker: Broker, settings: Settings) -> None:
    wanted: defaultdict[bytes, list[str]] = defaultdict(list)
    found: defaultdict[bytes, list[str]] = defaultdict(list)
    for order in some_orders(20):
        wanted[order.customer.encode()].append(order.order_id)
    for record in broker.records(settings.orders, count=20):
        found[record.key or b""] += ids([record])
    assert found == wanted


def test_orders_wait_for_a_leader(
    service: Service, settings: Settings, kafka_broker: Broker
) -> None:
    with kafka_broker.rules.add(
        "Produce", topic=settings.orders, error="NOT_LEADER_OR_FOLLOWER", times=3
    ) as rule:
        service.place_orders(settings, some_orders(20))

    assert rule.applied == 3
    assert_each_is_there_once_and_in_order(kafka_broker, settings)


def test_an_answer_that_was_lost_orders_nothing_twice(
    service: Service, settings: Settings, kafka_broker: Broker
) -> None:
    with kafka_broker.rules.add(
        "Produce", topic=settings.orders, lose_answer=True, times=1
    ) as rule:
        service.place_orders(settings, some_orders(20))

    assert rule.matched > rule.applied == 1, "it has been sent again"
    assert_each_is_there_once_and_in_order(kafka_broker, settings)


def test_an_order_that_was_refused_is_not_called_placed(
    service: Service, settings: Settings, kafka_broker: Broker
) -> None:
    kafka_broker.rules.add("Produce", topic=settings.orders, error="TOPIC_AUTHORIZATION_FAILED")

    with pytest.raises(Exception, match=r"(?i)authoriz"):
        service.place_orders(settings, some_orders(1))
