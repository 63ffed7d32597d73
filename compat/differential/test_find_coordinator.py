"""FindCoordinator: which broker looks after groups, transactional ids and shared partitions."""

from compat.differential.cases import case
from compat.differential.session import Session
from compat.processes import eventually
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest

GROUP, TRANSACTION, SHARE, UNKNOWN, NEGATIVE = 0, 1, 2, 9, -1
FIRST_BATCHED = 4
FIRST_WITH_TYPE = 1
SHARED_PARTITION = "AAAAAAAAAAAAAAAAAAAAAQ:1"


def find(session: Session, version: int, *keys: str, key_type: int = GROUP) -> None:
    """Ask for keys at once, or for one after the other where a request has one."""
    if version >= FIRST_BATCHED:
        request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=list(keys))
        session.send(request, version)
        return
    for key in keys:
        session.send(FindCoordinatorRequest(key=key, key_type=key_type), version)


@case(FindCoordinatorRequest)
def test_group(session: Session, version: int) -> None:
    find(session, version, session.name("group"))


@case(FindCoordinatorRequest)
def test_many_and_odd_keys(session: Session, version: int) -> None:
    find(session, version, "b", "a", "b", "", " ", "/", "é", "\N{GRINNING FACE}", "x" * 5_000)


@case(FindCoordinatorRequest, versions=range(FIRST_BATCHED, 7))
def test_no_keys(session: Session, version: int) -> None:
    find(session, version)
    find(session, version, key_type=SHARE)


@case(FindCoordinatorRequest, versions=range(FIRST_WITH_TYPE, 7))
def test_transactional_id(session: Session, version: int) -> None:
    # The first request makes the topic, of which Kafka knows a moment later.
    request = FindCoordinatorRequest(key_type=TRANSACTION, coordinator_keys=["any"])
    eventually(lambda: session.ask(request, 4).coordinators[0].error_code == 0)
    find(session, version, session.name("id"), "", key_type=TRANSACTION)


@case(FindCoordinatorRequest, versions=range(FIRST_WITH_TYPE, 7))
def test_unknown_key_type(session: Session, version: int) -> None:
    find(session, version, "a", "b", key_type=UNKNOWN)
    find(session, version, "a", key_type=NEGATIVE)


@case(FindCoordinatorRequest, versions=range(FIRST_WITH_TYPE, 6))
def test_shared_partition_before_it_could_be_named(session: Session, version: int) -> None:
    find(session, version, f"g:{SHARED_PARTITION}", "g", "", key_type=SHARE)


@case(FindCoordinatorRequest, versions=[6])
def test_keys_that_name_no_shared_partition(session: Session, version: int) -> None:
    topic_id = SHARED_PARTITION.removesuffix(":1")
    keys = ["", "g", "g:h", f"g:{topic_id}", f":{SHARED_PARTITION}", f" :{SHARED_PARTITION}"]
    keys += [f"g:{topic_id}:x", f"g:{topic_id}:", "g:A:1", f"g:{topic_id}:1.5"]
    find(session, version, *keys, key_type=SHARE)


@case(FindCoordinatorRequest)
def test_fields_of_the_other_shape(session: Session, version: int) -> None:
    """A key where keys belong, and keys where a key belongs, are not sent at all."""
    request = FindCoordinatorRequest(key_type=GROUP)
    session.send(request, version)
