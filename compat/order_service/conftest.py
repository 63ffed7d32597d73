"""The service on each of the clients, at topics of each test's own."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from compat.order_service.orders import Order
from compat.order_service.settings import Service, Settings, Worker
from pykbroker.testing import Broker, ConsumerRecord

PATIENCE_S = 60.0
CLIENTS = ("kafka_python", "confluent_kafka", "aiokafka")


class Till:
    """Stands in for whoever takes the money: charges at once, unless it is told to wait.

    Attributes:
        charged: The ids of the orders, once for each time that they were charged.
    """

    def __init__(self) -> None:
        self.charged: list[str] = []
        self._is_held = ""
        self._has_come = Event()
        self._may_go = Event()

    def hold(self, order: Order) -> None:
        """Take this order, and be in the middle of it until `release`."""
        self._is_held = order.order_id

    def wait_until_held(self) -> None:
        assert self._has_come.wait(PATIENCE_S), f"{self._is_held} was never charged"

    def release(self) -> None:
        self._may_go.set()

    def __call__(self, order: Order) -> str:
        self.charged.append(order.order_id)
        if order.order_id == self._is_held:
            self._has_come.set()
            assert self._may_go.wait(PATIENCE_S), f"{order.order_id} was never released"
        return f"receipt {len(self.charged)}"


@pytest.fixture(params=CLIENTS)
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = pytest.importorskip(f"compat.order_service.on_{request.param}")
    return found


@pytest.fixture
def settings(kafka_broker: Broker, kafka_topic: str) -> Settings:
    """The settings of this test's service, whose topics are there."""
    settings = Settings(
        bootstrap_servers=kafka_broker.bootstrap_servers,
        orders=kafka_topic,
        request_timeout_s=2.0,
        heartbeat_s=0.2,
    )
    kafka_broker.create_topics([settings.payments, settings.shipments, settings.dead_letters])
    return settings


@pytest.fixture
def till() -> Till:
    return Till()


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    """A worker in a thread for as long as the block lasts. What has ended it is raised."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        working = thread.submit(worker.run)
        try:
            yield
        finally:
            worker.stop()
            working.result(PATIENCE_S)


def some_orders(count: int, start: int = 0) -> list[Order]:
    """Orders of four customers."""
    return [
        Order(f"order-{number}", f"customer-{number % 4}", "a book", 1000 + number)
        for number in range(start, start + count)
    ]


def ids(records: Sequence[ConsumerRecord]) -> list[str]:
    """The orders that orders, payments or shipments are about."""
    return [json.loads(record.value or b"")["order_id"] for record in records]
