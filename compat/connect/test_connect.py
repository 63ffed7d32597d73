"""Lines go from a file through a topic to a file, once each, also over a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from compat.apache_tools.tools import Tools, table
from compat.connect.worker import Worker
from compat.runtimes import require
from compat.targets import Target


def _lines(first: int, last: int) -> list[str]:
    # Plain ASCII: the source counts characters, and after a restart skips as many bytes.
    return [f"line {number}" for number in range(first, last + 1)]


@pytest.mark.parametrize("mode", ["standalone", "distributed"])
def test_each_line_comes_once(
    mode: str, fresh_broker: Target, name: Callable[[str], str], tmp_path: Path
) -> None:
    require("javac")
    prefix = name(mode).replace(".", "-").replace("_", "-")
    with (
        Worker(mode, fresh_broker.address, prefix, tmp_path) as worker,
        Tools(fresh_broker.address) as tools,
    ):
        worker.add_lines(*_lines(1, 50))
        worker.start()
        worker.await_output()
        worker.add_lines(*_lines(51, 60))
        worker.await_output()
        worker.stop()

        worker.add_lines(*_lines(61, 70))
        worker.start()
        worker.await_output()
        assert worker.output.read_text().splitlines() == _lines(1, 70)
        assert tools.out("kafka-get-offsets", "--topic", worker.topic)[0].endswith(":70")
        if mode == "distributed":
            _check_distributed(tools, worker)
        worker.stop()
        sink = f"connect-{prefix}-sink"
        (row,) = table(tools.run("kafka-consumer-groups", "--describe", "--group", sink).out)
        assert (row["CURRENT-OFFSET"], row["LAG"]) == ("70", "0")


def _check_distributed(tools: Tools, worker: Worker) -> None:
    """The workers' own topics are compacted, and their group is one of type connect."""
    for topic in worker.internal_topics:
        (summary,) = tools.out("kafka-topics", "--describe", "--topic", topic)[:1]
        assert "cleanup.policy=compact" in summary
    rows = table(tools.out("kafka-groups", "--list"))
    assert {"GROUP": worker.group, "TYPE": "Classic", "PROTOCOL": "connect"} in rows
