"""The one thing the broker reads inside the members' opaque metadata: subscribed topics.

Metadata of the protocol type `consumer` is an int16 version and then the subscription, of which
every version begins with the fields of version 0 (KIP-429). Other protocol types (Connect,
Schema Registry) are opaque.
"""

from collections.abc import Iterable
from typing import Final

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.consumer_protocol_subscription import (
    ConsumerProtocolSubscription,
)

CONSUMER_PROTOCOL_TYPE: Final = "consumer"
_VERSION_BYTES: Final = 2


def subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """Return the union of all members' topics, or None when any subscription is unreadable."""
    topics: set[str] = set()
    for subscription in subscriptions:
        if len(subscription) < _VERSION_BYTES:
            return None
        try:
            # Version 0 is a prefix of all later ones, so newer clients are understood too.
            parsed = ConsumerProtocolSubscription.decode(
                memoryview(subscription), 0, _VERSION_BYTES
            )
        except ProtocolError:
            return None
        topics.update(parsed.topics)
    return frozenset(topics)
