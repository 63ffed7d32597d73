import pytest

from pykbroker.coordinator.group.committer import Committer


@pytest.mark.parametrize(
    ("committer", "is_anonymous"),
    [
        (Committer("", None, -1), True),
        (Committer("", None, 0), False),
        (Committer("m", None, -1), False),
        (Committer("", "i", -1), False),
    ],
)
def test_who_says_anything_of_itself_is_not_anonymous(
    committer: Committer, is_anonymous: bool
) -> None:
    assert committer.is_anonymous is is_anonymous
