from __future__ import annotations

import pytest

from pykbroker.coordinator.group.subscription import subscribed_topics
from tests.harness.groups import a_subscription


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_every_version_of_a_subscription_is_understood(version: int) -> None:
    assert subscribed_topics([a_subscription("t", "u", version=version)]) == frozenset({"t", "u"})


def test_a_version_of_the_future_is_read_by_its_beginning() -> None:
    future = b"\x00\x63" + a_subscription("t", version=3)[2:] + b"more"
    assert subscribed_topics([future]) == frozenset({"t"})


def test_the_topics_of_all_members_count() -> None:
    assert subscribed_topics([a_subscription("t"), a_subscription("u")]) == frozenset({"t", "u"})
    assert subscribed_topics([]) == frozenset()


@pytest.mark.parametrize("broken", [b"", b"\x00", b"\x00\x01", b"\x00\x01\x00\x00\x00\x09"])
def test_one_unreadable_subscription_makes_all_unknown(broken: bytes) -> None:
    assert subscribed_topics([a_subscription("t"), broken]) is None
