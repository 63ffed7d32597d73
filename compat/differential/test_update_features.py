"""UpdateFeatures, and what becomes of transactions and consumer groups at other levels.

Levels belong to the whole cluster: a case that changes one puts it back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from compat.differential.cases import case
from compat.differential.consumer_members import Consumer, a_topic, describe
from compat.differential.session import Session
from compat.differential.transactions import (
    ABORT,
    COMMIT,
    END,
    FIRST_BATCHED_ADD,
    FIRST_END_WITH_EPOCH,
    FIRST_PRODUCE_THAT_ADDS,
    Transactional,
    describe_producers,
)
from pykbroker.protocol.messages.api_versions import ApiVersionsRequest
from pykbroker.protocol.messages.end_txn import EndTxnRequest
from pykbroker.protocol.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

GROUP, METADATA, TRANSACTION = "group.version", "metadata.version", "transaction.version"
NEWEST: Mapping[str, int] = {GROUP: 1, METADATA: 30, TRANSACTION: 2}
UNKNOWN, UP, DOWN, FORCED = range(4)
NEWEST_VERSION = 2
WITH_TYPES = (1, 2)

Update = tuple[str, int, int]


def request_for(*updates: Update, validate_only: bool = False) -> UpdateFeaturesRequest:
    keys = [FeatureUpdateKey(name, level, upgrade_type=kind) for name, level, kind in updates]
    return UpdateFeaturesRequest(feature_updates=keys, validate_only=validate_only)


def update(session: Session, version: int, *updates: Update, validate_only: bool = False) -> Any:
    """Ask for other levels; the text of the answer is compared too."""
    request = request_for(*updates, validate_only=validate_only)
    answer = session.send(request, version)
    session.note("message", answer.error_message)
    session.note("messages", [each.error_message for each in answer.results])
    return answer


def ask_levels(session: Session) -> tuple[dict[str, int], int]:
    request = ApiVersionsRequest(client_software_name="a", client_software_version="1")
    answer = session.ask(request, ApiVersionsRequest.MAX_VERSION)
    levels = {each.name: each.max_version_level for each in answer.finalized_features}
    return {name: levels.get(name, 0) for name in NEWEST}, answer.finalized_features_epoch


def await_levels(session: Session, **changed: int) -> int:
    """Wait until the broker shows these levels and no others changed; gives their epoch."""
    wanted = {**NEWEST, **{f"{name}.version": level for name, level in changed.items()}}
    session.eventually(lambda: ask_levels(session)[0] == wanted, what=f"levels {wanted}")
    return ask_levels(session)[1]


@contextmanager
def at(session: Session, **levels: int) -> Iterator[int]:
    """Play at lower levels, `transaction=1`; gives their epoch."""
    lower = [(f"{name}.version", level, DOWN) for name, level in levels.items()]
    try:
        assert session.ask(request_for(*lower), NEWEST_VERSION).error_code == 0
        yield await_levels(session, **levels)
    finally:
        newest = [(name, level, UP) for name, level in NEWEST.items()]
        session.ask(request_for(*newest), NEWEST_VERSION)
        await_levels(session)


@case(UpdateFeaturesRequest)
def test_levels_as_they_are(session: Session, version: int) -> None:
    update(session, version)
    for name, level in NEWEST.items():
        update(session, version, (name, level, UP))
    update(session, version, *((name, level, UP) for name, level in NEWEST.items()))
    await_levels(session)


@case(UpdateFeaturesRequest)
def test_levels_that_are_not_there(session: Session, version: int) -> None:
    for name, level in (
        (TRANSACTION, 3),
        (TRANSACTION, -1),
        (TRANSACTION, 32767),
        (GROUP, 2),
        (GROUP, -32768),
        (METADATA, 0),
        (METADATA, 6),
        (METADATA, 31),
        ("nope", 0),
        ("nope", 1),
        ("nope", -1),
        ("", 1),
        ("transaction.version ", 1),
    ):
        update(session, version, (name, level, UP))
    await_levels(session)


@case(UpdateFeaturesRequest)
def test_lower_levels_without_saying_so(session: Session, version: int) -> None:
    for name, level in ((TRANSACTION, 1), (TRANSACTION, 0), (GROUP, 0), (METADATA, 29)):
        update(session, version, (name, level, UP))
    await_levels(session)


@case(UpdateFeaturesRequest, versions=WITH_TYPES)
def test_lower_levels_of_metadata(session: Session, version: int) -> None:
    for kind in (DOWN, FORCED):
        for level in (30, 29, 21, 7, 6):
            update(session, version, (METADATA, level, kind))
    await_levels(session)


@case(UpdateFeaturesRequest, versions=WITH_TYPES)
def test_types_that_are_not_there(session: Session, version: int) -> None:
    for kind in (UNKNOWN, 4, -1, 127):
        update(session, version, (TRANSACTION, 2, kind))
        update(session, version, ("nope", -1, kind))
    await_levels(session)


@case(UpdateFeaturesRequest, versions=WITH_TYPES)
def test_only_asked(session: Session, version: int) -> None:
    for updates in (
        [(TRANSACTION, 1, DOWN), (GROUP, 0, FORCED)],
        [(TRANSACTION, 1, DOWN), (TRANSACTION, 0, FORCED)],
        [(TRANSACTION, 1, DOWN), ("nope", 1, UP)],
        [(TRANSACTION, 1, UP)],
        [(TRANSACTION, 3, DOWN)],
        [],
    ):
        update(session, version, *updates, validate_only=True)
    await_levels(session)


@case(UpdateFeaturesRequest, versions=WITH_TYPES)
def test_all_or_none(session: Session, version: int) -> None:
    update(session, version, (TRANSACTION, 1, DOWN), ("nope", 1, UP))
    update(session, version, (GROUP, 7, DOWN), (TRANSACTION, 1, DOWN))
    await_levels(session)


@case(UpdateFeaturesRequest, versions=WITH_TYPES)
def test_down_and_up(session: Session, version: int) -> None:
    epochs = [ask_levels(session)[1]]
    with at(session, transaction=0):
        epochs.append(await_levels(session, transaction=0))
        for kind in (DOWN, FORCED):
            update(session, version, (TRANSACTION, 1, kind))
        update(session, version, (TRANSACTION, 1, UP), (GROUP, 0, FORCED))
        epochs.append(await_levels(session, transaction=1, group=0))
        update(session, version, (TRANSACTION, 0, FORCED), (GROUP, 1, UP))
        epochs.append(await_levels(session, transaction=0))
        update(session, version, (TRANSACTION, 2, UP))
        epochs.append(await_levels(session))
    session.note("epochs grow", epochs == sorted(set(epochs)))


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_old_producers_at_lower_levels(session: Session, version: int) -> None:
    topic = session.create_topic()
    for level in (1, 0):
        with at(session, transaction=level):
            producer = Transactional(session, f"at-{level}", version=3)
            for committed in (COMMIT, ABORT):
                producer.transact(topic, committed)
                producer.end(committed)
                producer.describe()
            producer.add({topic: [0]})
            producer.produce(topic)
            describe_producers(session, (topic, [0]))
            producer.init()
            producer.settle()
            producer.describe()
            producer.init()
            producer.describe()
            describe_producers(session, (topic, [0]))


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_new_producers_at_the_level_before(session: Session, version: int) -> None:
    topic = session.create_topic()
    with at(session, transaction=1):
        producer = Transactional(session)
        for committed in (COMMIT, ABORT):
            producer.transact(topic, committed, version=2)
            producer.end(COMMIT)
            producer.describe()
        producer.end(ABORT, version=FIRST_END_WITH_EPOCH)
        producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        producer.init()
        producer.settle()
        producer.describe()
        producer.init()
        producer.describe()
        describe_producers(session, (topic, [0]))


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_new_producers_at_level_0(session: Session, version: int) -> None:
    """Records of the oldest form cannot say by which version a producer works."""
    topic = session.create_topic()
    with at(session, transaction=0):
        produces, ends, adds = (Transactional(session, label) for label in ("p", "e", "a"))
        produces.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        ends.add({topic: [0]})
        ends.produce(topic)
        ends.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        ends.end(COMMIT, version=FIRST_END_WITH_EPOCH)
        adds.add({topic: [0]}, version=FIRST_BATCHED_ADD)
        for producer in (produces, ends, adds):
            producer.describe()
        describe_producers(session, (topic, [0]))


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_an_end_after_a_refused_one(session: Session, version: int) -> None:
    """A listed difference."""
    topic = session.create_topic()
    with at(session, transaction=0):
        producer = Transactional(session)
        producer.add({topic: [0]})
        producer.produce(topic)
        producer.end(COMMIT, version=FIRST_END_WITH_EPOCH)
        named = producer.named()
        session.note("end", session.ask(EndTxnRequest(**named, committed=True), END).error_code)


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_transactions_that_see_the_level_fall(session: Session, version: int) -> None:
    topic = session.create_topic()
    for level in (1, 0):
        labels = [f"{label}-{level}" for label in ("commits", "aborts", "is-fenced", "stays")]
        producers = [Transactional(session, label) for label in labels]
        commits, aborts, is_fenced, _ = producers
        for producer in producers:
            producer.produce(topic, version=FIRST_PRODUCE_THAT_ADDS)
        with at(session, transaction=level):
            commits.end(COMMIT, version=FIRST_END_WITH_EPOCH if level else END)
            aborts.end(ABORT)
            is_fenced.init()
            is_fenced.settle()
            is_fenced.init()
            for producer in producers:
                producer.describe()
                producer.produce(topic)
                producer.describe()
        describe_producers(session, (topic, [0]))
        for producer in producers:
            producer.end(COMMIT, version=FIRST_END_WITH_EPOCH)
            producer.transact(topic, COMMIT, version=2)
            producer.describe()


@case(UpdateFeaturesRequest, versions=(NEWEST_VERSION,))
def test_no_consumer_groups(session: Session, version: int) -> None:
    group = session.name("g")
    member = Consumer(session, group, topics=[a_topic(session)])
    member.join()
    groups = group, session.name("absent"), ""
    with at(session, group=0):
        for each in (0, 1):
            late = Consumer(session, group, "late", topics=member.topics, version=each)
            late.join()
            member.beat()
            describe(session, *groups, version=each)
        member.leave()
    member.beat()
    describe(session, *groups)
