import asyncio
from importlib.util import find_spec

import pytest

from pykbroker.client import Client, ClientError
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.testing import Broker

MINUTE_MS = 60_000

pytestmark = pytest.mark.skipif(
    find_spec("aiohttp") is None, reason="the extra `control` is not installed"
)


@pytest.mark.slow
def test_an_asyncio_program_has_all_of_it() -> None:
    async def main() -> None:
        async with Broker(process=True) as broker:
            await broker.create_topic("t")
            clock, incidents = broker.clock, broker.incidents
            clock.stop()
            before_ms = clock.now_ms
            await clock.advance(minutes=1)
            assert (clock.is_stopped, clock.now_ms) == (True, before_ms + MINUTE_MS)
            clock.resume()
            async with incidents.unavailable():
                with pytest.raises(ClientError, match="refused"):
                    await asyncio.to_thread(Client, broker.bootstrap_servers, 1)
            with incidents.full_disk(), pytest.raises(KafkaError) as refused:
                await broker.produce("t", "v")
            assert refused.value.code is ErrorCode.KAFKA_STORAGE_ERROR
            with pytest.raises(RuntimeError, match="does not fsync"):
                incidents.fail_fsync()
            incidents.move_coordinator("g", for_s=60)
            await incidents.change_leader("t", for_s=60)
            assert len(broker.rules) == 4
            await broker.kill()
            assert len(broker.rules) == 0

    asyncio.run(main())
