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
)
