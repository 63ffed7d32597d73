from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from compat.outside import CACHE_ENV, BuildError, cache_directory, cached, run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "cache"))
    return cache_directory()


def test_a_build_is_kept() -> None:
    built = []

    def build(directory: Path) -> None:
        built.append(directory)
        (directory / "file").write_text("whole")

    first, second = cached("thing-1.0", build), cached("thing-1.0", build)

    assert first == second
    assert (first / "file").read_text() == "whole"
    assert len(built) == 1


def test_a_failed_build_is_not_taken_for_a_whole_one(cache: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("")
        raise BuildError("no network")

    with pytest.raises(BuildError, match="no network"):
        cached("thing-1.0", fail)
    assert not (cache / "thing-1.0").exists()

    directory = cached("thing-1.0", lambda directory: (directory / "whole").touch())
    assert [path.name for path in directory.iterdir()] == ["whole"]


def test_builds_at_the_same_time_are_one() -> None:
    begun, may_end = Event(), Event()
    built = []

    def build(directory: Path) -> None:
        built.append(directory)
        begun.set()
        assert may_end.wait(20)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(cached, "thing-1.0", build)
        assert begun.wait(20)
        second = threads.submit(cached, "thing-1.0", build)
        may_end.set()
        assert first.result() == second.result()
    assert len(built) == 1


def test_a_step_that_fails_says_what_it_printed() -> None:
    with pytest.raises(BuildError, match=r"status 3\n  why"):
        run(["sh", "-c", "echo why; exit 3"])


def test_a_step_that_hangs_is_ended() -> None:
    with pytest.raises(BuildError, match=r"still ran after 0\.1 s"):
        run(["sh", "-c", "sleep 60; true"], seconds=0.1)


def test_a_step_gives_its_output() -> None:
    assert run(["sh", "-c", "echo $WORD"], env={"WORD": "said"}) == "said\n"
