"""Produce with the transactional bit or a transactional id."""

from pathlib import Path

import pytest

from pykbroker.handlers import produce
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.produce import ProduceRequest, ProduceResponse
from tests.harness.broker import a_broker
from tests.harness.loop import run
from tests.harness.produced import a_batch, a_request, only


def ask(tmp_path: Path, request: ProduceRequest) -> ProduceResponse:
    """Send one request to a fresh broker with topic `t`."""

    async def main() -> ProduceResponse:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t")
            response = await broker.call(produce, request, 12)
            assert isinstance(response, ProduceResponse)
            return response

    return run(main())


def a_transactional_batch() -> bytes:
    return a_batch(is_transactional=True, producer_id=7, producer_epoch=0, base_sequence=0)


def test_a_transactional_batch_needs_a_transactional_id(tmp_path: Path) -> None:
    request = a_request(a_transactional_batch())
    with pytest.raises(KafkaError) as caught:
        ask(tmp_path, request)
    assert caught.value.code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_no_transactional_id_is_known(tmp_path: Path) -> None:
    result = only(ask(tmp_path, a_request(a_transactional_batch(), transactional_id="x")))
    assert result.error_code == ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert (result.base_offset, result.log_start_offset) == (-1, -1)


def test_a_transactional_batch_without_producer_is_appended(tmp_path: Path) -> None:
    request = a_request(a_batch(is_transactional=True), transactional_id="x")
    assert only(ask(tmp_path, request)).error_code == 0


def test_a_transactional_id_alone_does_no_harm(tmp_path: Path) -> None:
    assert only(ask(tmp_path, a_request(a_batch(), transactional_id="x"))).error_code == 0


@pytest.mark.parametrize("records", [a_batch(b"a")[:40], b"\xff" * 80])
def test_garbage_with_the_transactional_bit_is_not_transactional(
    tmp_path: Path, records: bytes
) -> None:
    garbage = bytearray(records)
    garbage[22] |= 0x10
    result = only(ask(tmp_path, a_request(bytes(garbage))))
    assert result.error_code in (ErrorCode.INVALID_RECORD, ErrorCode.CORRUPT_MESSAGE)
