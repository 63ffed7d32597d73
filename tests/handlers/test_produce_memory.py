"""What a Produce request holds on to while it waits for the disk."""

from pathlib import Path

from pykbroker.handlers import produce
from pykbroker.protocol.messages.produce import ProduceRequest
from pykbroker.request_context import WhenDurable
from tests.harness.broker import a_broker
from tests.harness.loop import run
from tests.harness.produced import a_batch, a_request


def test_a_request_that_waits_for_the_disk_lets_go_of_what_was_received(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path, pykbroker_fsync="always") as broker:
            await broker.create_topic("t")
            received = bytearray(b"".join(a_request(a_batch(), acks=-1).encode(9)))
            request = ProduceRequest.decode(memoryview(received), 9)
            answer = produce.handle(broker.context(9, "client"), request)
            assert isinstance(answer, WhenDurable)
            received.clear()  # BufferError while anything looks into it
            assert (await answer).responses[0].partition_responses[0].error_code == 0

    run(main())
