"""InitProducerId without transactions, which pykbroker does not serve yet."""

from compat.differential.cases import case
from compat.differential.session import Session
from pykbroker.protocol.messages.init_producer_id import InitProducerIdRequest

WITH_ID = (3, 4, 5)


def ask(session: Session, version: int, **fields: object) -> None:
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
    for name, value in fields.items():
        setattr(request, name, value)
    session.send(request, version)


@case(InitProducerIdRequest)
def test_new_ids(session: Session, version: int) -> None:
    for _ in range(3):
        ask(session, version)


@case(InitProducerIdRequest)
def test_timeouts_without_a_transaction(session: Session, version: int) -> None:
    for timeout_ms in (0, -1, 2**31 - 1):
        ask(session, version, transaction_timeout_ms=timeout_ms)


@case(InitProducerIdRequest)
def test_empty_transactional_id(session: Session, version: int) -> None:
    ask(session, version, transactional_id="")


@case(InitProducerIdRequest, versions=WITH_ID)
def test_with_an_id_of_its_own(session: Session, version: int) -> None:
    for producer_id, epoch in ((5, 0), (5, 32767), (0, 0), (2**62, 7)):
        ask(session, version, producer_id=producer_id, producer_epoch=epoch)


@case(InitProducerIdRequest, versions=WITH_ID)
def test_half_an_id(session: Session, version: int) -> None:
    for producer_id, epoch in ((5, -1), (-1, 0), (-1, 5), (-2, -1), (-2, 0), (-1, -2)):
        ask(session, version, producer_id=producer_id, producer_epoch=epoch)


@case(InitProducerIdRequest)
def test_transactional_id(session: Session, version: int) -> None:
    ask(session, version, transactional_id=session.name("x"))


@case(InitProducerIdRequest)
def test_transactional_id_with_a_bad_timeout(session: Session, version: int) -> None:
    for timeout_ms in (0, -1, 2**31 - 1):
        ask(session, version, transactional_id=session.name("x"), transaction_timeout_ms=timeout_ms)
