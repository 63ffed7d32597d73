"""Differences that are meant, of the APIs for topics, settings, brokers and directories."""

from collections.abc import Iterator, Sequence

from compat.differential.transcript import Difference

# Cases in which CreateTopics answers with the settings of a topic.
_CREATED = (
    "assignments",
    "bad_counts_of_partitions",
    "collisions_of_dot_and_underscore",
    "defaults",
    "internal_names",
    "odd_but_good_names",
    "order_of_the_checks",
    "plain",
    "settings",
    "twice_in_a_request",
    "validate_only",
)
_FIRST_WITH_SETTINGS = 5
_WITHOUT_ELR = (
    "Kafka stores min.insync.replicas as a dynamic setting of all brokers for its eligible leader "
    "replicas; with one replica there is nothing to elect, and the setting is a plain default"
)
_REFUSED_WITH_BROKERS = (
    "a malformed request is refused with INVALID_REQUEST and the brokers; Kafka says "
    "UNKNOWN_SERVER_ERROR from v12 on, and lists no brokers, which librdkafka takes for a cluster "
    "that has none"
)
_IMPOSSIBLE_NAME = (
    "an impossible name is refused by itself with INVALID_TOPIC_EXCEPTION; Kafka fails the whole "
    "request with UNKNOWN_SERVER_ERROR"
)


def _settings_of_created_topics() -> Iterator[Difference]:
    for name in _CREATED:
        yield Difference(
            case=f"create_topics.{name}",
            path="*/config_source",
            ours="5",
            kafka="3",
            reason=_WITHOUT_ELR,
            versions=range(_FIRST_WITH_SETTINGS, 8),
        )


def _malformed_metadata() -> Iterator[Difference]:
    for name in ("neither_name_nor_id", "ids_before_they_may_be_asked_for"):
        for field, ours, kafka in (
            ("brokers", "[[]{'node_id': 1, *}]", "[[]]"),
            ("cluster_id", "'cluster 1'", "None"),
            ("controller_id", "1", "-1"),
        ):
            yield Difference(f"metadata.{name}", f"*/{field}", ours, kafka, _REFUSED_WITH_BROKERS)
    for path, versions in (("0/topics/0/error_code", (12, 13)), ("0/error_code", (13,))):
        yield Difference(
            "metadata.neither_name_nor_id", path, "42", "-1", _REFUSED_WITH_BROKERS, versions
        )


ADMIN_DIFFERENCES: Sequence[Difference] = (
    *_settings_of_created_topics(),
    Difference(
        case="create_partitions.too_many",
        path="*/error_code",
        ours="44",
        kafka="-1",
        reason="too many partitions in one request are refused with POLICY_VIOLATION as in "
        "CreateTopics; Kafka does not expect it here and says UNKNOWN_SERVER_ERROR",
    ),
    Difference(
        case="create_partitions.too_many",
        path="*/error_message",
        ours="'message'",
        kafka="None",
        reason="as above",
    ),
    Difference(
        case="api_versions.other_apis",
        path="0",
        ours="[[]]",
        kafka="[[]17, *]",
        reason="transactions, share and streams groups, security, quotas and the tools of a KRaft "
        "quorum are not served, so they are not advertised",
    ),
    Difference(
        case="api_versions.features",
        path="[012]",
        ours="*",
        kafka="*",
        reason="Kafka's features are levels of what its brokers have agreed on; none of them is "
        "complete here, so none is listed",
    ),
    *_malformed_metadata(),
    Difference(
        case="describe_topic_partitions.bad_names",
        path="*/topics/0/error_code",
        ours="17",
        kafka="-1",
        reason=_IMPOSSIBLE_NAME,
    ),
    Difference(
        case="describe_topic_partitions.bad_names",
        path="*/topics/0/topic_authorized_operations",
        ours="3576",
        kafka="-2147483648",
        reason=_IMPOSSIBLE_NAME,
    ),
)
