"""Brokers to test against, as real processes: pykbroker, and Apache Kafka as the yardstick.

A test that passes against both proves that ours behaves as Kafka's; a test that fails against
Kafka is a wrong test. Kafka runs from the jars on Maven Central by plain `java` (see kafka/).
"""

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from compat.outside import BuildError, cache_directory, cached, run
from compat.processes import LineProcess

KAFKA_VERSION = "4.3.1"
COMPAT_DIR = Path(__file__).parent
KAFKA_POM = COMPAT_DIR / "kafka" / "pom.xml"
KAFKA_LIBS_ENV = "PYKBROKER_KAFKA_LIBS"
"""Environment variable: a directory with Kafka's jars, in place of the fetched ones."""

TREE_ENV = "PYKBROKER_COMPAT_TREE"
"""Environment variable: a directory with the `pykbroker` that runs, in place of this checkout's."""

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"

# Both brokers get these: two members can share a topic made on demand, a group forms at once,
# and a killed member is noticed soon.
SETTINGS: Mapping[str, str] = {
    "num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
}

_LISTENING = re.compile(r"listening on (.+):(\d+)$")


class TargetUnavailable(Exception):  # noqa: N818 - a reason to skip, not an error
    """This broker cannot run on this machine; the message says why."""


class Target(ABC):
    """One broker with one data directory, which may be stopped, killed and started again."""

    name: str

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        cpus: str | None = None,
        max_open_files: int | None = None,
    ) -> None:
        """Args:
        settings: Broker settings on top of SETTINGS, in Kafka's names; "{port}" in a value
            stands for the port that the broker will have.
        cpus: Processors that the broker may use, as for taskset; None = all.
        max_open_files: `ulimit -n`; None = as the tests have it.
        """
        self.settings = {**SETTINGS, **(settings or {})}
        self.cpus = cpus
        self.max_open_files = max_open_files
        self.host = "127.0.0.1"
        self.port = 0
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.data_dir = self.directory / "data"
        self._process: LineProcess | None = None

    @property
    def address(self) -> str:
        """`host:port` for a client."""
        return f"{self.host}:{self.port}"

    @property
    def process(self) -> LineProcess:
        assert self._process is not None, "the broker was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.return_code is None

    def stop(self) -> int:
        """SIGTERM, and wait until the process is gone; gives its exit status."""
        return self.process.stop(seconds=60)

    def kill(self) -> None:
        """SIGKILL: what was not on its way to the disk is lost."""
        self.process.kill()

    def restart(self) -> None:
        """Start again on the same port and data directory (after stop or kill)."""
        assert not self.is_running
        self.start()

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Have other settings from the next start on."""
        self.settings = {**self.settings, **settings}

    def close(self) -> None:
        """End the process whatever its state and remove its data."""
        if self.is_running:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        if not self.is_running:
            try:
                self.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process and return when clients can connect."""
        self.begin()
        self.await_listening()

    @abstractmethod
    def begin(self) -> None:
        """Start the process and return at once, for who wants to see it start or not."""

    @abstractmethod
    def await_listening(self) -> None:
        """Return when clients can connect to the process that `begin` has started."""

    def _settings(self) -> dict[str, str]:
        return {
            key: value.replace("{port}", f"{self.port}") for key, value in self.settings.items()
        }

    def _spawn(self, command: list[str], env: Mapping[str, str] | None = None) -> LineProcess:
        if self.cpus is not None:
            command = ["taskset", "-c", self.cpus, *command]
        if self.max_open_files is not None:
            limit = f'ulimit -n {self.max_open_files}; exec "$@"'
            command = ["sh", "-c", limit, "sh", *command]
        return LineProcess(command, env=env)


def pykbroker_tree() -> Path:
    """Where the `pykbroker` is that runs when nothing else is said."""
    return Path(os.environ.get(TREE_ENV) or COMPAT_DIR.parent).resolve()


def is_compiled(tree: Path) -> bool:
    """Whether mypyc has compiled what is there, as it has in an installation."""
    return any((tree / "pykbroker").glob("*__mypyc.*"))


class PykbrokerTarget(Target):
    """Our broker, by the interpreter that runs the tests."""

    name = "pykbroker"
    module = "pykbroker"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        cpus: str | None = None,
        max_open_files: int | None = None,
        tree: Path | None = None,
    ) -> None:
        """Args:
        tree: The checkout or installation whose code runs; None = `pykbroker_tree`.
        """
        super().__init__(settings, cpus=cpus, max_open_files=max_open_files)
        self.tree = tree or pykbroker_tree()

    def begin(self) -> None:
        if self.port == 0 and self._settings() != self.settings:
            self.port = _free_port()
        # -P: not the code of the working directory, which may be another tree.
        command = [sys.executable, "-P", "-m", self.module, "serve"]
        command += ["--listen", f"{self.host}:{self.port}", "--data-dir", str(self.data_dir)]
        for key, value in self._settings().items():
            command += ["--set", f"{key}={value}"]
        path = os.pathsep.join(filter(None, [str(self.tree), os.environ.get("PYTHONPATH")]))
        env = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONPYCACHEPREFIX": str(cache_directory() / "bytecode"),
        }
        # An installed package has its byte code beside it, whatever this environment says.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._process = self._spawn(command, env)

    def await_listening(self) -> None:
        found = self.process.wait_for(_LISTENING.search, what="'listening on' line")
        self.port = int(found.group(2))


