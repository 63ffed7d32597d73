"""The order service on confluent-kafka, which is librdkafka."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from compat.order_service.orders import Charge, MalformedOrderError, Order, payment, shipment
from compat.order_service.settings import AT_ONCE, Settings

POLL_S = 0.2
LOG = logging.getLogger(__name__)


class Outbox:
    """A producer that tells about records that were not confirmed."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._errors: list[KafkaError] = []

    def send(self, topic: str, value: bytes, key: bytes | None, headers: object = None) -> None:
        self._producer.produce(topic, value, key, headers=headers, on_delivery=self._delivered)

    def flush(self) -> None:
        """Wait until all records are confirmed.

        Raises:
            KafkaException: One of them was not.
        """
        self._producer.flush()
        if self._errors:
            raise KafkaException(self._errors[0])

    def _delivered(self, error: KafkaError | None, message: object) -> None:
        if error is not None:
            self._errors.append(error)


def place_orders(settings: Settings, orders: Sequence[Order]) -> None:
    """Write orders; returns when Kafka has confirmed all of them.

    Raises:
        KafkaException: It has not.
    """
    outbox = Outbox(_producer(settings))
    for order in orders:
        outbox.send(settings.orders, order.to_bytes(), order.customer.encode())
    outbox.flush()


class Cashier:
    """Takes the money for orders, and puts records that are no orders aside."""

    def __init__(self, settings: Settings, charge: Charge) -> None:
        self._settings = settings
        self._charge = charge
        self._is_stopping = Event()
        self._uncommitted = 0

    def stop(self) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        settings = self._settings
        outbox = Outbox(_producer(settings))
        consumer = _consumer(settings, settings.cashiers)
        try:
            # Whoever gets the partitions goes on behind what this one has done.
            consumer.subscribe(
                [settings.orders], on_revoke=lambda *_: self._commit(outbox, consumer)
            )
            while not self._is_stopping.is_set():
                message = consumer.poll(POLL_S)
                if message is not None:
                    self._work_on(outbox, message)
                if message is None or self._uncommitted == AT_ONCE:
                    self._commit(outbox, consumer)
            self._commit(outbox, consumer)
        finally:
            consumer.close()

    def _commit(self, outbox: Outbox, consumer: Any) -> None:
        if self._uncommitted:
            outbox.flush()
            consumer.commit(asynchronous=False)
            self._uncommitted = 0

    def _work_on(self, outbox: Outbox, message: Any) -> None:
        _check(message)
        settings = self._settings
        try:
            order = Order.from_bytes(message.value())
        except MalformedOrderError as error:
            headers = {"error": str(error).encode(), "offset": b"%d" % message.offset()}
            outbox.send(settings.dead_letters, message.value(), message.key(), headers)
        else:
            paid = payment(order, self._charge(order))
            outbox.send(settings.payments, paid, message.key())
        self._uncommitted += 1


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
            except KafkaException:
                # The next producer aborts what this one has begun; the group knows what is done.
                LOG.exception("shipping begins anew")

    def _ship(self) -> None:
        settings = self._settings
        producer = _producer(settings, **{"transactional.id": settings.transactional_id})
        consumer = _consumer(settings, settings.shippers)
        try:
            producer.init_transactions()
            consumer.subscribe([settings.payments])
            while not self._is_stopping.is_set():
                messages = consumer.consume(AT_ONCE, POLL_S)
                if not messages:
                    continue
                producer.begin_transaction()
                for message in messages:
                    _check(message)
                    value = shipment(message.value())
                    producer.produce(settings.shipments, value, message.key())
                producer.send_offsets_to_transaction(
                    consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
                )
                producer.commit_transaction()
        finally:
            consumer.close()
            with suppress(KafkaException):
                producer.purge()


def _check(message: Any) -> None:
    if message.error() is not None:
        raise KafkaException(message.error())


def _producer(settings: Settings, **more: object) -> Any:
    return Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": settings.worker,
            "enable.idempotence": True,
            "socket.timeout.ms": settings.request_timeout_ms,
            **more,
        }
    )


def _consumer(settings: Settings, group_id: str) -> Any:
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": settings.worker,
            "group.id": group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "heartbeat.interval.ms": settings.heartbeat_ms,
        }
    )
