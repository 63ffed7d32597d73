from pykbroker.coordinator.group.consumer.settings import (
    ConsumerGroupSettings,
    ConsumerGroupTimes,
    MigrationPolicy,
)


def test_a_group_may_have_times_of_its_own() -> None:
    own = ConsumerGroupTimes(session_timeout_ms=60_000)
    settings = ConsumerGroupSettings(overrides={"g": own})
    assert settings.times_of("g") is own
    assert settings.times_of("h") == ConsumerGroupTimes()


def test_a_policy_allows_either_way_both_or_none() -> None:
    allowed = {
        policy.value: (policy.allows_upgrade, policy.allows_downgrade) for policy in MigrationPolicy
    }
    assert allowed == {
        "disabled": (False, False),
        "upgrade": (True, False),
        "downgrade": (False, True),
        "bidirectional": (True, True),
    }
