"""@confluentinc/kafka-javascript: librdkafka for node, by an interface like that of kafkajs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat.node_addons import node_modules
from compat.node_clients.workspace import lay_out
from compat.program_scenarios import (
    RECORDS,
    check_commits,
    check_rebalance,
    check_records,
    check_topics,
)
from compat.programs import Program
from compat.runtimes import require
from compat.targets import Target

# librdkafka is built without zstd where its headers are missing.
CODECS = ("none", "gzip", "snappy", "lz4")
FOLDER = Path(__file__).parent
ADDON = "@confluentinc/kafka-javascript"
# What its own install script tells node-gyp by another program.
NAMES = ("--module_name=confluent-kafka-javascript", "--module_path=build/Release")

Names = Callable[[str], str]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory, fresh_broker: Target) -> Iterator[Program]:
    modules = node_modules(FOLDER, ADDON, NAMES)
    directory = tmp_path_factory.mktemp("confluent_javascript")
    main = lay_out(directory, modules, FOLDER / "confluent.mjs")
    with Program([require("node"), main], "confluent", fresh_broker) as program:
        yield program


def test_topics_are_created_described_and_deleted(program: Program, name: Names) -> None:
    check_topics(program, name("topic"), with_configs=False)


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_with_codec(program: Program, name: Names, codec: str) -> None:
    check_records(program, name("topic"), codec, RECORDS)


def test_a_group_resumes_where_it_has_committed(program: Program, name: Names) -> None:
    check_commits(program, name("topic"), name("group"))


def test_a_group_rebalances_when_a_member_joins_and_leaves(program: Program, name: Names) -> None:
    check_rebalance(program, name("topic"), name("group"))
