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
_SYNONYMS = (
    "[[]{'name': 'min.insync.replicas', 'value': '1', 'source': 5}]",
    "[[]{'name': 'min.insync.replicas', 'value': '1', 'source': 3}, *]",
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
_TOO_MANY_PARTITIONS = (
    "too many partitions in one request are refused with POLICY_VIOLATION as in CreateTopics; "
    "Kafka does not expect it here and says UNKNOWN_SERVER_ERROR"
)
_UNKNOWN_OPERATION = (
    "an operation that does not exist is INVALID_REQUEST; Kafka does not expect it and says "
    "UNKNOWN_SERVER_ERROR"
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


def _changed_settings_of_brokers() -> Iterator[Difference]:
    reason = (
        "a retention below -1 is refused, as in a broker's own file; Kafka takes it when it is "
        "changed while the broker runs"
    )
    name = "broker_settings.a_retention_that_is_none"
    yield Difference(name, "*/error_code", "42", "0", reason)
    yield Difference(name, "*/error_message", "'message'", "None", reason)
    name = "broker_settings.min_insync_replicas"
    yield Difference(name, "0/*/error_code", "0", "40", _WITHOUT_ELR)
    yield Difference(name, "0/*/error_message", "None", "'message'", _WITHOUT_ELR)


def _described_settings() -> Iterator[Difference]:
    """What shows of min.insync.replicas where settings are described."""
    for name in ("topic", "some_settings_of_a_topic", "documentation"):
        yield Difference(f"describe_configs.{name}", "*/config_source", "5", "3", _WITHOUT_ELR)
    for name in ("topic", "documentation"):
        yield Difference(
            f"describe_configs.{name}",
            "*/synonyms",
            *_SYNONYMS,
            _WITHOUT_ELR,
        )
    for name, versions in (
        ("settings", range(1, 5)),
        ("defaults_of_topics", range(2, 8)),
    ):
        area = f"topics_with_other_settings.{name}"
        yield Difference(area, "1/*/config_source", "5", "3", _WITHOUT_ELR, versions)
        yield Difference(area, "1/*/synonyms", *_SYNONYMS, _WITHOUT_ELR, versions)
    created = range(_FIRST_WITH_SETTINGS, 8)
    name = "topics_with_other_settings.defaults_of_topics"
    yield Difference(name, "0/*/config_source", "5", "3", _WITHOUT_ELR, created)
    for field in ("config_source", "synonyms"):
        path = f"0/min.insync.replicas/{field}"
        yield Difference("describe_configs.broker", path, "*", "*", _WITHOUT_ELR)
    yield Difference(
        "describe_configs.all_brokers",
        "*/configs",
        "[[]]",
        "[[]{'name': 'min.insync.replicas', *}]",
        _WITHOUT_ELR,
    )
    for name, path in (
        ("some_settings_of_a_broker", "*/synonyms/1/value"),
        ("broker", "0/group.initial.rebalance.delay.ms/synonyms/1/value"),
    ):
        yield Difference(
            f"describe_configs.{name}",
            path,
            "'0'",
            "'3000'",
            "groups form at once by default, as in Kafka's container images",
        )
    for name in ("listeners", "listener.security.protocol.map"):
        yield Difference(
            "describe_configs.broker",
            f"0/{name}/read_only",
            "True",
            "False",
            "listeners cannot be changed while the broker runs",
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
        reason=_TOO_MANY_PARTITIONS,
    ),
    Difference(
        case="create_partitions.too_many",
        path="*/error_message",
        ours="'message'",
        kafka="None",
        reason=_TOO_MANY_PARTITIONS,
    ),
    Difference(
        case="api_versions.other_apis",
        path="0",
        ours="[[]]",
        kafka="[[]29, *]",
        reason="share and streams groups, access control, quotas and the tools of a "
        "KRaft quorum are not served, so they are not advertised",
    ),
    Difference(
        case="api_versions.features",
        path="[01]",
        ours="*",
        kafka="*",
        reason="of Kafka's features only those of consumer groups and of transactions are complete "
        "here, so no others are listed",
    ),
    *_malformed_metadata(),
    *_described_settings(),
    *_changed_settings_of_brokers(),
    *(
        Difference(
            case=f"malformed_requests.tags_of_the_{part}",
            path="*/negative count",
            ours="'closed'",
            kafka="'answered'",
            reason="Kafka takes a count of tagged fields above 2^31 for a negative one, and so for "
            "none",
        )
        for part in ("header", "body")
    ),
    Difference(
        case="malformed_requests.size_of_a_known_tag",
        path="0/[!r]*",
        ours="'closed'",
        kafka="'answered'",
        reason="a tagged field that has another size than it says is refused; Kafka passes over "
        "the size of those that it knows",
    ),
    Difference(
        case="connections.large_request_of_a_small_api",
        path="0/9 MB",
        ours="'closed'",
        kafka="'answered'",
        reason="a request without records or members' bytes may have 8 MB: it is decoded into "
        "objects that take many times its size",
    ),
    Difference(
        case="connections.many_elements",
        path="0/140000 topics",
        ours="'closed'",
        kafka="'answered'",
        reason="a list may have 131,072 elements, each of which is an object",
    ),
    Difference(
        case="incremental_alter_configs.unknown_operations",
        path="*/error_code",
        ours="42",
        kafka="-1",
        reason=_UNKNOWN_OPERATION,
    ),
    Difference(
        case="incremental_alter_configs.unknown_operations",
        path="*/error_message",
        ours="'message'",
        kafka="None",
        reason=_UNKNOWN_OPERATION,
    ),
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
