"""The order service on kafka-python."""

import logging
from collections.abc import Sequence
from contextlib import closing
from threading import Event
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from compat.order_service.orders import Charge, MalformedOrderError, Order, payment, shipment
from compat.order_service.settings import AT_ONCE, Settings

POLL_MS = 200
LOG = logging.getLogger(__name__)


def place_orders(settings: Settings, orders: Sequence[Order]) -> None:
    """Write orders; returns when Kafka has confirmed all of them.

    Raises:
        KafkaError: It has not.
    """
    with closing(_producer(settings)) as producer:
        sent = [
            producer.send(settings.orders, order.to_bytes(), key=order.customer.encode())
            for order in orders
        ]
        for future in sent:
            future.get()


class Cashier:
    """Takes the money for orders, and puts records that are no orders aside."""

    def __init__(self, settings: Settings, charge: Charge) -> None:
        self._settings = settings
        self._charge = charge
        self._is_stopping = Event()

    def stop(self) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        settings = self._settings
        consumer = _consumer(settings, settings.cashiers)
        with closing(_producer(settings)) as producer, closing(consumer):
            consumer.subscribe([settings.orders])
            while not self._is_stopping.is_set():
                found = consumer.poll(timeout_ms=POLL_MS, max_records=AT_ONCE)
                sent = [
                    self._work_on(producer, record)
                    for records in found.values()
                    for record in records
                ]
                for future in sent:
                    future.get()
                # The group only gives partitions to others in `poll`, when all is committed.
                if sent:
                    consumer.commit()

    def _work_on(self, producer: Any, record: Any) -> Any:
        settings = self._settings
        try:
            order = Order.from_bytes(record.value)
        except MalformedOrderError as error:
            headers = [("error", str(error).encode()), ("offset", b"%d" % record.offset)]
            return producer.send(
                settings.dead_letters, record.value, key=record.key, headers=headers
            )
        paid = payment(order, self._charge(order))
        return producer.send(settings.payments, paid, key=record.key)


class Shipper:
    """Makes a shipment of each payment, exactly once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_stopping = Event()

    def stop(self) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                self._ship()
            except KafkaError:
                # The next producer aborts what this one has begun; the group knows what is done.
                LOG.exception("shipping begins anew")

    def _ship(self) -> None:
        settings = self._settings
        consumer = _consumer(settings, settings.shippers)
        producer = _producer(settings, transactional_id=settings.transactional_id)
        with closing(producer), closing(consumer):
            producer.init_transactions()
            consumer.subscribe([settings.payments])
            while not self._is_stopping.is_set():
                found = consumer.poll(timeout_ms=POLL_MS, max_records=AT_ONCE)
                if not found:
                    continue
                producer.begin_transaction()
                for records in found.values():
                    for record in records:
                        producer.send(settings.shipments, shipment(record.value), key=record.key)
                offsets = {
                    partition: OffsetAndMetadata(records[-1].offset + 1, "", -1)
                    for partition, records in found.items()
                }
                producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
                producer.commit_transaction()


def _producer(settings: Settings, **more: object) -> Any:
    return KafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.worker,
        enable_idempotence=True,
        request_timeout_ms=settings.request_timeout_ms,
        **more,
    )


def _consumer(settings: Settings, group_id: str) -> Any:
    return KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.worker,
        group_id=group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        heartbeat_interval_ms=settings.heartbeat_ms,
    )
