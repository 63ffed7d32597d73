import pytest

from pykbroker.testing.waiting import NotYet, wait_for


def test_it_tries_until_there_is_a_result() -> None:
    results = iter([NotYet("one"), NotYet("two"), None])
    assert wait_for(lambda: next(results), 10) is None


def test_the_deadline_tells_what_was_found_last() -> None:
    numbers = iter(range(1000))
    with pytest.raises(TimeoutError, match=r"there are \d+ after 0\.05 s"):
        wait_for(lambda: NotYet(f"there are {next(numbers)}"), 0.05)


def test_even_without_time_there_is_one_attempt() -> None:
    assert wait_for(lambda: "there", 0) == "there"
