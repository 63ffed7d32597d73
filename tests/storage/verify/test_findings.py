import pytest

from pykbroker.storage.verify.findings import Surroundings


@pytest.mark.parametrize(
    ("around", "end_offset", "expected"),
    [
        (Surroundings(is_known=True, recovery_point=10), 10, True),
        (Surroundings(is_known=True, recovery_point=10), 9, False),
        (Surroundings(is_known=True, is_clean=True), 10, False),
        (Surroundings(), 10, False),
    ],
)
def test_a_start_checks_from_the_recovery_point_on_after_an_unclean_stop(
    around: Surroundings, end_offset: int, expected: bool
) -> None:
    assert around.is_checked_at_start(end_offset) is expected
