"""What a client is told, refusals included: a handler as dispatch calls it."""

from types import ModuleType
from typing import Any

from pykbroker.protocol.errors import KafkaError
from tests.harness.broker import BrokerHarness


async def answer(broker: BrokerHarness, handler: ModuleType, request: Any, version: int) -> Any:
    """Return the response as a client of `version` reads it."""
    try:
        return await broker.call(handler, request, version)
    except KafkaError as error:
        refused = handler.error_response(request, error.code, error.message)
        data = memoryview(b"".join(refused.encode(version)))
        return type(refused).decode(data, version)
