"""Our image takes a variable for the setting, and the value, that Apache Kafka's image does."""

import os
import subprocess
from pathlib import Path
from random import Random

from compat.jvm import java_command
from compat.targets import CLUSTER_ID, COMPAT_DIR, kafka_libs
from pykbroker.config.environment import DATA_DIR, read_environment, setting_of
from pykbroker.config.properties import parse_properties

SEED = 11
VARIABLES = 400
LETTERS = "ABKMXYZabkm019"
# Escapes, separators and comments of a properties file, and blanks at either end.
VALUE_PARTS = [*"aZ9 =:#!,\t", "\\t", "\\n", "\\\\", "\\=", "\\u00e9", "\\q", "é", "://"]
COMPOSE = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_HEAP_OPTS": "-Xmx1g",
    "KAFKA_JMX_OPTS": "-Dx=1",
    "KAFKA_LOG4J_ROOT_LOGLEVEL": "WARN",
    "KAFKA_LOG4J_LOGGERS": "kafka=WARN",
    "KAFKA_OPTS": "-Dx=1",
    "KAFKA_VERSION": "1",
    "OTHER": "1",
}


def kafkas_image_makes(directory: Path, variables: dict[str, str], mounted: str = "") -> str:
    """The server.properties that the entry point of Kafka's image writes."""
    folders = {name: directory / name for name in ("default", "mounted", "final")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["default"] / "server.properties").write_text("default=1\n")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        levels = "Configuration:\n  Loggers:\n    Root:\n      level: INFO\n"
        (folders["default"] / name).write_text(levels)
    if mounted:
        (folders["mounted"] / "server.properties").write_text(mounted)
    (folders["final"] / "server.properties").touch()
    command = java_command(
        "kafka.docker.KafkaDockerWrapper",
        "setup",
        *[f"--{name}-configs-dir={folder}" for name, folder in folders.items()],
        class_path=[f"{kafka_libs()}/*"],
    )
    # It formats the storage after that, which fails for most of these settings.
    subprocess.run(
        command,
        env={
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "CLUSTER_ID": CLUSTER_ID,
            "KAFKA_LOG_DIRS": str(directory / "data"), **variables,
        },
        cwd=COMPAT_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )  # fmt: skip
    return (folders["final"] / "server.properties").read_text()


def test_random_variables_are_the_same_settings(tmp_path: Path) -> None:
    random = Random(SEED)
    variables: dict[str, str] = {}
    settings: set[str] = set()
    while len(variables) < VARIABLES:
        words = ["".join(random.choices(LETTERS, k=random.randint(1, 3))) for _ in range(3)]
        joined = "".join(word + "_" * random.randint(0, 7) for word in words)
        name = f"KAFKA_{'_' * random.randint(0, 2)}{joined}"
        if setting_of(name) not in settings:
            settings.add(setting_of(name))
            variables[name] = "".join(random.choices(VALUE_PARTS, k=random.randint(0, 8)))

    made = parse_properties(kafkas_image_makes(tmp_path, variables))

    assert made.pop("log.dirs") == str(tmp_path / "data")
    assert set(made) == settings
    # A setting that exists keeps its value, so a value is tried in the place of one.
    for name, text in variables.items():
        read = read_environment({"KAFKA_BROKER_RACK": text}).settings["broker.rack"]
        assert read == made[setting_of(name)], (name, text)


def test_a_compose_file_makes_the_same_settings(tmp_path: Path) -> None:
    mounted = "num.partitions=2\nbroker.rack=a\n"
    variables = {**COMPOSE, "KAFKA_NUM_PARTITIONS": "3"}

    made = parse_properties(kafkas_image_makes(tmp_path, variables, mounted))
    ours = dict(read_environment(variables, mounted).settings)

    assert made.pop("log.dirs") == str(tmp_path / "data")
    assert ours.pop("log.dirs") == DATA_DIR
    assert ours.pop("pykbroker.replication.factor.cap") == "true"
    assert ours == made
