from pathlib import Path

import pytest

from pykbroker.handlers import sasl_authenticate
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.sasl_authenticate import SaslAuthenticateRequest
from tests.harness.answers import answer
from tests.harness.broker import a_broker
from tests.harness.loop import run


@pytest.mark.parametrize("version", range(3))
def test_there_is_nothing_to_authenticate(tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with a_broker(tmp_path) as broker:
            response = await answer(broker, sasl_authenticate, SaslAuthenticateRequest(), version)
            assert response.error_code == ErrorCode.ILLEGAL_SASL_STATE

    run(scenario())
