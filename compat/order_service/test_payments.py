"""Each order is charged once, whatever happens to the group that does it."""

from collections import Counter
from dataclasses import replace

import pytest

from compat.order_service.conftest import PATIENCE_S, Till, ids, running, some_orders
from compat.order_service.settings import Service, Settings
from pykbroker.testing import Broker


@pytest.mark.kafka_topic(partitions=2)
def test_a_cashier_that_joins_in_the_middle_of_an_order_charges_nobody_twice(
    service: Service, settings: Settings, kafka_broker: Broker, till: Till
) -> None:
    orders = some_orders(40)
    till.hold(orders[5])
    kafka_broker.produce_many(settings.orders, [order.to_bytes() for order in orders[:20]])

    first = service.Cashier(replace(settings, worker="first"), till)
    second = service.Cashier(replace(settings, worker="second"), till)
    with running(first):
        till.wait_until_held()
        with running(second):
            with pytest.raises(TimeoutError):  # the first one has not let go of its partitions
                kafka_broker.wait_for_group(settings.cashiers, members=2, timeout_s=1)
            till.release()
            group = kafka_broker.wait_for_group(settings.cashiers, members=2, timeout_s=PATIENCE_S)
            assert {owner.client_id for owner in group.owners.values()} == {"first", "second"}
            kafka_broker.produce_many(
                settings.orders, [order.to_bytes() for order in orders[20:]], partition=1
            )
            kafka_broker.wait_for_committed(
                settings.cashiers, settings.orders, timeout_s=PATIENCE_S
            )

    once = Counter(order.order_id for order in orders)
    assert Counter(till.charged) == once
    assert Counter(ids(kafka_broker.records(settings.payments))) == once


def test_a_coordinator_that_moves_has_nobody_charged_twice(
    service: Service, settings: Settings, kafka_broker: Broker, till: Till
) -> None:
    orders = some_orders(20)
    till.hold(orders[5])
    kafka_broker.produce_many(settings.orders, [order.to_bytes() for order in orders])

    with running(service.Cashier(settings, till)):
        till.wait_until_held()
        kafka_broker.incidents.move_coordinator(settings.cashiers, for_s=0.3)
        till.release()
        kafka_broker.wait_for_committed(settings.cashiers, settings.orders, timeout_s=PATIENCE_S)
    with running(service.Cashier(settings, till)):
        kafka_broker.wait_for_group(settings.cashiers, members=1, timeout_s=PATIENCE_S)

    once = Counter(order.order_id for order in orders)
    assert Counter(till.charged) == once
    assert Counter(ids(kafka_broker.records(settings.payments))) == once


@pytest.mark.kafka_broker({"auto.create.topics.enable": False})
def test_a_record_that_is_no_order_is_put_aside_and_holds_nobody_up(
    service: Service, settings: Settings, kafka_broker: Broker, till: Till
) -> None:
    before, after = some_orders(2)
    kafka_broker.produce(settings.orders, before.to_bytes())
    kafka_broker.produce(settings.orders, '{"order_id": "half an or', key="customer-9")
    kafka_broker.produce(settings.orders, after.to_bytes())

    with running(service.Cashier(settings, till)):
        kafka_broker.wait_for_committed(settings.cashiers, settings.orders, 3, timeout_s=PATIENCE_S)

    (poison,) = kafka_broker.records(settings.dead_letters)
    headers = dict(poison.headers)
    assert (poison.key, poison.value) == (b"customer-9", b'{"order_id": "half an or')
    assert headers["offset"] == b"1"
    assert b"no order" in (headers["error"] or b"")
    paid = kafka_broker.records(settings.payments)
    assert ids(paid) == till.charged == [before.order_id, after.order_id]
