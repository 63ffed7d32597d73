"""Streams applications: results, internal topics, resumption from offsets and restored state."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compat.apache_tools.tools import Tools, table
from compat.jvm import java_process
from compat.processes import LineProcess, eventually
from compat.runtimes import require
from compat.targets import Target

WORD_COUNT = "org.apache.kafka.streams.examples.wordcount.WordCountDemo"
RESETTER = "org.apache.kafka.tools.StreamsResetter"
REVENUE = Path(__file__).parent / "Revenue.java"
WORDS = Path(__file__).parent / "Words.java"
LIVES = 4
LINES = 150
LONGS = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer"


@pytest.fixture
def tools(fresh_broker: Target) -> Iterator[Tools]:
    require("javac")
    with Tools(fresh_broker.address) as tools:
        yield tools


@pytest.fixture
def application(name: Callable[[str], str]) -> str:
    return name("app").replace(".", "-").replace("_", "-")


class Application:
    """What one Streams application is started with."""

    def __init__(
        self, tools: Tools, application: str, directory: Path, guarantee: str = "at_least_once"
    ) -> None:
        self.tools = tools
        self.state = directory / "state"
        self.file = directory / "streams.properties"
        settings = {
            "application.id": application,
            "bootstrap.servers": tools.address,
            "state.dir": str(self.state),
            "processing.guarantee": guarantee,
            "commit.interval.ms": "500",
            "statestore.cache.max.bytes": "0",
            # An instance that ends does not leave: its place is free when its session expires.
            "session.timeout.ms": "3000",
            "heartbeat.interval.ms": "500",
        }
        self.file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def forget_state(self) -> None:
        """Lose the local state: the next instance must restore it from the changelog."""
        shutil.rmtree(self.state)

    def read(self, topic: str, count: int, *options: str) -> list[str]:
        """The first records of a topic, as `key value`."""
        call = self.tools.run(
            "kafka-console-consumer", f"--topic={topic}", "--from-beginning",
            f"--max-messages={count}", "--formatter-property", "print.key=true",
            "--formatter-property", "key.separator= ", *options,
        )  # fmt: skip
        return call.out

    def committed(self, topic: str) -> list[str]:
        """All committed records of a topic, as `key value`."""
        call = self.tools.run(
            "kafka-console-consumer", f"--topic={topic}", "--from-beginning",
            "--isolation-level=read_committed", "--timeout-ms=2000",
            "--formatter-property", "print.key=true", "--formatter-property", "key.separator= ",
        )  # fmt: skip
        return call.out

    def counts(self, topic: str) -> Counter[str]:
        """The last committed count of each word."""
        return Counter({word: int(count) for word, count in map(str.split, self.committed(topic))})

    def end_of(self, topic: str) -> int:
        return int(self.tools.out("kafka-get-offsets", "--topic", topic)[0].split(":")[2])


@contextmanager
def _running(main: str, *arguments: str, sources: tuple[Path, ...] = ()) -> Iterator[LineProcess]:
    process = java_process(main, *arguments, sources=sources)
    try:
        yield process
        process.stop(seconds=60)
    finally:
        if process.return_code is None:
            process.kill()


def test_word_count_resumes_with_its_state(tools: Tools, application: str, tmp_path: Path) -> None:
    """Kafka's own WordCountDemo; its topics have fixed names."""
    words = Application(tools, application, tmp_path)
    source = tools.create_topic("streams-plaintext-input")
    output = tools.create_topic("streams-wordcount-output", cleanup_policy="compact")
    count = ["--formatter-property", LONGS]
    tools.produce(source, "all streams lead to kafka", "hello kafka streams", "join kafka summit")

    with _running(WORD_COUNT, str(words.file)):
        assert words.read(output, 11, *count) == [
            "all 1", "streams 1", "lead 1", "to 1", "kafka 1",
            "hello 1", "kafka 2", "streams 2",
            "join 1", "kafka 3", "summit 1",
        ]  # fmt: skip
        _check_internal_topics(tools, application)
        eventually(lambda: _is_done(tools, application), what="commits of all that was read")

    words.forget_state()
    tools.produce(source, "all about kafka")
    with _running(WORD_COUNT, str(words.file)):
        assert words.read(output, 14, *count)[11:] == ["all 2", "about 1", "kafka 4"]
        eventually(lambda: _is_done(tools, application), what="commits of all that was read")
    assert words.end_of(output) == 14

    _reset(tools, application, source)


