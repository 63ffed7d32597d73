"""franz-go, sarama and kafka-go: three clients in Go, each with protocol code of its own."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat.outside import cached, run
from compat.program_scenarios import (
    EMPTY_KEY,
    RECORDS,
    check_commits,
    check_rebalance,
    check_records,
    check_topics,
    check_transactions,
)
from compat.programs import Program
from compat.runtimes import require
from compat.targets import Target

CLIENTS = ("franz-go", "sarama", "kafka-go")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
FOLDER = Path(__file__).parent

Names = Callable[[str], str]


@pytest.fixture(scope="session")
def executable() -> Path:
    """Our program, built with the versions that go.mod names."""
    go = require("go")
    sources = [*sorted(FOLDER.glob("*.go")), FOLDER / "go.mod", FOLDER / "go.sum"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()

    def build(directory: Path) -> None:
        where = directory / "go_clients"
        run(
            [go, "build", "-mod=readonly", "-o", where, "."],
            cwd=FOLDER,
            env={"GOFLAGS": "-buildvcs=false"},
        )

    return cached(f"go_clients-{digest[:16]}", build) / "go_clients"


@pytest.fixture(scope="session", params=CLIENTS)
def program(
    request: pytest.FixtureRequest, executable: Path, fresh_broker: Target
) -> Iterator[Program]:
    with Program((executable,), request.param, fresh_broker) as program:
        yield program


def test_topics_are_created_described_and_deleted(program: Program, name: Names) -> None:
    check_topics(program, name("topic"))


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_with_codec(program: Program, name: Names, codec: str) -> None:
    # kafka-go gives an empty key as none.
    given = [each for each in RECORDS if program.client != "kafka-go" or each != EMPTY_KEY]
    check_records(program, name("topic"), codec, given)


def test_transactions_are_committed_and_aborted(program: Program, name: Names) -> None:
    if program.client == "kafka-go":
        pytest.skip("kafka-go has no transactional producer")
    # franz-go commits offsets only of what its own sessions have read.
    with_offsets = program.client != "franz-go"
    check_transactions(program, name("topic"), name("group"), with_offsets=with_offsets)


def test_a_group_resumes_where_it_has_committed(program: Program, name: Names) -> None:
    check_commits(program, name("topic"), name("group"))


def test_a_group_rebalances_when_a_member_joins_and_leaves(program: Program, name: Names) -> None:
    check_rebalance(program, name("topic"), name("group"))