class KafkaTarget(Target):
    """Apache Kafka, one node that is broker and controller, on freshly formatted storage.

    Attributes:
        compiler: Options of its JVM. Most tests end before the optimizing compiler has paid for
            itself: with it a start takes twice the processor time.
    """

    name = "kafka"
    compiler: tuple[str, ...] = ("-XX:TieredStopAtLevel=1",)

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, cpus: str | None = None
    ) -> None:
        self.libs = kafka_libs()
        super().__init__(settings, cpus=cpus)
        self.controller_port = 0

    def begin(self) -> None:
        if self.port == 0:
            self.format()
        properties = self.directory / "server.properties"
        options = ["-Xms1G", "-Xmx1G", "-XX:+UseG1GC", *self.compiler]
        self._process = self._spawn(self._java(*options, "kafka.Kafka", str(properties)))

    def await_listening(self) -> None:
        self.process.wait_for(
            lambda line: True if "Kafka Server started" in line else None,
            # It takes 4 s alone on two processors, and long beside other brokers and compilers.
            seconds=180,
            what="'Kafka Server started' line",
        )

    def change_settings(self, settings: Mapping[str, str]) -> None:
        super().change_settings(settings)
        # Of a setting that stands there twice the last one counts.
        with open(self.directory / "server.properties", "a") as properties:
            properties.writelines(f"{key}={value}\n" for key, value in settings.items())

    def format(self) -> None:
        """Choose the ports, write server.properties and have storage; `start` does it too."""
        self.port, self.controller_port = _free_port(), _free_port()
        listener = f"PLAINTEXT://{self.host}:{self.port}"
        controller = f"{self.host}:{self.controller_port}"
        node_id = self.settings.get("node.id", "1")
        settings = {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": f"{node_id}@{controller}",
            "listeners": f"{listener},CONTROLLER://{controller}",
            "advertised.listeners": listener,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.data_dir),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A killed broker may register again only when its old session has expired.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            **self._settings(),
        }
        properties = self.directory / "server.properties"
        _write_properties(properties, settings)
        # That of an older release would lack features.
        made_by = hashlib.sha256(" ".join(sorted(os.listdir(self.libs))).encode()).hexdigest()[:8]
        formatted = cached(
            f"kafka-storage-{node_id}-{made_by}", lambda place: self._format(place, settings)
        )
        shutil.copytree(formatted, self.data_dir)

    def _format(self, place: Path, settings: Mapping[str, str]) -> None:
        """Have Kafka's tool format a directory, which takes a JVM, and so is done once."""
        properties = self.directory / "format.properties"
        _write_properties(properties, {**settings, "log.dirs": str(place)})
        tool = ["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        run(self._java(*tool, "-t", CLUSTER_ID, "-c", str(properties)))

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={COMPAT_DIR / 'kafka' / 'log4j2.properties'}"
        return ["java", "-cp", f"{self.libs}/*", logging, *arguments]


class MeasuredKafkaTarget(KafkaTarget):
    """Apache Kafka with the JVM's own choice of compilers, as it runs for work."""

    compiler = ()


def _write_properties(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


TARGETS: Mapping[str, type[Target]] = {"pykbroker": PykbrokerTarget, "kafka": KafkaTarget}
MEASURED_TARGETS: Mapping[str, type[Target]] = {**TARGETS, "kafka": MeasuredKafkaTarget}
"""Those of benchmarks."""


def kafka_libs() -> Path:
    """The directory with Kafka's jars; fetched by Maven on first use.

    Raises:
        TargetUnavailable: No java, or no jars and no way to fetch them.
    """
    if shutil.which("java") is None:
        raise TargetUnavailable("no java on this machine")
    given = os.environ.get(KAFKA_LIBS_ENV)
    if given:
        return Path(given)
    # The jars of an older list would lack what has been added to it since.
    listed = hashlib.sha256(KAFKA_POM.read_bytes()).hexdigest()[:8]
    try:
        return cached(f"kafka-{KAFKA_VERSION}-libs-{listed}", _fetch_kafka)
    except BuildError as error:
        raise TargetUnavailable(f"Kafka's jars cannot be fetched: {error}") from error


def _fetch_kafka(directory: Path) -> None:
    if shutil.which("mvn") is None:
        raise TargetUnavailable(f"no mvn to fetch Kafka's jars, and {KAFKA_LIBS_ENV} is not set")
    command = ["mvn", "-B", "-q", "-f", str(KAFKA_POM)]
    run([*command, "dependency:copy-dependencies", f"-DoutputDirectory={directory}"])


def _free_port() -> int:
    """A port that nothing listens on now; Kafka cannot tell us one that it chose itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
