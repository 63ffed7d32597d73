"""What differs between the places where the service runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compat.order_service.orders import Charge, Order

AT_ONCE = 10
"""How many records are worked on between two commits."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where Kafka is, what the topics and groups are called, how patient the clients are.

    Attributes:
        orders: The topic that customers' orders go to; the other names are made of it.
        worker: The name of this process, its client id.
    """

    bootstrap_servers: str
    orders: str
    worker: str = "worker"
    request_timeout_s: float = 30.0
    heartbeat_s: float = 3.0

    @property
    def payments(self) -> str:
        return f"{self.orders}.payments"

    @property
    def shipments(self) -> str:
        return f"{self.orders}.shipments"

    @property
    def dead_letters(self) -> str:
        """The topic for records that are no orders."""
        return f"{self.orders}.dead-letters"

    @property
    def cashiers(self) -> str:
        """The group that takes the money."""
        return f"{self.orders}.cashiers"

    @property
    def shippers(self) -> str:
        """The group that ships."""
        return f"{self.orders}.shippers"

    @property
    def transactional_id(self) -> str:
        """Of this shipper, whose successor has the same one."""
        return f"{self.shippers}.{self.worker}"

    @property
    def request_timeout_ms(self) -> int:
        return int(self.request_timeout_s * 1000)

    @property
    def heartbeat_ms(self) -> int:
        return int(self.heartbeat_s * 1000)


class Worker(Protocol):
    """A part of the service that runs until it is told to stop."""

    def run(self) -> None:
        """Work. Raises whatever ends it before it is stopped."""

    def stop(self) -> None:
        """Have `run` return when it has committed what it has done; from any thread."""


class Service(Protocol):
    """The service on one client library: what each of the three modules offers."""

    def place_orders(self, settings: Settings, orders: Sequence[Order]) -> None: ...

    def Cashier(self, settings: Settings, charge: Charge) -> Worker: ...  # noqa: N802 - a class

    def Shipper(self, settings: Settings) -> Worker: ...  # noqa: N802 - a class
