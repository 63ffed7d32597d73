from pathlib import Path

import pytest

from pykbroker.handlers import sasl_handshake
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sasl_handshake import SaslHandshakeRequest
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(2))
def test_there_is_nothing_to_authenticate(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            response = await answer(broker, sasl_handshake, SaslHandshakeRequest(), version)
            assert response.error_code == ErrorCode.ILLEGAL_SASL_STATE

    run(scenario())
