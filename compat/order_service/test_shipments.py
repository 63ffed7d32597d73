"""Each payment has exactly one shipment, also where nobody can say how a transaction ended."""

from typing import Any

import pytest

from compat.order_service.conftest import PATIENCE_S, ids, running, some_orders
from compat.order_service.orders import Order, payment
from compat.order_service.settings import Service, Settings
from pykbroker.testing import Broker

ORDERS = some_orders(20)


def pay(broker: Broker, settings: Settings, orders: list[Order]) -> None:
    broker.produce_many(settings.payments, [payment(order, "receipt") for order in orders])


def assert_each_is_shipped_once(broker: Broker, settings: Settings) -> None:
    shipped = broker.records(settings.shipments, isolation_level="read_committed")
    assert ids(shipped) == [order.order_id for order in ORDERS]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"close": "before"}, id="connection closed before it took effect"),
        pytest.param({"close": "after"}, id="connection closed after it took effect"),
        pytest.param({"error": "PRODUCER_FENCED"}, id="fenced before it took effect"),
        pytest.param(
            {"error": "PRODUCER_FENCED", "after_effect": True}, id="fenced after it took effect"
        ),
    ],
)
def test_a_commit_that_fails_ships_nothing_twice(
    service: Service, settings: Settings, kafka_broker: Broker, fault: dict[str, Any]
) -> None:
    pay(kafka_broker, settings, ORDERS[:10])
    rule = kafka_broker.rules.add(
        "EndTxn", transactional_id=settings.transactional_id, times=1, **fault
    )

    with running(service.Shipper(settings)):
        kafka_broker.wait_for_committed(settings.shippers, settings.payments, timeout_s=PATIENCE_S)
        pay(kafka_broker, settings, ORDERS[10:])
        kafka_broker.wait_for_committed(settings.shippers, settings.payments, timeout_s=PATIENCE_S)

    assert rule.applied == 1
    assert_each_is_shipped_once(kafka_broker, settings)


def test_a_shipment_that_is_refused_is_tried_again(
    service: Service, settings: Settings, kafka_broker: Broker
) -> None:
    pay(kafka_broker, settings, ORDERS)
    rule = kafka_broker.rules.add(
        "Produce", topic=settings.shipments, error="INVALID_RECORD", times=1
    )

    with running(service.Shipper(settings)):
        kafka_broker.wait_for_committed(settings.shippers, settings.payments, timeout_s=PATIENCE_S)

    assert rule.applied == 1
    assert_each_is_shipped_once(kafka_broker, settings)
