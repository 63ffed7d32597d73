import pytest

from pykbroker.metadata.features import (
    GROUP_VERSION,
    METADATA_VERSION,
    SUPPORTED_LEVELS,
    TRANSACTION_VERSION,
    Features,
    FeatureUpdate,
    UpgradeType,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError

NODE_ID = 7
UP, DOWN, FORCED = UpgradeType.UPGRADE, UpgradeType.SAFE_DOWNGRADE, UpgradeType.UNSAFE_DOWNGRADE
PREFIX = "The update failed for all features since the following feature had an error: "


def updated(features: Features, *updates: tuple[str, int, int]) -> Features:
    return features.updated([FeatureUpdate(*update) for update in updates], NODE_ID)


def at(transaction_version: int) -> Features:
    """Return what a cluster has after it was taken down to a version of transactions."""
    return updated(Features(), (TRANSACTION_VERSION, transaction_version, DOWN))


def test_a_cluster_begins_with_the_newest_levels() -> None:
    features = Features()
    assert features.finalized == {GROUP_VERSION: 1, METADATA_VERSION: 30, TRANSACTION_VERSION: 2}
    assert (features.transaction_version, features.has_consumer_groups) == (2, True)
    assert features.epoch == 0


@pytest.mark.parametrize("upgrade_type", [DOWN, FORCED])
def test_levels_go_down_and_up_again(upgrade_type: UpgradeType) -> None:
    lower = updated(Features(), (TRANSACTION_VERSION, 1, upgrade_type))
    assert (lower.transaction_version, lower.epoch) == (1, 1)
    again = updated(lower, (TRANSACTION_VERSION, 2, UP))
    assert (again.transaction_version, again.epoch) == (2, 2)


def test_a_feature_at_level_0_is_not_finalized() -> None:
    features = updated(Features(), (GROUP_VERSION, 0, DOWN), (TRANSACTION_VERSION, 0, DOWN))
    assert features.finalized == {METADATA_VERSION: 30}
    assert (features.transaction_version, features.has_consumer_groups) == (0, False)
    assert features.epoch == 1


@pytest.mark.parametrize("upgrade_type", [UP, DOWN, FORCED])
def test_an_update_that_changes_nothing_has_no_epoch(upgrade_type: UpgradeType) -> None:
    features = Features()
    same = [(name, last, upgrade_type) for name, (_, last) in SUPPORTED_LEVELS.items()]
    assert updated(features, *same) is features
    assert updated(features) is features


def test_of_a_feature_that_is_named_twice_the_last_update_counts() -> None:
    features = updated(Features(), (TRANSACTION_VERSION, 9, UP), (TRANSACTION_VERSION, 1, DOWN))
    assert features.transaction_version == 1


@pytest.mark.parametrize(
    ("features", "update", "reason"),
    [
        (
            Features(),
            (TRANSACTION_VERSION, 2, 0),
            "Invalid update version 2 for feature transaction.version. "
            "The controller does not support the given upgrade type.",
        ),
        (
            Features(),
            (TRANSACTION_VERSION, -1, DOWN),
            "Invalid update version -1 for feature transaction.version. "
            "A feature version cannot be less than 0.",
        ),
        (
            Features(),
            ("share.version", 1, UP),
            "Invalid update version 1 for feature share.version. "
            "Local controller 7 does not support this feature.",
        ),
        (
            Features(),
            ("nope", 0, UP),
            "Invalid update version 0 for feature nope. Feature nope not found.",
        ),
        (
            Features(),
            (TRANSACTION_VERSION, 3, UP),
            "Invalid update version 3 for feature transaction.version. "
            "Local controller 7 only supports versions 0-2",
        ),
        (
            Features(),
            (METADATA_VERSION, 6, DOWN),
            "Invalid update version 6 for feature metadata.version. "
            "Local controller 7 only supports versions 7-30",
        ),
        (
            Features(),
            (TRANSACTION_VERSION, 1, UP),
            "Invalid update version 1 for feature transaction.version. Can't downgrade the version "
            "of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ),
        (
            at(0),
            (TRANSACTION_VERSION, 2, FORCED),
            "Invalid update version 2 for feature transaction.version. "
            "Can't downgrade to a newer version.",
        ),
        (
            Features(),
            (METADATA_VERSION, 29, DOWN),
            "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the "
            "requested downgrade because it might delete metadata information.",
        ),
        (
            Features(),
            (METADATA_VERSION, 29, FORCED),
            "Unsupported metadata.version downgrade from 30 to 29. Unsafe metadata downgrade is "
            "not supported in this version.",
        ),
    ],
)
def test_a_refusal_says_why(features: Features, update: tuple[str, int, int], reason: str) -> None:
    with pytest.raises(KafkaError) as refusal:
        updated(features, (GROUP_VERSION, 1, UP), update)
    assert refusal.value.code is ErrorCode.INVALID_UPDATE_VERSION
    assert refusal.value.message == PREFIX + reason
