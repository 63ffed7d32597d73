from typing import cast

from pykbroker.broker import Broker
from pykbroker.request_context import ConnectionInfo, RequestContext
from tests.harness.connections import FakeConnection


def test_a_context_carries_what_a_handler_asks_for() -> None:
    connection: ConnectionInfo = FakeConnection(listener_name="EXTERNAL")
    context = RequestContext(cast(Broker, None), 3, "client", connection.peer_host, connection)
    assert context.connection.listener_name == "EXTERNAL"
    assert len(context.connection.response_buffer(10)) == 10
