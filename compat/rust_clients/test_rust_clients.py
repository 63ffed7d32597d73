"""rskafka, with protocol code of its own, and rdkafka, which wraps librdkafka."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat.librdkafka import PREFIX, installed
from compat.outside import cached, run
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

CLIENTS = ("rskafka", "rdkafka")
# librdkafka is built without zstd where its headers are missing.
CODECS = {
    "rskafka": ("none", "gzip", "snappy", "lz4", "zstd"),
    "rdkafka": ("none", "gzip", "snappy", "lz4"),
}
FOLDER = Path(__file__).parent

Names = Callable[[str], str]


@pytest.fixture(scope="session")
def executable() -> Path:
    """Our program, built with the versions that Cargo.lock names."""
    cargo = require("cargo")
    librdkafka = installed()
    sources = [*sorted(FOLDER.glob("**/*.rs")), FOLDER / "Cargo.toml", FOLDER / "Cargo.lock"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()

    def build(directory: Path) -> None:
        root = str(librdkafka).removesuffix(PREFIX)
        environment = {
            "CARGO_TARGET_DIR": str(directory / "target"),
            "LIBRDKAFKA_DIRECTORY": str(librdkafka / "lib"),
            "PKG_CONFIG_PATH": str(librdkafka / "lib" / "pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": root,
        }
        run([cargo, "build", "--locked"], cwd=FOLDER, env=environment)

    place = cached(f"rust_clients-{digest[:16]}", build)
    return place / "target" / "debug" / "rust_clients"


@pytest.fixture(scope="session")
def programs(executable: Path, fresh_broker: Target) -> Iterator[dict[str, Program]]:
    started = {client: Program([executable], client, fresh_broker) for client in CLIENTS}
    yield started
    for program in started.values():
        program.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_topics_are_created_described_and_deleted(
    programs: dict[str, Program], client: str, name: Names
) -> None:
    # rskafka knows nothing of settings.
    check_topics(programs[client], name("topic"), with_configs=client != "rskafka")


@pytest.mark.parametrize(
    ("client", "codec"), [(client, codec) for client in CLIENTS for codec in CODECS[client]]
)
def test_records_come_back_with_codec(
    programs: dict[str, Program], client: str, codec: str, name: Names
) -> None:
    # Headers are a map in rskafka: none can be there twice.
    given = [each for each in RECORDS if client != "rskafka" or each != REPEATED_HEADERS]
    check_records(programs[client], name("topic"), codec, given)


def test_transactions_are_committed_and_aborted(programs: dict[str, Program], name: Names) -> None:
    # rskafka has none.
    check_transactions(programs["rdkafka"], name("topic"), name("group"))


def test_a_group_resumes_where_it_has_committed(programs: dict[str, Program], name: Names) -> None:
    check_commits(programs["rdkafka"], name("topic"), name("group"))


def test_a_group_rebalances_when_a_member_joins_and_leaves(
    programs: dict[str, Program], name: Names
) -> None:
    check_rebalance(programs["rdkafka"], name("topic"), name("group"))
