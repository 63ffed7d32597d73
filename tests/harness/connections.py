"""A connection without a socket, for handlers and dispatch."""

from pykbroker.protocol.produce_layout import ProduceLayout


class FakeConnection:
    """Implements `ConnectionInfo`."""

    def __init__(self, listener_name: str = "PLAINTEXT") -> None:
        self.peer_host = "127.0.0.1"
        self.peer_port = 50_000
        self.local_host = "127.0.0.1"
        self.local_port = 9092
        self.listener_name = listener_name
        self.software_name = ""
        self.software_version = ""
        self.produce_layout: ProduceLayout | None = None
        self.sends_files = False
        self.max_response_bytes = 2**31 - 1

    def response_buffer(self, size_bytes: int) -> memoryview:
        return memoryview(bytearray(size_bytes))
