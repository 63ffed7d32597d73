"""The order service on aiokafka."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from threading import Event
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from compat.order_service.orders import Charge, MalformedOrderError, Order, payment, shipment
from compat.order_service.settings import AT_ONCE, Settings

POLL_MS = 200
LOG = logging.getLogger(__name__)


def place_orders(settings: Settings, orders: Sequence[Order]) -> None:
    """Write orders; returns when Kafka has confirmed all of them.

    Raises:
        KafkaError: It has not.
    """
    asyncio.run(_place_orders(settings, orders))


async def _place_orders(settings: Settings, orders: Sequence[Order]) -> None:
    async with _producer(settings) as producer:
        sent = [
            await producer.send(settings.orders, order.to_bytes(), key=order.customer.encode())
            for order in orders
        ]
        await asyncio.gather(*sent)


class Cashier:
    """Takes the money for orders, and puts records that are no orders aside."""

    def __init__(self, settings: Settings, charge: Charge) -> None:
        self._settings = settings
        self._charge = charge
        self._is_stopping = Event()

    def stop(self) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        settings = self._settings
        at_work = asyncio.Lock()
        consumer = _consumer(settings, settings.cashiers)
        consumer.subscribe([settings.orders], listener=Handover(at_work))
        async with _producer(settings) as producer, consumer:
            while not self._is_stopping.is_set():
                async with at_work:
                    found = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
                    sent = [
                        await self._work_on(producer, record)
                        for records in found.values()
                        for record in records
                    ]
                    await asyncio.gather(*sent)
                    if sent:
                        await consumer.commit()

    async def _work_on(self, producer: Any, record: Any) -> Any:
        settings = self._settings
        try:
            order = Order.from_bytes(record.value)
        except MalformedOrderError as error:
            headers = [("error", str(error).encode()), ("offset", b"%d" % record.offset)]
            return await producer.send(
                settings.dead_letters, record.value, key=record.key, headers=headers
            )
        paid = payment(order, await asyncio.to_thread(self._charge, order))
        return await producer.send(settings.payments, paid, key=record.key)


class Handover(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets others have the partitions when what was read of them is worked on and committed.

    aiokafka rebalances in a task of its own, whatever the rest of the program is doing.
    """

    def __init__(self, at_work: asyncio.Lock) -> None:
        self._at_work = at_work

    async def on_partitions_revoked(self, revoked: Iterable[object]) -> None:
        async with self._at_work:
            pass

    async def on_partitions_assigned(self, assigned: Iterable[object]) -> None:
        pass


class Shipper:
    """Makes a shipment of each payment, exactly once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_stopping = Event()

    def stop(self) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                await self._ship()
            except KafkaError:
                # The next producer aborts what this one has begun; the group knows what is done.
                LOG.exception("shipping begins anew")

    async def _ship(self) -> None:
        settings = self._settings
        at_work = asyncio.Lock()
        consumer = _consumer(settings, settings.shippers)
        consumer.subscribe([settings.payments], listener=Handover(at_work))
        producer = _producer(settings, transactional_id=settings.transactional_id)
        async with producer, consumer:
            while not self._is_stopping.is_set():
                async with at_work:
                    found = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
                    if found:
                        await self._ship_some(producer, found)

    async def _ship_some(self, producer: Any, found: dict[Any, Any]) -> None:
        settings = self._settings
        async with producer.transaction():
            sent = [
                await producer.send(settings.shipments, shipment(record.value), key=record.key)
                for records in found.values()
                for record in records
            ]
            # aiokafka commits although records were refused: whoever wants to know asks for each.
            await asyncio.gather(*sent)
            offsets = {partition: records[-1].offset + 1 for partition, records in found.items()}
            await producer.send_offsets_to_transaction(offsets, settings.shippers)


def _producer(settings: Settings, **more: object) -> Any:
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.worker,
        enable_idempotence=True,
        request_timeout_ms=settings.request_timeout_ms,
        **more,
    )


def _consumer(settings: Settings, group_id: str) -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.worker,
        group_id=group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        heartbeat_interval_ms=settings.heartbeat_ms,
    )
