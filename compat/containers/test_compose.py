"""compose: the project's own file, and one that was written for apache/kafka."""

from collections.abc import Callable
from pathlib import Path

import pytest

from compat.containers.client import free_port, read, write
from compat.containers.engine import Container, compose_command, composed, docker
from compat.containers.images import ROOT, base_image

HERE = Path(__file__).parent


@pytest.fixture
def compose(image: str) -> list[str]:
    """The words that start compose."""
    words = compose_command()
    if words is None:
        pytest.skip("no docker compose, nor docker-compose")
    return words


@pytest.fixture
def port() -> int:
    """A free port for the clients on this machine."""
    return free_port()


def test_the_example_serves_clients_on_this_machine(
    compose: list[str], port: int, docker_name: Callable[[str], str]
) -> None:
    project = docker_name("example")
    variables = {"PORT": str(port), "BASE_IMAGE": base_image()}
    with composed(compose, ROOT / "compose.yaml", project, variables):
        _service(project, "kafka").wait_for_health("healthy")
        write(f"localhost:{port}", "t", b"hello")

        assert read(f"localhost:{port}", "t") == b"hello"


def test_a_file_for_apache_kafka_runs_with_our_image(
    compose: list[str], port: int, image: str, docker_name: Callable[[str], str]
) -> None:
    project = docker_name("apache")
    variables = {"PORT": str(port), "IMAGE": image}
    with composed(compose, HERE / "for_apache_kafka.yaml", project, variables):
        broker, topics = _service(project, "broker"), _service(project, "topics")
        broker.wait_for_health("healthy")
        assert docker("wait", topics.identity) == "0", topics.log()
        write(f"localhost:{port}", "orders", b"hello")

        assert read(f"localhost:{port}", "orders") == b"hello"
        assert "orders" in broker.run(
            "/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "broker:19092", "--list"
        )
        assert "setting ignored name=KAFKA_HEAP_OPTS" in broker.log()
        assert _service(project, "controller").state("Status") == "running"


def _service(project: str, name: str) -> Container:
    """The container of a service, whether it runs or has ended."""
    project_label = f"label=com.docker.compose.project={project}"
    service_label = f"label=com.docker.compose.service={name}"
    found = docker("ps", "--all", "--quiet", "--filter", project_label, "--filter", service_label)
    return Container(found)
