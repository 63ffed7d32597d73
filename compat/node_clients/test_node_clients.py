"""kafkajs and @platformatic/kafka: two clients in plain JavaScript."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from compat.node_clients.workspace import FOLDER, lay_out, node_modules
from compat.program_scenarios import (
    RECORDS,
    REPEATED_HEADERS,
    check_commits,
    check_rebalance,
    check_records,
    check_topics,
    check_transactions,
)
from compat.programs import Program
from compat.runtimes import require
from compat.targets import Target

CLIENTS = ("kafkajs", "platformatic")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

Names = Callable[[str], str]


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    scripts = [FOLDER / f"{client}.mjs" for client in CLIENTS]
    main = lay_out(tmp_path_factory.mktemp("node_clients"), node_modules(), *scripts)
    return require("node"), main


@pytest.fixture(scope="session")
def node_has_zstd() -> bool:
    asked = "process.exit('zstdCompress' in require('zlib') ? 0 : 1)"
    return subprocess.run([require("node"), "-e", asked]).returncode == 0


@pytest.fixture(scope="session", params=CLIENTS)
def program(
    request: pytest.FixtureRequest, command: Sequence[Path], fresh_broker: Target
) -> Iterator[Program]:
    with Program(command, request.param, fresh_broker) as program:
        yield program


def test_topics_are_created_described_and_deleted(program: Program, name: Names) -> None:
    check_topics(program, name("topic"))


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_with_codec(
    program: Program, name: Names, codec: str, node_has_zstd: bool
) -> None:
    # Headers are a map in @platformatic/kafka: none can be there twice.
    given = [
        each for each in RECORDS if program.client != "platformatic" or each != REPEATED_HEADERS
    ]
    if (program.client, codec) == ("platformatic", "zstd") and not node_has_zstd:
        pytest.skip("@platformatic/kafka takes zstd from node, which has it since 22.15")
    check_records(program, name("topic"), codec, given)


def test_transactions_are_committed_and_aborted(program: Program, name: Names) -> None:
    # @platformatic/kafka commits offsets only of what its own consumers have read.
    with_offsets = program.client != "platformatic"
    check_transactions(program, name("topic"), name("group"), with_offsets=with_offsets)


def test_a_group_resumes_where_it_has_committed(program: Program, name: Names) -> None:
    check_commits(program, name("topic"), name("group"))


def test_a_group_rebalances_when_a_member_joins_and_leaves(program: Program, name: Names) -> None:
    check_rebalance(program, name("topic"), name("group"))