def test_word_count_is_exact_through_kills(
    tools: Tools, application: str, tmp_path: Path, fresh_broker: Target
) -> None:
    """exactly_once_v2: the instance is killed three times, the third time with the broker."""
    words = Application(tools, application, tmp_path, "exactly_once_v2")
    source, output = (tools.create_topic(f"{application}-{kind}") for kind in ("lines", "counts"))
    arguments = [str(words.file), source, output]
    expected: Counter[str] = Counter()
    for life in range(LIVES):
        lines = [f"life{life} all word{number % 7}" for number in range(LINES)]
        expected.update(word for line in lines for word in line.split())
        before = words.end_of(output)
        process = java_process("Words", *arguments, sources=(WORDS,))
        try:
            tools.produce(source, *lines)
            if life == LIVES - 1:
                eventually(
                    lambda: words.counts(output) == expected, seconds=90, what="exact counts"
                )
                process.stop(seconds=60)
            else:
                # Killed in the middle of its work, not before or after it.
                eventually(
                    lambda: words.end_of(output) > before,  # noqa: B023
                    seconds=90,
                    what="some counts",
                )
                process.kill()
                if life == LIVES - 2:
                    fresh_broker.kill()
                    fresh_broker.restart()
                words.forget_state()
        finally:
            if process.return_code is None:
                process.kill()
    # Each count comes once: no word was counted twice, and none of its counts is missing.
    told = words.committed(output)
    assert sorted(told) == sorted(
        f"{word} {number}" for word, count in expected.items() for number in range(1, count + 1)
    )


def _is_done(tools: Tools, application: str) -> bool:
    """Whether nothing is left to read, by the committed offsets."""
    said = tools.run("kafka-consumer-groups", "--describe", "--group", application)
    rows = table(said.out)
    return bool(rows) and all(row["LAG"] == "0" for row in rows)


def _settings(tools: Tools, topic: str) -> dict[str, str]:
    summary = tools.out("kafka-topics", "--describe", "--topic", topic)[0]
    # A value may be a list: what follows a comma is a setting only if it has a name.
    settings = re.split(r",(?=[a-z.]+=)", summary.rpartition("Configs: ")[2])
    return dict(each.split("=", 1) for each in settings)


def _check_internal_topics(tools: Tools, application: str) -> None:
    store = f"{application}-KSTREAM-AGGREGATE-STATE-STORE-0000000003"
    assert _settings(tools, f"{store}-changelog")["cleanup.policy"] == "compact"
    repartition = _settings(tools, f"{store}-repartition")
    assert repartition["cleanup.policy"] == "delete"
    assert repartition["retention.ms"] == "-1"
    assert repartition["segment.bytes"] == "52428800"
    assert repartition["message.timestamp.type"] == "CreateTime"


def _reset(tools: Tools, application: str, source: str) -> None:
    """kafka-streams-application-reset: offsets back to the start, internal topics gone."""

    def is_empty() -> bool:
        said = tools.out("kafka-consumer-groups", "--describe", "--group", application, "--state")
        return said[-1].split()[-2] == "Empty"

    eventually(is_empty, what="the end of the session")
    options = ["--application-id", application, "--input-topics", source, "--force"]
    call = tools.jvm.run(RESETTER, *options, "--bootstrap-server", tools.address)
    assert call.status == 0, call.describe()
    assert f"Topic: {source} Partition: 0 Offset: 0" in call.out
    assert not [each for each in tools.out("kafka-topics", "--list") if application in each]
    rows = table(tools.run("kafka-consumer-groups", "--describe", "--group", application).out)
    assert [row["CURRENT-OFFSET"] for row in rows if row["TOPIC"] == source] == ["0"]


def test_a_join_and_windows_resume_with_their_state(
    tools: Tools, application: str, tmp_path: Path
) -> None:
    revenue = Application(tools, application, tmp_path)
    customers, orders, sums = (
        tools.create_topic(f"{application}-{kind}") for kind in ("customers", "orders", "sums")
    )
    tools.produce(customers, "anna:north", "ben:south", "carl:north")
    arguments = [str(revenue.file), customers, orders, sums]
    # Two minutes that are over; records of long ago would soon be removed as too old.
    minute = int(time.time()) // 60 * 60 - 120
    after = minute + 60

    with _running("Revenue", *arguments, sources=(REVENUE,)) as process:
        process.wait_for(lambda line: line == "state RUNNING" or None, seconds=60)
        early = ["anna:{};5", "ben:{};7", "carl:{};1", "nobody:{};99"]
        tools.produce(orders, *(each.format(minute) for each in early), f"anna:{after + 10};2")
        assert revenue.read(sums, 4) == [
            f"north@{minute} 5",
            f"south@{minute} 7",
            f"north@{minute} 6",
            f"north@{after} 2",
        ]
        eventually(lambda: _is_done(tools, application), what="commits of all that was read")

    revenue.forget_state()
    with _running("Revenue", *arguments, sources=(REVENUE,)):
        tools.produce(orders, f"carl:{after + 20};3", f"ben:{after + 30};4")
        assert revenue.read(sums, 6)[4:] == [f"north@{after} 5", f"south@{after} 4"]
        eventually(lambda: _is_done(tools, application), what="commits of all that was read")
    assert revenue.end_of(sums) == 6

    windows = [each for each in tools.out("kafka-topics", "--list") if each.startswith(application)]
    (changelog,) = (each for each in windows if "REDUCE" in each and each.endswith("changelog"))
    settings = _settings(tools, changelog)
    assert settings["cleanup.policy"] in ("compact,delete", "delete,compact")
    assert settings["retention.ms"] == str(60_000 + 24 * 3_600_000)
