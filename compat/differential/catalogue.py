"""All cases of the suite, and what must be among them: APIs, versions, error codes."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from compat.differential.cases import Case
from pykbroker.handlers import APIS
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode

FOLDER = Path(__file__).parent
HANDLERS = FOLDER.parent.parent / "pykbroker" / "handlers"

E = ErrorCode

# What Kafka's documentation names and a handler's own text does not, because it is decided deeper.
NAMED: Mapping[ApiKey, Sequence[ErrorCode]] = {
    ApiKey.PRODUCE: (
        E.CORRUPT_MESSAGE,
        E.MESSAGE_TOO_LARGE,
        E.RECORD_LIST_TOO_LARGE,
        E.INVALID_TIMESTAMP,
        E.OUT_OF_ORDER_SEQUENCE_NUMBER,
        E.INVALID_PRODUCER_EPOCH,
        E.INVALID_PRODUCER_ID_MAPPING,
        E.UNSUPPORTED_COMPRESSION_TYPE,
        E.INVALID_RECORD,
        E.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ),
    ApiKey.FETCH: (
        E.OFFSET_OUT_OF_RANGE,
        E.FETCH_SESSION_ID_NOT_FOUND,
        E.INVALID_FETCH_SESSION_EPOCH,
        E.FENCED_LEADER_EPOCH,
        E.UNKNOWN_LEADER_EPOCH,
        E.INCONSISTENT_TOPIC_ID,
        E.FETCH_SESSION_TOPIC_ID_ERROR,
    ),
    ApiKey.LIST_OFFSETS: (E.FENCED_LEADER_EPOCH, E.UNKNOWN_LEADER_EPOCH),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: (
        E.UNKNOWN_TOPIC_OR_PARTITION,
        E.FENCED_LEADER_EPOCH,
        E.UNKNOWN_LEADER_EPOCH,
    ),
    ApiKey.DELETE_RECORDS: (E.OFFSET_OUT_OF_RANGE,),
    ApiKey.METADATA: (E.INVALID_TOPIC_EXCEPTION, E.UNKNOWN_TOPIC_ID),
    ApiKey.CREATE_TOPICS: (
        E.INVALID_TOPIC_EXCEPTION,
        E.TOPIC_ALREADY_EXISTS,
        E.INVALID_PARTITIONS,
        E.INVALID_REPLICATION_FACTOR,
        E.INVALID_REPLICA_ASSIGNMENT,
        E.INVALID_CONFIG,
        E.INVALID_REQUEST,
        E.POLICY_VIOLATION,
    ),
    ApiKey.CREATE_PARTITIONS: (
        E.UNKNOWN_TOPIC_OR_PARTITION,
        E.INVALID_PARTITIONS,
        E.INVALID_REPLICA_ASSIGNMENT,
        E.INVALID_REQUEST,
    ),
    ApiKey.JOIN_GROUP: (
        E.INVALID_GROUP_ID,
        E.INVALID_SESSION_TIMEOUT,
        E.UNKNOWN_MEMBER_ID,
        E.MEMBER_ID_REQUIRED,
        E.INCONSISTENT_GROUP_PROTOCOL,
        E.FENCED_INSTANCE_ID,
        E.GROUP_MAX_SIZE_REACHED,
    ),
    ApiKey.SYNC_GROUP: (
        E.INVALID_GROUP_ID,
        E.UNKNOWN_MEMBER_ID,
        E.ILLEGAL_GENERATION,
        E.INCONSISTENT_GROUP_PROTOCOL,
        E.REBALANCE_IN_PROGRESS,
        E.FENCED_INSTANCE_ID,
    ),
    ApiKey.HEARTBEAT: (
        E.INVALID_GROUP_ID,
        E.UNKNOWN_MEMBER_ID,
        E.ILLEGAL_GENERATION,
        E.REBALANCE_IN_PROGRESS,
        E.FENCED_INSTANCE_ID,
    ),
    ApiKey.LEAVE_GROUP: (E.INVALID_GROUP_ID, E.UNKNOWN_MEMBER_ID, E.FENCED_INSTANCE_ID),
    ApiKey.DESCRIBE_GROUPS: (E.GROUP_ID_NOT_FOUND,),
    ApiKey.DELETE_GROUPS: (E.GROUP_ID_NOT_FOUND, E.NON_EMPTY_GROUP),
    ApiKey.OFFSET_COMMIT: (
        E.UNKNOWN_MEMBER_ID,
        E.ILLEGAL_GENERATION,
        E.REBALANCE_IN_PROGRESS,
        E.OFFSET_METADATA_TOO_LARGE,
        E.FENCED_INSTANCE_ID,
        E.GROUP_ID_NOT_FOUND,
        E.STALE_MEMBER_EPOCH,
    ),
    ApiKey.OFFSET_FETCH: (E.UNSTABLE_OFFSET_COMMIT, E.STALE_MEMBER_EPOCH),
    ApiKey.TXN_OFFSET_COMMIT: (
        E.OFFSET_METADATA_TOO_LARGE,
        E.INVALID_GROUP_ID,
        E.INVALID_PRODUCER_ID_MAPPING,
        E.UNKNOWN_MEMBER_ID,
        E.ILLEGAL_GENERATION,
        E.FENCED_INSTANCE_ID,
    ),
    ApiKey.OFFSET_DELETE: (
        E.GROUP_ID_NOT_FOUND,
        E.NON_EMPTY_GROUP,
        E.GROUP_SUBSCRIBED_TO_TOPIC,
    ),
    ApiKey.CONSUMER_GROUP_HEARTBEAT: (
        E.INVALID_REQUEST,
        E.UNSUPPORTED_ASSIGNOR,
        E.GROUP_ID_NOT_FOUND,
        E.UNKNOWN_MEMBER_ID,
        E.FENCED_MEMBER_EPOCH,
        E.UNRELEASED_INSTANCE_ID,
        E.FENCED_INSTANCE_ID,
        E.GROUP_MAX_SIZE_REACHED,
        E.INVALID_REGULAR_EXPRESSION,
    ),
    ApiKey.CONSUMER_GROUP_DESCRIBE: (E.GROUP_ID_NOT_FOUND, E.INVALID_GROUP_ID),
    ApiKey.DESCRIBE_CONFIGS: (E.UNKNOWN_TOPIC_OR_PARTITION, E.INVALID_TOPIC_EXCEPTION),
    ApiKey.ALTER_CONFIGS: (E.UNKNOWN_TOPIC_OR_PARTITION, E.INVALID_CONFIG, E.INVALID_REQUEST),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: (E.UNKNOWN_TOPIC_OR_PARTITION,),
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: (
        E.INVALID_REPLICA_ASSIGNMENT,
        E.NO_REASSIGNMENT_IN_PROGRESS,
    ),
    ApiKey.ELECT_LEADERS: (E.ELECTION_NOT_NEEDED,),
}

_ONE_BROKER = "needs a second broker"

# Codes that no case can show, in any API.
UNSEEN: Mapping[ErrorCode, str] = {
    E.KAFKA_STORAGE_ERROR: "needs a failing disk: compat/faults",
    E.LEADER_NOT_AVAILABLE: "shows only in the moment in which a topic is made",
    E.NOT_ENOUGH_REPLICAS: _ONE_BROKER,
    E.NOT_ENOUGH_REPLICAS_AFTER_APPEND: _ONE_BROKER,
    E.ELIGIBLE_LEADERS_NOT_AVAILABLE: _ONE_BROKER,
    E.PREFERRED_LEADER_NOT_AVAILABLE: _ONE_BROKER,
}

# Codes that no case can show in one API.
UNSEEN_IN: Mapping[tuple[ApiKey, ErrorCode], str] = {
    (ApiKey.PRODUCE, E.NOT_LEADER_OR_FOLLOWER): _ONE_BROKER,
    (ApiKey.PRODUCE, E.REQUEST_TIMED_OUT): "needs a replica or a disk that is slow",
    (ApiKey.FETCH, E.FENCED_LEADER_EPOCH): "needs a leader epoch above 0, that is a restart",
    (ApiKey.METADATA, E.TOPIC_ALREADY_EXISTS): "is not answered: another client made the topic",
    (ApiKey.FIND_COORDINATOR, E.COORDINATOR_NOT_AVAILABLE): "shows only while the topic is made",
    (ApiKey.TXN_OFFSET_COMMIT, E.PRODUCER_FENCED): "is told as INVALID_PRODUCER_EPOCH",
    (ApiKey.TXN_OFFSET_COMMIT, E.NOT_COORDINATOR): _ONE_BROKER,
    (ApiKey.TXN_OFFSET_COMMIT, E.COORDINATOR_LOAD_IN_PROGRESS): "shows only after a start",
    (ApiKey.API_VERSIONS, E.UNSUPPORTED_VERSION): "is compared as bytes, in the oldest version",
}


def all_cases() -> list[Case]:
    """Every case, in the order of the files."""
    found = []
    for path in sorted(FOLDER.glob("test_*.py")):
        module = import_module(f"compat.differential.{path.stem}")
        own = (getattr(each, "case", None) for each in vars(module).values())
        found += [each for each in own if isinstance(each, Case) and each.area == area(path)]
    return found


def area(path: Path) -> str:
    """What the cases of a file are called after."""
    return path.stem.removeprefix("test_")


def expected_codes(api: ApiKey) -> set[ErrorCode]:
    """The error codes that an API can answer: those in its handler's code, and NAMED."""
    tree = ast.parse((HANDLERS / f"{api.stem}.py").read_text())
    mentioned = {
        ErrorCode[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ErrorCode"
        and node.attr in ErrorCode.__members__
    }
    return (mentioned | set(NAMED.get(api, ()))) - {ErrorCode.NONE, ErrorCode.UNKNOWN_SERVER_ERROR}


def is_unseen(api: ApiKey, code: ErrorCode) -> bool:
    """Whether there is a reason for which no case shows this code."""
    return code in UNSEEN or (api, code) in UNSEEN_IN


def counts() -> Iterator[tuple[str, int, int, str]]:
    """By API: its name, the number of cases, of cases times versions, and the versions."""
    cases = all_cases()
    for api in APIS.values():
        own = [case for case in cases if case.api == api.key]
        versions = {version for case in own for version in case.versions}
        shown = f"{min(versions)}-{max(versions)}" if versions else ""
        yield api.name, len(own), sum(len(case.versions) for case in own), shown
