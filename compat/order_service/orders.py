"""What the service is about, without Kafka: orders come in, payments and shipments go out."""

import json
from dataclasses import asdict, dataclass
from typing import Protocol, Self


class MalformedOrderError(ValueError):
    """A record that is no order, however often it is read."""


@dataclass(frozen=True)
class Order:
    """One thing that a customer wants; what has to be paid for it is in cents."""

    order_id: str
    customer: str
    item: str
    cents: int

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Self:
        """Raises:
        MalformedOrderError: It is no order.
        """
        try:
            fields = json.loads(value or b"")
            order = cls(**fields)
        except (ValueError, TypeError) as error:
            raise MalformedOrderError(f"no order: {error}") from error
        if not isinstance(order.cents, int) or order.cents <= 0:
            raise MalformedOrderError(f"an order for {order.cents} cents")
        return order


class Charge(Protocol):
    """Takes a customer's money for an order, which should happen once; gives a receipt."""

    def __call__(self, order: Order, /) -> str: ...


def payment(order: Order, receipt: str) -> bytes:
    """The record that tells that an order is paid for."""
    return json.dumps({**asdict(order), "receipt": receipt}).encode()


def shipment(payment: bytes | None) -> bytes:
    """The record that has a paid order sent to its customer."""
    paid = json.loads(payment or b"")
    return json.dumps({name: paid[name] for name in ("order_id", "customer", "item")}).encode()
