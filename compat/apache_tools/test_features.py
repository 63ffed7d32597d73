"""kafka-features: the levels of the cluster's features, taken down and up."""

import re
from collections.abc import Iterator, Mapping

import pytest

from compat.apache_tools.tools import Tools
from compat.jvm import Call
from compat.processes import eventually

NEWEST = {"group.version": "1", "metadata.version": "4.3-IV0", "transaction.version": "2"}
FEATURES = "org.apache.kafka.tools.FeatureCommand"


@pytest.fixture(autouse=True)
def newest_levels(tools: Tools) -> Iterator[None]:
    """Put the levels back."""
    yield
    features(tools, "upgrade", "--feature", "group.version=1", "--feature", "transaction.version=2")
    await_levels(tools)


def features(tools: Tools, *arguments: str, status: int = 0) -> Call:
    """Run kafka-features, which wants the broker's address first."""
    call = tools.jvm.run(FEATURES, "--bootstrap-server", tools.address, *arguments)
    assert call.status == status, call.describe()
    return call


def described(tools: Tools) -> dict[str, dict[str, str]]:
    """What `describe` prints, by feature."""
    found = {}
    for line in features(tools, "describe").out:
        fields = dict(re.findall(r"(\w+): (\S+)", line))
        found[fields["Feature"]] = fields
    return found


def await_levels(tools: Tools, changed: Mapping[str, str] | None = None) -> None:
    """Wait until the broker shows what was changed, and nothing else."""
    wanted = {**NEWEST, **(changed or {})}

    def are_shown() -> bool:
        shown = described(tools)
        return {name: shown[name]["FinalizedVersionLevel"] for name in wanted} == wanted

    eventually(are_shown, what=f"levels {wanted}")


def test_features_are_described(tools: Tools) -> None:
    shown = described(tools)
    supported = {
        name: (shown[name]["SupportedMinVersion"], shown[name]["SupportedMaxVersion"])
        for name in NEWEST
    }
    assert supported == {
        "group.version": ("0", "1"),
        "metadata.version": ("3.3-IV3", "4.3-IV0"),
        "transaction.version": ("0", "2"),
    }
    await_levels(tools)


def test_levels_go_down_and_up(tools: Tools) -> None:
    call = features(tools, "downgrade", "--feature", "transaction.version=1")
    assert call.out[-1] == "transaction.version was downgraded to 1."
    await_levels(tools, {"transaction.version": "1"})
    features(tools, "upgrade", "--feature", "transaction.version=2")
    await_levels(tools)
    features(tools, "disable", "--feature", "group.version", "--unsafe")
    await_levels(tools, {"group.version": "0"})


def test_a_dry_run_changes_nothing(tools: Tools) -> None:
    call = features(tools, "downgrade", "--feature", "transaction.version=0", "--dry-run")
    assert call.out[-1] == "transaction.version can be downgraded to 0."
    await_levels(tools)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("upgrade", "--feature", "transaction.version=3"),
            "only supports versions 0-2",
        ),
        (
            ("upgrade", "--feature", "transaction.version=1"),
            "Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade.",
        ),
        (
            ("downgrade", "--metadata", "4.2-IV1"),
            "Refusing to perform the requested downgrade because it might delete metadata "
            "information.",
        ),
        (("upgrade", "--feature", "nope=1"), "does not support this feature."),
    ],
)
def test_refusals(tools: Tools, arguments: tuple[str, ...], reason: str) -> None:
    call = features(tools, *arguments, status=1)
    assert any(reason in line for line in [*call.out, *call.err]), call.describe()
    await_levels(tools)
