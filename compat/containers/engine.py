"""A Docker Engine: the one that runs here, or one that is started for the tests."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compat import outside
from compat.processes import DEADLINE_SECONDS, LineProcess, ProcessError

POLL_SECONDS = 0.05


class NoEngineError(Exception):
    """There is no Docker Engine, nor can one be started; the message says why."""


class DockerError(Exception):
    """A command of docker failed; the message is what it printed."""


def docker(*arguments: str, seconds: float = DEADLINE_SECONDS) -> str:
    """Run a command and give what it printed, both streams of it."""
    done = subprocess.run(
        ["docker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise DockerError(f"docker {' '.join(arguments)}: {done.stdout[-3000:]}")
    return done.stdout.strip()


@contextmanager
def an_engine() -> Iterator[None]:
    """A Docker Engine, to which DOCKER_HOST leads if it is ours.

    Raises:
        NoEngineError: None runs, and none can be started.
    """
    try:
        docker("info")
    except DockerError as error:
        if shutil.which("dockerd") is None or os.geteuid() != 0:
            raise NoEngineError(f"no Docker Engine, nor dockerd and root: {error}") from error
    else:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="docker-", ignore_cleanup_errors=True) as folder:
        daemon = _start(Path(folder))
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        try:
            yield
        finally:
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before
            daemon.stop()


def _start(folder: Path) -> LineProcess:
    # Images stay for the next run.
    images = outside.cache_directory() / "docker"
    daemon = LineProcess(
        [
            "dockerd", "--data-root", str(images), "--exec-root", str(folder / "exec"),
            "--pidfile", str(folder / "pid"), "--host", f"unix://{folder}/docker.sock",
        ]
    )  # fmt: skip
    try:
        daemon.wait_for(
            lambda line: True if "API listen on" in line else None, what="a Docker Engine"
        )
    except ProcessError as error:
        if daemon.return_code is None:
            daemon.kill()
        raise NoEngineError(str(error)) from error
    return daemon


class Container:
    """A container that runs; its log is that of its first process."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def facts(self) -> dict[str, object]:
        """What Docker knows of it."""
        (found,) = json.loads(docker("inspect", self.identity))
        assert isinstance(found, dict)
        return found

    def state(self, name: str) -> object:
        """One fact of its state, such as `Status`."""
        state = self.facts()["State"]
        assert isinstance(state, dict)
        return state.get(name)

    def log(self, *options: str) -> str:
        """All that it printed."""
        return docker("logs", *options, self.identity)

    def run(self, *command: str) -> str:
        """Run a command inside."""
        return docker("exec", self.identity, *command)

    def wait_for(self, line: str) -> None:
        """Wait until its log has this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while line not in self.log():
            assert self.state("Status") == "running", self.log()
            assert time.monotonic() < deadline, f"no {line!r}: {self.log()}"
            time.sleep(POLL_SECONDS)

    def wait_for_health(self, status: str) -> None:
        """Wait until Docker's health check says this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            health = self.state("Health")
            assert isinstance(health, dict), "no health check"
            if health["Status"] == status:
                return
            assert time.monotonic() < deadline, f"not {status}: {health}"
            time.sleep(POLL_SECONDS)


@contextmanager
def a_container(
    image: str, *options: str, command: tuple[str, ...] = (), **variables: str
) -> Iterator[Container]:
    """Run an image with these options and variables, and remove everything of it at the end."""
    settings = [text for pair in variables.items() for text in ("--env", "=".join(pair))]
    container = Container(docker("run", "--detach", *options, *settings, image, *command))
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.identity)


@contextmanager
def a_network(name: str) -> Iterator[str]:
    """A network in which containers find each other by name."""
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def a_volume(name: str) -> Iterator[str]:
    """A volume that outlives its containers."""
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", name)


def compose_command() -> list[str] | None:
    """The words that start compose, in its new or its old form; None if it is not there."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) is None:
            continue
        asked = subprocess.run([*words, "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return words
    return None


@contextmanager
def composed(
    compose: list[str], file: Path, project: str, variables: Mapping[str, str]
) -> Iterator[None]:
    """Everything of a compose file, up; removed at the end, with its volumes."""
    words = [*compose, "--project-name", project, "--file", str(file)]
    environment = {**os.environ, **variables}
    try:
        outside.run([*words, "up", "--detach"], env=environment)
        yield
    finally:
        outside.run([*words, "down", "--volumes"], env=environment)
