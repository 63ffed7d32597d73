"""Which topics a consumer group's regular expressions match (KIP-848, SubscribedTopicRegex).

An expression is matched against whole names, internal topics included, as in Kafka. What reads and
matches it (`coordinator.regex`) is loaded when a group first has one: most
brokers never need it, and it would be a tenth of their start.
"""

from collections.abc import Iterable

from pykbroker.protocol.errors import ErrorCode, KafkaError


def check_pattern(pattern: str) -> None:
    """Make sure that this is a regular expression.

    Raises:
        KafkaError: INVALID_REGULAR_EXPRESSION.
    """
    from pykbroker.coordinator.regex.machine import Regex
    from pykbroker.coordinator.regex.syntax import RegexError

    try:
        Regex(pattern)
    except RegexError as error:
        raise KafkaError(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.",
        ) from error


def resolve(pattern: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that an expression matches; none if it is no expression."""
    from pykbroker.coordinator.regex.machine import Regex
    from pykbroker.coordinator.regex.syntax import RegexError

    try:
        regex = Regex(pattern)
    except RegexError:
        return frozenset()
    return frozenset(name for name in names if regex.matches(name))
