"""The image by itself: how it starts, stops, keeps its data and tells its health."""

import json
import re
import shlex
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from compat.containers.client import free_port, read, write
from compat.containers.engine import DockerError, a_container, a_network, a_volume, docker
from compat.containers.images import base_image

READY = "ready: "
# The bar is a second; what Docker and a busy machine add to it is not the broker's.
READY_SECONDS = 3.0
STOP_SECONDS = 5.0
MAX_ADDED_BYTES = 60_000_000


def test_it_is_small_and_has_no_privileges(image: str) -> None:
    (built,), (base,) = (json.loads(docker("inspect", name)) for name in (image, base_image()))

    assert built["Size"] - base["Size"] < MAX_ADDED_BYTES
    assert built["Config"]["User"] == "appuser"
    assert list(built["Config"]["Volumes"]) == ["/var/lib/kafka/data"]
    assert list(built["Config"]["ExposedPorts"]) == ["9092/tcp"]


def test_it_is_ready_soon_and_stops_cleanly(image: str) -> None:
    with a_container(image) as container:
        container.wait_for(READY)
        started = _seconds(str(container.state("StartedAt")))
        (line,) = [line for line in container.log("--timestamps").splitlines() if READY in line]
        ready_seconds = _seconds(line.split()[0]) - started
        asked = time.monotonic()
        docker("stop", container.identity)
        stop_seconds = time.monotonic() - asked

        assert ready_seconds < READY_SECONDS
        assert stop_seconds < STOP_SECONDS
        assert container.state("ExitCode") == 0
        assert "stopping signal=SIGTERM" in container.log()
        assert "records checked_by=compiled" in container.log()
    print(f"ready {ready_seconds:.2f} s after the start of the container")


def _seconds(text: str) -> float:
    # Docker has nanoseconds, Python microseconds.
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*Z", r".\1+00:00", text)).timestamp()


def test_a_stop_right_after_the_start_is_obeyed(image: str) -> None:
    with a_container(image) as container:
        asked = time.monotonic()
        docker("stop", "--time", "30", container.identity)

        assert time.monotonic() - asked < STOP_SECONDS
        assert container.state("ExitCode") in (0, 143)


def test_it_turns_healthy_and_a_check_of_nothing_fails(image: str) -> None:
    with a_container(image, "--health-interval", "200ms") as container:
        container.wait_for_health("healthy")

        assert "answered ApiVersions" in container.run("pykbroker", "health", "--container")
        with pytest.raises(DockerError, match=r"no broker at 127\.0\.0\.1:1"):
            container.run("pykbroker", "health", "--bootstrap", "127.0.0.1:1")


def test_a_published_port_is_served(image: str) -> None:
    port = free_port()
    with a_container(
        image,
        "--publish",
        f"127.0.0.1:{port}:{port}",
        KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://localhost:{port}",
    ) as container:
        container.wait_for(READY)
        write(f"localhost:{port}", "t", b"hello")

        assert read(f"localhost:{port}", "t") == b"hello"


def test_a_volume_keeps_the_data_and_the_cluster(
    image: str, docker_name: Callable[[str], str]
) -> None:
    with a_volume(docker_name("data")) as volume:
        for number in range(2):
            with a_container(
                image, "--volume", f"{volume}:/var/lib/kafka/data", CLUSTER_ID="the-cluster"
            ) as container:
                container.wait_for(READY)
                container.run("sh", "-c", f"echo {number} | pykbroker produce t")
                docker("stop", container.identity)
        with a_container(image, "--volume", f"{volume}:/var/lib/kafka/data") as container:
            container.wait_for(READY)
            printed = container.run(
                "pykbroker", "consume", "--from-beginning", "--exit-at-end", "t"
            )
            identity = container.run("cat", "/var/lib/kafka/data/meta.properties")

    assert printed.splitlines()[:2] == ["0", "1"]
    assert "cluster.id=the-cluster" in identity


def test_another_container_of_the_network_is_served(
    image: str, docker_name: Callable[[str], str]
) -> None:
    with (
        a_network(docker_name("network")) as network,
        a_container(image, "--network", network, "--network-alias", "kafka", KAFKA_NODE_ID="3")
        as container,
    ):  # fmt: skip
        container.wait_for(READY)
        printed = docker(
            "run", "--rm", "--network", network, "--env", "PYKBROKER_BOOTSTRAP=kafka:9092",
            image, "sh", "-c", "pykbroker topics create t && pykbroker topics list",
        )  # fmt: skip

    assert printed.splitlines()[-1] == "t"


def test_a_read_only_container_needs_its_volume_alone(image: str) -> None:
    with a_container(image, "--read-only") as container:
        container.wait_for(READY)
        assert container.state("Status") == "running"


def test_a_mounted_file_counts_less_than_a_variable(
    image: str, docker_name: Callable[[str], str]
) -> None:
    with a_volume(docker_name("config")) as volume:
        mounted = f"{volume}:/mnt/shared/config"
        text = "num.partitions=2\\nauto.create.topics.enable=false\\n"
        docker(
            "run", "--rm", "--user", "root", "--volume", mounted, image,
            "sh", "-c", f"printf '{text}' > /mnt/shared/config/server.properties",
        )  # fmt: skip
        with a_container(image, "--volume", mounted, KAFKA_NUM_PARTITIONS="4") as container:
            container.wait_for(READY)
            container.run("pykbroker", "topics", "create", "t")
            described = container.run("pykbroker", "topics", "describe", "t")

    assert len(re.findall(r"^ *[0-3] ", described, re.M)) == 4, described


def test_a_controller_does_nothing_and_stays(image: str) -> None:
    with a_container(
        image,
        "--health-interval",
        "200ms",
        KAFKA_PROCESS_ROLES="controller",
        KAFKA_LISTENERS="CONTROLLER://:9093",
    ) as container:
        container.wait_for_health("healthy")
        docker("stop", container.identity)

        assert container.state("ExitCode") == 0
        assert "no broker here" in container.log()


def test_a_setting_that_cannot_be_understood_ends_it_with_its_name(image: str) -> None:
    with a_container(image, KAFKA_NUM_PARTITIONS="many") as container:
        assert docker("wait", container.identity) == "3"
        assert "num.partitions" in container.log()


def test_a_script_that_starts_apache_kafkas_image_starts_ours(image: str) -> None:
    """As testcontainers for Java does, whose script comes when the container runs."""
    script = "/tmp/testcontainers_start.sh"
    waiting = f"while [ ! -f {script} ]; do sleep 0.1; done; {script}"
    port = free_port()
    with a_container(
        image,
        "--publish",
        f"127.0.0.1:{port}:9092",
        command=("sh", "-c", waiting),
        CLUSTER_ID="4L6g3nShT-eMCtK--X86sw",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9094",
        KAFKA_INTER_BROKER_LISTENER_NAME="BROKER",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=(
            "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        KAFKA_LISTENERS="PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094",
        KAFKA_NODE_ID="1",
        KAFKA_PROCESS_ROLES="broker,controller",
    ) as container:
        advertised = f"PLAINTEXT://localhost:{port},BROKER://$(hostname):9093"
        lines = [
            "#!/bin/bash",
            f"export KAFKA_ADVERTISED_LISTENERS={advertised}",
            "/etc/kafka/docker/run",
        ]
        written = f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} > {script}.new"
        container.run("sh", "-c", f"{written}; chmod 777 {script}.new; mv {script}.new {script}")
        container.wait_for("Transitioning from RECOVERY to RUNNING")
        write(f"localhost:{port}", "t", b"hello")

        assert read(f"localhost:{port}", "t") == b"hello"
