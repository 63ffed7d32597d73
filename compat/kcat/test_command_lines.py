"""Command lines of kcat as people type them, and what it prints for them."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from compat.processes import LineProcess, eventually
from compat.targets import COMPAT_DIR, Target

README = COMPAT_DIR.parent / "README.md"
DEFAULT_ADDRESS = "127.0.0.1:9092"

Names = Callable[[str], str]

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def shell(broker: Target, command: str, text: str = "") -> str:
    """What a command of the shell prints; `kcat` in it is asked for this broker."""
    command = command.replace("kcat ", f"kcat -b {broker.address} ")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


@pytest.fixture
def topic(fresh_broker: Target, name: Names) -> str:
    """A topic of two partitions, made by asking for it."""
    topic = name("topic")
    eventually(
        lambda: f'"{topic}" with 2 partitions' in shell(fresh_broker, f"kcat -L -t {topic}"),
        what="the topic",
    )
    return topic


def commands_of_readme() -> list[str]:
    """The commands of the first session, as they stand there."""
    session = README.read_text().split("With kcat")[1].split("```")[1]
    return [line.split("  #")[0].strip() for line in session.splitlines() if "kcat" in line]


def test_the_first_session_of_the_readme(fresh_broker: Target) -> None:
    produce, consume, listing, group = (
        command.replace(DEFAULT_ADDRESS, fresh_broker.address) for command in commands_of_readme()
    )

    def run(command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    assert run(produce) == ""
    assert run(consume) == "hello\n"
    assert 'topic "greetings" with 2 partitions' in run(listing)
    member = LineProcess(["bash", "-c", f"exec {group}"])
    try:
        for _ in range(2):
            member.wait_for(lambda line: "Reached end" in line or None, what="end of a partition")
        # Not on a terminal, it prints when it ends.
        assert member.stop() == 0
        assert "hello" in member.lines
    finally:
        if member.return_code is None:
            member.kill()


def test_metadata_is_listed_for_people_and_for_programs(fresh_broker: Target, topic: str) -> None:
    listed = shell(fresh_broker, f"kcat -L -t {topic}")
    found = json.loads(shell(fresh_broker, f"kcat -L -J -t {topic}"))

    node = found["brokers"][0]["id"]
    assert f"broker {node} at {fresh_broker.address}" in listed
    for partition in (0, 1):
        assert f"partition {partition}, leader {node}, replicas: {node}, isrs: {node}" in listed
    assert [each["partition"] for each in found["topics"][0]["partitions"]] == [0, 1]
    assert found["controllerid"] == node


def test_a_format_shows_every_part_of_a_record(fresh_broker: Target, topic: str) -> None:
    shell(
        fresh_broker,
        f"kcat -P -t {topic} -p 1 -K: -H colour=blue -H size=10",
        "one:first\ntwo:second\n",
    )

    form = r"%t [%p] %o %k(%K)=%s(%S) %T %h\n"
    lines = shell(fresh_broker, f"kcat -C -q -e -o beginning -t {topic} -f '{form}'").splitlines()

    for line, (offset, record) in zip(
        lines, enumerate(("one(3)=first(5)", "two(3)=second(6)")), strict=True
    ):
        expected = rf"{topic} \[1\] {offset} {re.escape(record)} \d{{13}} colour=blue,size=10"
        assert re.fullmatch(expected, line), line


def test_keys_are_split_off_and_put_in_front(fresh_broker: Target, topic: str) -> None:
    shell(fresh_broker, f"kcat -P -t {topic} -p 0 -K ' => '", "a => 1\n => 2\nb => \n")
    shell(fresh_broker, f"kcat -P -t {topic} -p 0 -k fixed", "3\n")

    read = shell(fresh_broker, f"kcat -C -q -e -t {topic} -p 0 -K ' => '")

    assert read == "a => 1\n => 2\nb => \nfixed => 3\n"


def test_tombstones_are_shown_as_null(fresh_broker: Target, topic: str) -> None:
    shell(fresh_broker, f"kcat -P -Z -t {topic} -p 0 -K:", "gone:\nhere:v\n")

    read = shell(fresh_broker, f"kcat -C -q -e -Z -t {topic} -p 0 -f '%k=%s %S\\n'")

    assert read == "gone=NULL -1\nhere=v 1\n"


def test_a_time_is_where_reading_starts_and_where_it_ends(fresh_broker: Target, topic: str) -> None:
    for number in range(4):
        shell(fresh_broker, f"kcat -P -t {topic} -p 0", f"{number}\n")
    printed = shell(fresh_broker, f"kcat -C -q -e -t {topic} -p 0 -f '%T '")
    times = [int(each) for each in printed.split()]
    assert times == sorted(set(times))

    read = f"kcat -C -q -t {topic} -p 0 -o s@{times[1]} -o e@{times[3]}"

    assert shell(fresh_broker, read) == "1\n2\n"


def test_offsets_are_asked_for_several_partitions_at_once(fresh_broker: Target, topic: str) -> None:
    shell(fresh_broker, f"kcat -P -t {topic} -p 1", "1\n2\n3\n")

    found = shell(fresh_broker, f"kcat -Q -t {topic}:0:-1 -t {topic}:1:-1").splitlines()

    assert sorted(found) == [f"{topic} [0] offset 0", f"{topic} [1] offset 3"]


def test_files_are_sent_whole_or_by_lines(fresh_broker: Target, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one\ntwo\n")
    shell(fresh_broker, f"kcat -P -t {topic} -p 0 {file}")
    shell(fresh_broker, f"kcat -P -t {topic} -p 0 -l {file}")
    shell(fresh_broker, f"kcat -P -t {topic} -p 0 -D ,", "three,four")

    read = json.loads(
        "[" + ",".join(shell(fresh_broker, f"kcat -C -q -e -J -t {topic} -p 0").splitlines()) + "]"
    )

    assert [each["payload"] for each in read] == ["one\ntwo\n", "one", "two", "three", "four"]


def test_a_group_reads_all_topics_that_a_pattern_names(fresh_broker: Target, name: Names) -> None:
    topics = [name("pattern"), name("pattern")]
    for topic in topics:
        shell(fresh_broker, f"kcat -P -t {topic}", f"from {topic}\n")
    prefix = topics[0].rpartition(".")[0]

    read = shell(
        fresh_broker, f"kcat -q -o beginning -c 2 -G {name('group')} '^{re.escape(prefix)}.*'"
    )

    assert sorted(read.splitlines()) == sorted(f"from {topic}" for topic in topics)


def test_a_topic_that_cannot_be_is_refused(fresh_broker: Target) -> None:
    process = LineProcess(["kcat", "-b", fresh_broker.address, "-C", "-e", "-t", "no/topic"])

    assert process.wait() == 1
    assert "Broker: Invalid topic" in process.describe()
