"""Kafka's error codes, and the exceptions of the protocol layer.

The numbers, the names and the `retriable` flag are those of Kafka's `Errors` enum and of the
exception classes behind it (a code is retriable when its class extends `RetriableException`);
clients decide by the number alone. The messages are our own words.

- `KafkaError` is answered at the narrowest level that the API's schema has: partition, then
  topic, then request.
- `ProtocolError` means bytes that cannot be understood; the connection is closed, as Kafka does.
- `CorruptBatchError` means a record batch that cannot be read. Whether that becomes an answer, a
  cut-off tail or an offline log depends on where the batch came from, so the reader decides.

Anything else that reaches the dispatcher is a bug of the broker.
"""

from enum import IntEnum
from typing import Final, Self

_RETRIABLE: Final = True


class ErrorCode(IntEnum):
    """An error code of the Kafka protocol; an `int` on the wire.

    Attributes:
        message: What went wrong, in a sentence for people.
        retriable: Whether the same request may succeed later, so that clients repeat it.
    """

    message: str
    retriable: bool

    def __new__(cls, number: int, message: str = "", retriable: bool = False) -> Self:
        """Make the member whose value is the number on the wire; `ErrorCode(number)` finds it."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.message = message
        member.retriable = retriable
        return member

    UNKNOWN_SERVER_ERROR = -1, "The broker failed in a way that it did not expect."
    NONE = 0, "No error."
    OFFSET_OUT_OF_RANGE = 1, "The offset is outside of what the partition's log holds."
    CORRUPT_MESSAGE = (
        2,
        "The record data is damaged: its checksum or its sizes are wrong.",
        _RETRIABLE,
    )
    UNKNOWN_TOPIC_OR_PARTITION = 3, "This broker has no such topic or partition.", _RETRIABLE
    INVALID_FETCH_SIZE = 4, "The fetch size is not valid."
    LEADER_NOT_AVAILABLE = 5, "The partition has no leader at the moment.", _RETRIABLE
    NOT_LEADER_OR_FOLLOWER = 6, "This broker does not lead or replicate the partition.", _RETRIABLE
    REQUEST_TIMED_OUT = 7, "The request was not completed in time.", _RETRIABLE
    BROKER_NOT_AVAILABLE = 8, "The broker is not available."
    REPLICA_NOT_AVAILABLE = 9, "The replica is not available on this broker.", _RETRIABLE
    MESSAGE_TOO_LARGE = 10, "The record batch is larger than the topic or the broker accepts."
    STALE_CONTROLLER_EPOCH = 11, "The controller has moved to another broker."
    OFFSET_METADATA_TOO_LARGE = 12, "The metadata text of the committed offset is too long."
    NETWORK_EXCEPTION = 13, "The connection was lost before an answer arrived.", _RETRIABLE
    COORDINATOR_LOAD_IN_PROGRESS = 14, "The coordinator is still loading its state.", _RETRIABLE
    COORDINATOR_NOT_AVAILABLE = 15, "The coordinator is not available.", _RETRIABLE
    NOT_COORDINATOR = 16, "This broker is not the coordinator for that key.", _RETRIABLE
    INVALID_TOPIC_EXCEPTION = 17, "The topic name is not valid, or the topic may not be used so."
    RECORD_LIST_TOO_LARGE = 18, "The record batch is larger than one log segment may be."
    NOT_ENOUGH_REPLICAS = 19, "Fewer replicas are in sync than the topic requires.", _RETRIABLE
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = (
        20,
        "The records were appended, but fewer replicas are in sync than the topic requires.",
        _RETRIABLE,
    )
    INVALID_REQUIRED_ACKS = 21, "The required acks must be -1, 0 or 1."
    ILLEGAL_GENERATION = 22, "The generation id is not the group's current one."
    INCONSISTENT_GROUP_PROTOCOL = 23, "The member's protocols do not fit those of the group."
    INVALID_GROUP_ID = 24, "The group id is not valid."
    UNKNOWN_MEMBER_ID = 25, "The group has no such member."
    INVALID_SESSION_TIMEOUT = 26, "The session timeout is outside of the range that is allowed."
    REBALANCE_IN_PROGRESS = 27, "The group is rebalancing; the member must rejoin."
    INVALID_COMMIT_OFFSET_SIZE = 28, "The offsets to commit are too large for one record batch."
    TOPIC_AUTHORIZATION_FAILED = 29, "The principal may not do this to the topic."
    GROUP_AUTHORIZATION_FAILED = 30, "The principal may not do this to the group."
    CLUSTER_AUTHORIZATION_FAILED = 31, "The principal may not do this to the cluster."
    INVALID_TIMESTAMP = 32, "A record's timestamp is not acceptable."
    UNSUPPORTED_SASL_MECHANISM = 33, "The broker does not offer this SASL mechanism."
    ILLEGAL_SASL_STATE = 34, "The request is not allowed in this state of authentication."
    UNSUPPORTED_VERSION = 35, "The broker does not support this version of the request."
    TOPIC_ALREADY_EXISTS = 36, "A topic of this name already exists."
    INVALID_PARTITIONS = 37, "The number of partitions is not valid."
    INVALID_REPLICATION_FACTOR = (
        38,
        "The replication factor is not positive or exceeds the brokers.",
    )
    INVALID_REPLICA_ASSIGNMENT = 39, "The replica assignment is not valid."
    INVALID_CONFIG = 40, "A configuration value is not valid."
    NOT_CONTROLLER = 41, "This broker is not the controller.", _RETRIABLE
    INVALID_REQUEST = 42, "The request contradicts itself or the protocol."
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, "The record format on the broker cannot do this."
    POLICY_VIOLATION = 44, "The request violates a policy of the cluster."
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, "The sequence number does not follow the last one."
    DUPLICATE_SEQUENCE_NUMBER = 46, "The sequence number was received before."
    INVALID_PRODUCER_EPOCH = 47, "The producer epoch is older than the current one."
    INVALID_TXN_STATE = 48, "The transaction's state does not allow this."
    INVALID_PRODUCER_ID_MAPPING = 49, "The producer id does not belong to this transactional id."
    INVALID_TRANSACTION_TIMEOUT = 50, "The transaction timeout is larger than the broker allows."
    CONCURRENT_TRANSACTIONS = 51, "The last transaction is still being completed.", _RETRIABLE
    TRANSACTION_COORDINATOR_FENCED = 52, "A newer transaction coordinator has taken over."
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, "The principal may not use the transactional id."
    SECURITY_DISABLED = 54, "The broker has no authorizer, so there are no ACLs."
    OPERATION_NOT_ATTEMPTED = 55, "Not attempted, because another part of the request failed."
    KAFKA_STORAGE_ERROR = 56, "The disk of the partition's log failed.", _RETRIABLE
    LOG_DIR_NOT_FOUND = 57, "The broker has no such log directory."
    SASL_AUTHENTICATION_FAILED = 58, "The SASL authentication failed."
    UNKNOWN_PRODUCER_ID = 59, "The log has no state of this producer id any more."
    REASSIGNMENT_IN_PROGRESS = 60, "A reassignment of the partition is in progress."
    DELEGATION_TOKEN_AUTH_DISABLED = 61, "Delegation tokens are not enabled."
    DELEGATION_TOKEN_NOT_FOUND = 62, "The broker has no such delegation token."
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, "The principal is neither owner nor renewer of the token."
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = (
        64,
        "Token requests need a channel that is authenticated by other means than a token.",
    )
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, "The principal may not do this to the token."
    DELEGATION_TOKEN_EXPIRED = 66, "The delegation token has expired."
    INVALID_PRINCIPAL_TYPE = 67, "The principal type is not supported."
    NON_EMPTY_GROUP = 68, "The group still has members."
    GROUP_ID_NOT_FOUND = 69, "There is no such group."
    FETCH_SESSION_ID_NOT_FOUND = 70, "The broker has no such fetch session.", _RETRIABLE
    INVALID_FETCH_SESSION_EPOCH = 71, "The fetch session epoch is not the next one.", _RETRIABLE
    LISTENER_NOT_FOUND = 72, "The leader has no listener of the name that was used.", _RETRIABLE
    TOPIC_DELETION_DISABLED = 73, "Deleting topics is switched off (delete.topic.enable)."
    FENCED_LEADER_EPOCH = 74, "The leader epoch is older than the broker's.", _RETRIABLE
    UNKNOWN_LEADER_EPOCH = 75, "The leader epoch is newer than the broker's.", _RETRIABLE
    UNSUPPORTED_COMPRESSION_TYPE = 76, "The client's version cannot use this compression type."
    STALE_BROKER_EPOCH = 77, "The broker epoch is not the current one."
    OFFSET_NOT_AVAILABLE = 78, "A new leader does not know its high watermark yet.", _RETRIABLE
    MEMBER_ID_REQUIRED = 79, "Join again with the member id of this answer."
    PREFERRED_LEADER_NOT_AVAILABLE = 80, "The preferred leader is not available.", _RETRIABLE
    GROUP_MAX_SIZE_REACHED = 81, "The group has as many members as it may have."
    FENCED_INSTANCE_ID = 82, "Another member has taken over this group instance id."
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, "No replica may become leader.", _RETRIABLE
    ELECTION_NOT_NEEDED = 84, "The partition already has the leader that it should.", _RETRIABLE
    NO_REASSIGNMENT_IN_PROGRESS = 85, "No reassignment of the partition is in progress."
    GROUP_SUBSCRIBED_TO_TOPIC = 86, "The group is subscribed to the topic."
    INVALID_RECORD = 87, "A record or its batch breaks a rule of the record format."
    UNSTABLE_OFFSET_COMMIT = 88, "An open transaction holds offsets of the partition.", _RETRIABLE
    THROTTLING_QUOTA_EXCEEDED = 89, "The quota for such changes is used up.", _RETRIABLE
    PRODUCER_FENCED = 90, "A newer producer with the same transactional id has taken over."
    RESOURCE_NOT_FOUND = 91, "There is no such resource."
    DUPLICATE_RESOURCE = 92, "The request names the resource more than once."
    UNACCEPTABLE_CREDENTIAL = 93, "The credential does not meet the requirements."
    INCONSISTENT_VOTER_SET = 94, "The sender is not one of the voters, or the sets differ."
    INVALID_UPDATE_VERSION = 95, "The version to update to is not valid."
    FEATURE_UPDATE_FAILED = 96, "The features could not be updated."
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, "The forwarded principal could not be decoded."
    SNAPSHOT_NOT_FOUND = 98, "There is no such snapshot."
    POSITION_OUT_OF_RANGE = 99, "The position is outside of the snapshot."
    UNKNOWN_TOPIC_ID = 100, "This broker has no topic with this id.", _RETRIABLE
    DUPLICATE_BROKER_REGISTRATION = 101, "A broker with this id is registered already."
    BROKER_ID_NOT_REGISTERED = 102, "No broker with this id is registered."
    INCONSISTENT_TOPIC_ID = 103, "The topic id is not the one in the log.", _RETRIABLE
    INCONSISTENT_CLUSTER_ID = 104, "The request's cluster id is not that of this cluster."
    TRANSACTIONAL_ID_NOT_FOUND = 105, "There is no such transactional id."
    FETCH_SESSION_TOPIC_ID_ERROR = (
        106,
        "The fetch session and the request differ in whether they use topic ids.",
        _RETRIABLE,
    )
    INELIGIBLE_REPLICA = 107, "The new in-sync set names a replica that may not be in it."
    NEW_LEADER_ELECTED = 108, "The partition has a new leader after the change."
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, "The offset was moved to tiered storage."
    FENCED_MEMBER_EPOCH = 110, "The member epoch is fenced; the member must rejoin."
    UNRELEASED_INSTANCE_ID = 111, "Another live member still uses the group instance id."
    UNSUPPORTED_ASSIGNOR = 112, "The group has no assignor of this name."
    STALE_MEMBER_EPOCH = 113, "The member epoch is stale; heartbeat first, then retry."
    MISMATCHED_ENDPOINT_TYPE = 114, "The request was sent to the wrong type of endpoint."
    UNSUPPORTED_ENDPOINT_TYPE = 115, "This type of endpoint is not supported."
    UNKNOWN_CONTROLLER_ID = 116, "There is no controller with this id."
    UNKNOWN_SUBSCRIPTION_ID = 117, "The telemetry subscription id is not the current one."
    TELEMETRY_TOO_LARGE = 118, "The telemetry data is larger than the broker accepts."
    INVALID_REGISTRATION = 119, "The broker registration is not valid."
    TRANSACTION_ABORTABLE = 120, "The transaction cannot go on; abort it and start a new one."
    INVALID_RECORD_STATE = 121, "The record's delivery state does not allow this."
    SHARE_SESSION_NOT_FOUND = 122, "The broker has no such share session.", _RETRIABLE
    INVALID_SHARE_SESSION_EPOCH = 123, "The share session epoch is not the next one.", _RETRIABLE
    FENCED_STATE_EPOCH = 124, "The share state epoch is older than the current one."
    INVALID_VOTER_KEY = 125, "The voter key is not that of the receiving replica."
    DUPLICATE_VOTER = 126, "The voter is already one of the voters."
    VOTER_NOT_FOUND = 127, "The voter is not one of the voters."
    INVALID_REGULAR_EXPRESSION = 128, "The regular expression is not valid."
    REBOOTSTRAP_REQUIRED = 129, "The client must bootstrap again; its metadata is stale."
    STREAMS_INVALID_TOPOLOGY = 130, "The Streams topology is not valid."
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, "The Streams topology epoch is not valid."
    STREAMS_TOPOLOGY_FENCED = 132, "The Streams topology epoch is older than the group's."
    SHARE_SESSION_LIMIT_REACHED = (
        133,
        "The broker has as many share sessions as it may.",
        _RETRIABLE,
    )


class KafkaError(Exception):
    """A failure that the client is told about by an error code.

    Attributes:
        code: What the client's code decides by.
        message: What people read; that of the code unless a more precise one was given.
    """

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        self.code: ErrorCode = code
        self.message: str = code.message if message is None else message
        super().__init__(code, self.message)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class ProtocolError(Exception):
    """Bytes from the peer that cannot be understood; the connection must be closed."""


class CorruptBatchError(Exception):
    """A record batch whose bytes contradict the format; the message says what and where."""
