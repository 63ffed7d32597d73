"""Scenarios of the Java programs in this folder, run by one release of kafka-clients."""

from pathlib import Path

from compat.jvm import JavaTools
from compat.outside import cached, run
from compat.runtimes import require
from compat.targets import Target

FOLDER = Path(__file__).parent
OLD_VERSION = "2.8.2"


def old_client_libs() -> Path:
    """The jars of the old client; fetched by Maven on first use."""
    return cached(f"kafka-clients-{OLD_VERSION}-libs", _fetch_old_client)


def _fetch_old_client(directory: Path) -> None:
    maven: list[str | Path] = [require("mvn"), "-B", "-q", "-f", FOLDER / "old-client.xml"]
    run([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={directory}"])


class Scenarios:
    """A JVM for all scenarios; a new one after a scenario that did not come to its end."""

    def __init__(self, libs: Path | None) -> None:
        """Args:
        libs: The jars of the client; None = those of the Kafka release measured against.
        """
        self._libs = libs
        self._jvm: JavaTools | None = None

    def run(self, scenario: str, broker: Target, name: str) -> None:
        """Run CLASS.METHOD, which uses topics and groups called like `name`."""
        if self._jvm is None or not self._jvm.is_running:
            self._jvm = JavaTools(self._libs, *sorted(FOLDER.glob("*.java")))
        call = self._jvm.run("Client", scenario, broker.address, name)
        assert call.status == 0, call.describe()
        assert call.out[-1] == f"done {scenario}", call.describe()

    def close(self) -> None:
        if self._jvm is not None and self._jvm.is_running:
            self._jvm.close()
