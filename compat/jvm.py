"""Java programs of compat: compiled once into the cache, run on Kafka's jars.

`JavaTools` runs many main classes in one JVM (`kafka/RunTools.java`), each with its own standard
streams and exit status, because the start of a JVM costs more than most of what they do.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compat.outside import cached, run
from compat.processes import LineProcess
from compat.targets import COMPAT_DIR, kafka_libs

RUN_TOOLS = COMPAT_DIR / "kafka" / "RunTools.java"
LOGGING = COMPAT_DIR / "kafka" / "tools-log4j2.properties"
CALL_SECONDS = 60.0


def compiled(name: str, sources: Sequence[Path], libs: Path) -> Path:
    """The directory with the classes of some source files, compiled against jars."""
    jars = sorted(jar.name for jar in libs.glob("*.jar"))
    made_of = b"".join(source.read_bytes() for source in sources) + "\n".join(jars).encode()
    digest = hashlib.sha256(made_of).hexdigest()[:16]

    def compile_them(directory: Path) -> None:
        # Programs for several releases use what the newest one calls deprecated.
        run(["javac", "-Xlint:none", "-cp", f"{libs}/*", "-d", directory, *sources])

    return cached(f"java-{name}-{digest}", compile_them)


def java_command(
    main: str, *arguments: str, class_path: Sequence[str | Path], logging: Path = LOGGING
) -> list[str]:
    """A command line for a small, soon started JVM."""
    options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    options += ["-cp", ":".join(map(str, class_path))]
    options += [f"-Dlog4j2.configurationFile={logging}"]
    return ["java", *options, main, *arguments]


def java_process(
    main: str, *arguments: str, sources: Sequence[Path] = (), logging: Path = LOGGING
) -> LineProcess:
    """A main class, of Kafka's jars or of sources of ours, in a JVM of its own."""
    libs = kafka_libs()
    class_path: list[str | Path] = [f"{libs}/*"]
    if sources:
        class_path.append(compiled(main, sources, libs))
    return LineProcess(java_command(main, *arguments, class_path=class_path, logging=logging))


@dataclass(slots=True)
class Call:
    """One run of a main class: what it has printed so far, and its status once it has ended."""

    main: str
    arguments: tuple[str, ...]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    status: int | None = None

    def describe(self) -> str:
        command = " ".join([self.main, *self.arguments])
        return "\n".join([f"{command} (status {self.status})", *self.out, *self.err])


class JavaTools:
    """A JVM that runs main classes, several at a time if need be."""

    def __init__(self, libs: Path | None = None, *sources: Path) -> None:
        """Args:
        libs: The directory with the jars; None = those of the Kafka release measured against.
        sources: Programs to compile with them.
        """
        libs = libs or kafka_libs()
        classes = compiled("tools", [RUN_TOOLS, *sources], libs)
        command = java_command("RunTools", class_path=[f"{libs}/*", classes])
        self._process = LineProcess(command, takes_lines=True)
        self._calls: list[Call] = []

    def start(self, main: str, *arguments: str, text_input: str = "") -> Call:
        """Start a main class and return at once."""
        call = Call(main, arguments)
        self._calls.append(call)
        self._send(
            {
                "call": len(self._calls) - 1,
                "class": main,
                "args": list(arguments),
                "input": text_input,
            }
        )
        return call

    def run(
        self, main: str, *arguments: str, text_input: str = "", seconds: float = CALL_SECONDS
    ) -> Call:
        """Run a main class to its end."""
        return self.finish(self.start(main, *arguments, text_input=text_input), seconds=seconds)

    def stop(self, call: Call) -> Call:
        """Do to a call what SIGTERM does to a process, and wait for its end."""
        if call.status is None:
            self._send({"stop": self._number(call)})
        return self.finish(call)

    def finish(self, call: Call, *, seconds: float = CALL_SECONDS) -> Call:
        """Wait for the end of a call."""
        return self.wait_until(call, lambda: call.status is not None, seconds=seconds)

    def wait_until(
        self, call: Call, is_reached: Callable[[], bool], *, seconds: float = CALL_SECONDS
    ) -> Call:
        """Take in what the calls print until a condition on it is true.

        Raises:
            ProcessError: That did not come in time; all calls were ended.
        """
        if is_reached():
            return call
        try:
            self._process.wait_for(
                lambda line: True if self._take(line) and is_reached() else None,
                seconds=seconds,
                what=f"what was expected of {call.describe()}",
            )
        except BaseException:
            self.close()
            raise
        return call

    @property
    def is_running(self) -> bool:
        return self._process.return_code is None

    def close(self) -> None:
        """End the JVM and with it all calls."""
        self._process.kill()

    def _number(self, call: Call) -> int:
        return next(number for number, each in enumerate(self._calls) if each is call)

    def _send(self, request: dict[str, object]) -> None:
        self._process.send_line(json.dumps(request))

    def _take(self, line: str) -> bool:
        """Give a line to the call that it belongs to; tells whether it was one of a call."""
        if not line.startswith('{"'):
            return False
        said = json.loads(line)
        call = self._calls[said["call"]]
        if "status" in said:
            call.status = said["status"]
        else:
            call.out += [said["out"]] if "out" in said else []
            call.err += [said["err"]] if "err" in said else []
        return True
