"""testcontainers: its own KafkaContainer with our image, and the container that we give it."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from compat.containers.client import partitions, read, write
from compat.containers.engine import docker

testcontainers = pytest.importorskip("testcontainers")

READY_SECONDS = 5.0


@pytest.fixture(autouse=True)
def _no_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its container that removes others is an image of a registry."""
    monkeypatch.setattr("testcontainers.core.config.testcontainers_config.ryuk_disabled", True)


@pytest.fixture
def tag(image: str) -> Iterator[str]:
    """The image under a name with a version, which KafkaContainer reads."""
    name = f"{image}-{os.getpid()}:7.0.0"
    docker("tag", image, name)
    yield name
    docker("rmi", name)


@pytest.mark.parametrize("kraft", [False, True], ids=["zookeeper", "kraft"])
def test_the_stock_container_runs_with_our_image(tag: str, kraft: bool) -> None:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(tag)
    if kraft:
        container.with_kraft()
    with container:
        write(container.get_bootstrap_server(), "t", b"hello")

        assert read(container.get_bootstrap_server(), "t") == b"hello"


def test_our_container_is_ready_soon(image: str) -> None:
    from pykbroker.testing.containers import PykbrokerContainer

    started = time.monotonic()
    with PykbrokerContainer(image) as container:
        seconds = time.monotonic() - started
        write(container.bootstrap_servers, "t", b"hello")

        assert read(container.get_bootstrap_server(), "t") == b"hello"
    print(f"ready {seconds:.2f} s after it was asked for")
    assert seconds < READY_SECONDS


def test_our_container_takes_settings(image: str) -> None:
    from pykbroker.testing.containers import PykbrokerContainer

    with PykbrokerContainer(image).with_setting("num.partitions", "5") as container:
        write(container.bootstrap_servers, "t", b"hello")

        assert partitions(container.bootstrap_servers, "t") == 5


def test_other_containers_reach_ours(image: str, docker_name: Callable[[str], str]) -> None:
    from testcontainers.core.network import Network

    from pykbroker.testing.containers import NETWORK_PORT, PykbrokerContainer

    with Network() as network:
        container = PykbrokerContainer(image, network=network, network_aliases=["kafka"])
        with container:
            write(container.bootstrap_servers, "t", b"hello")
            printed = docker(
                "run", "--rm", "--network", network.name, image,
                "pykbroker", "consume", "--bootstrap", f"kafka:{NETWORK_PORT}",
                "--from-beginning", "--exit-at-end", "t",
            )  # fmt: skip

    assert printed.splitlines()[0] == "hello"
