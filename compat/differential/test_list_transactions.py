"""ListTransactions and its filters: states, producers, how long it runs, names."""

from collections.abc import Sequence
from dataclasses import replace

from compat.differential.cases import case
from compat.differential.session import Session
from compat.differential.transactions import ABORT, COMMIT, Transactional
from pykbroker.protocol.messages.list_transactions import ListTransactionsRequest

WITH_DURATION = (1, 2)
WITH_PATTERN = (2,)


def a_few(session: Session) -> Sequence[Transactional]:
    """One in each state that lasts."""
    topic = session.create_topic()
    producers = [Transactional(session, label) for label in ("empty", "open", "done", "undone")]
    _, ongoing, committed, aborted = producers
    for producer in producers[1:]:
        producer.add({topic: [0]})
    committed.end(COMMIT)
    aborted.end(ABORT)
    ongoing.describe()
    return producers


def list_own(session: Session, version: int, **filters: object) -> None:
    """Ask for a list; compared is what this case has made of it, in an order of its own."""
    request = ListTransactionsRequest(**filters)  # type: ignore[arg-type]
    answer = session.ask(request, version)
    own = [each for each in answer.transaction_states if session.name("") in each.transactional_id]
    own.sort(key=lambda each: str(each.transactional_id))
    session.record(
        f"ListTransactions v{version}",
        str(request),
        replace(answer, transaction_states=own),
        {"unknown_state_filters": None},
    )


@case(ListTransactionsRequest)
def test_all(session: Session, version: int) -> None:
    a_few(session)
    list_own(session, version)


@case(ListTransactionsRequest)
def test_by_state(session: Session, version: int) -> None:
    a_few(session)
    for state in (
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "PrepareEpochFence",
        "Dead",
    ):
        list_own(session, version, state_filters=[state])
    list_own(session, version, state_filters=["Ongoing", "Empty", "Ongoing"])


@case(ListTransactionsRequest)
def test_by_states_that_there_are_not(session: Session, version: int) -> None:
    a_few(session)
    for states in (["ongoing"], ["Sleeping"], [""], ["Ongoing", "Sleeping", " Empty", "a", "a"]):
        list_own(session, version, state_filters=states)


@case(ListTransactionsRequest)
def test_by_producer(session: Session, version: int) -> None:
    producers = a_few(session)
    first, second = producers[0].producer_id, producers[1].producer_id
    for producer_ids in ([first], [first, second, first], [-1], [2**62], [2**62, second]):
        list_own(session, version, producer_id_filters=producer_ids)


@case(ListTransactionsRequest)
def test_by_producer_and_state(session: Session, version: int) -> None:
    producers = a_few(session)
    ids = [producers[0].producer_id, producers[1].producer_id]
    list_own(session, version, producer_id_filters=ids, state_filters=["Ongoing"])
    list_own(session, version, producer_id_filters=ids, state_filters=["CompleteCommit"])
    list_own(session, version, producer_id_filters=ids, state_filters=["Ongoing", "no"])


@case(ListTransactionsRequest, versions=WITH_DURATION)
def test_by_duration(session: Session, version: int) -> None:
    a_few(session)
    for duration_ms in (-1, -5, 0, 60_000_000, 2**62):
        list_own(session, version, duration_filter=duration_ms)


@case(ListTransactionsRequest, versions=WITH_DURATION)
def test_by_duration_and_state(session: Session, version: int) -> None:
    a_few(session)
    for state in ("Empty", "CompleteCommit", "Ongoing"):
        list_own(session, version, duration_filter=0, state_filters=[state])


@case(ListTransactionsRequest, versions=WITH_PATTERN)
def test_by_name(session: Session, version: int) -> None:
    a_few(session)
    name = session.name("")
    for pattern in (f"{name}.*", f"{name}open", name, f".*{name}(done|undone)", "", None, ".*"):
        list_own(session, version, transactional_id_pattern=pattern)


@case(ListTransactionsRequest, versions=WITH_PATTERN)
def test_by_names_that_are_no_expression(session: Session, version: int) -> None:
    a_few(session)
    for pattern in ("(", "*", "[a", "a{2,1}", "\\"):
        list_own(session, version, transactional_id_pattern=pattern)


@case(ListTransactionsRequest, versions=WITH_PATTERN)
def test_by_everything(session: Session, version: int) -> None:
    producers = a_few(session)
    list_own(
        session,
        version,
        transactional_id_pattern=f"{session.name('')}.*",
        state_filters=["Ongoing", "Empty"],
        producer_id_filters=[each.producer_id for each in producers],
        duration_filter=0,
    )


@case(ListTransactionsRequest)
def test_only_unknown_states(session: Session, version: int) -> None:
    list_own(session, version, state_filters=["x", "y"])
