"""A Kafka Connect worker: its process, its files, and what its REST interface says."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from compat.jvm import java_process
from compat.processes import LineProcess, eventually
from compat.targets import COMPAT_DIR, kafka_libs

CLASSES: Mapping[str, str] = {
    "standalone": "org.apache.kafka.connect.cli.ConnectStandalone",
    "distributed": "org.apache.kafka.connect.cli.ConnectDistributed",
}
START_SECONDS = 90.0
_LISTENING = "REST server listening at "


class Worker:
    """One worker with a file source and a file sink, which may be stopped and started again."""

    def __init__(self, mode: str, address: str, name: str, directory: Path) -> None:
        """Args:
        mode: "standalone" or "distributed".
        name: Begins the names of connectors and topics.
        """
        self.mode = mode
        self.topic = f"{name}-lines"
        self.input = directory / "input.txt"
        self.output = directory / "output.txt"
        self.input.touch()
        self.internal_topics = [f"{name}-{kind}" for kind in ("configs", "offsets", "status")]
        self.group = f"{name}-workers"
        plugins = directory / "plugins" / "file"
        plugins.mkdir(parents=True)
        (jar,) = kafka_libs().glob("connect-file-*.jar")
        shutil.copy(jar, plugins)
        package = "org.apache.kafka.connect.file.FileStream"
        self.connectors: Mapping[str, Mapping[str, str]] = {
            f"{name}-source": {
                "connector.class": f"{package}SourceConnector",
                "file": str(self.input),
                "topic": self.topic,
            },
            f"{name}-sink": {
                "connector.class": f"{package}SinkConnector",
                "file": str(self.output),
                "topics": self.topic,
            },
        }
        self._files = [
            _properties(directory / "worker.properties", self._settings(address, plugins))
        ]
        if mode == "standalone":
            for connector, settings in self.connectors.items():
                path = directory / f"{connector}.properties"
                self._files.append(_properties(path, {"name": connector, **settings}))
        self._process: LineProcess | None = None
        self._rest = ""

    def _settings(self, address: str, plugins: Path) -> dict[str, str]:
        converter = "org.apache.kafka.connect.storage.StringConverter"
        settings = {
            "bootstrap.servers": address,
            "key.converter": converter,
            "value.converter": converter,
            "plugin.path": str(plugins.parent),
            "plugin.discovery": "service_load",
            "listeners": "http://127.0.0.1:0",
            "offset.flush.interval.ms": "1000",
        }
        if self.mode == "standalone":
            return {**settings, "offset.storage.file.filename": str(plugins.parent / "offsets")}
        configs, offsets, status = self.internal_topics
        return {
            **settings,
            "group.id": self.group,
            "config.storage.topic": configs,
            "offset.storage.topic": offsets,
            "status.storage.topic": status,
            "config.storage.replication.factor": "1",
            "offset.storage.replication.factor": "1",
            "status.storage.replication.factor": "1",
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "500",
        }

    def start(self) -> None:
        """Start the worker, and return when both connectors run."""
        files = map(str, self._files)
        logging = COMPAT_DIR / "kafka" / "log4j2.properties"
        self._process = java_process(CLASSES[self.mode], *files, logging=logging)
        self._rest = self._process.wait_for(
            _rest_address, seconds=START_SECONDS, what="REST server"
        )
        if self.mode == "distributed":
            eventually(
                self._take_connectors, seconds=START_SECONDS, what="a worker that takes them"
            )
        eventually(self._is_running, seconds=START_SECONDS, what="running connectors")

    def states(self, connector: str) -> list[str]:
        """The states of a connector and of its tasks."""
        status = self._request("GET", f"connectors/{connector}/status")
        if status is None:
            return []
        return [each["state"] for each in (status["connector"], *status["tasks"])]

    def _take_connectors(self) -> bool:
        answers = [
            self._request("PUT", f"connectors/{connector}/config", settings)
            for connector, settings in self.connectors.items()
        ]
        return None not in answers

    def _is_running(self) -> bool:
        return all(self.states(each) == ["RUNNING", "RUNNING"] for each in self.connectors)

    def _request(self, method: str, path: str, body: object = None) -> Any:
        """The answer, None while the worker cannot give one."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self._rest}{path}", data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 409, 500, 503):
                return None
            raise

    def add_lines(self, *lines: str) -> None:
        """Append to the file that the source reads."""
        with self.input.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def await_output(self) -> None:
        """Return when the sink's file is as long as the source's; they must be the same then."""
        eventually(
            lambda: (
                self.output.exists() and self.output.stat().st_size >= self.input.stat().st_size
            ),
            seconds=60,
            what="the lines",
        )
        assert self.output.read_text() == self.input.read_text()

    def stop(self) -> None:
        """SIGTERM: the worker commits what it has done and leaves."""
        assert self._process is not None
        self._process.stop(seconds=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.return_code is None:
            self._process.kill()


def _rest_address(line: str) -> str | None:
    _, found, rest = line.partition(_LISTENING)
    return rest.split(",")[0].strip() if found else None


def _properties(path: Path, settings: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path
