import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pykbroker.client import Client
from pykbroker.commands.consume import committed_offsets, consume, renderer
from pykbroker.commands.produce import produce
from pykbroker.protocol.records import Record
from tests.harness.running_server import a_running_server


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_running_server(tmp_path_factory.mktemp("data"), num_partitions="2") as address:
        yield address


def write(bootstrap: str, topic: str, text: str, *arguments: str) -> None:
    arguments = arguments or ("-p", "0")
    result = CliRunner().invoke(produce, [topic, *arguments, "-b", bootstrap], input=text)
    assert result.exit_code == 0, result.output


def run(bootstrap: str, *arguments: str) -> Result:
    return CliRunner().invoke(consume, [*arguments, "--bootstrap", bootstrap])


def lines(bootstrap: str, *arguments: str) -> list[str]:
    result = run(bootstrap, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_all_records_are_printed_up_to_the_end(bootstrap: str) -> None:
    write(bootstrap, "all", "1\n2\n3\n")
    write(bootstrap, "all", "4\n", "-p", "1")

    assert sorted(lines(bootstrap, "all", "--from-beginning", "-e")) == ["1", "2", "3", "4"]
    assert lines(bootstrap, "all", "--from-beginning", "-e", "-p", "1") == ["4"]


def test_without_a_start_only_new_records_are_printed(bootstrap: str) -> None:
    write(bootstrap, "new", "old\n")

    assert lines(bootstrap, "new", "-e") == []


def test_the_start_may_be_an_offset_or_a_number_before_the_end(bootstrap: str) -> None:
    write(bootstrap, "from", "".join(f"{number}\n" for number in range(10)), "-p", "0", "-z", "lz4")

    assert lines(bootstrap, "from", "-e", "-p", "0", "-o", "7") == ["7", "8", "9"]
    assert lines(bootstrap, "from", "-e", "-p", "0", "-o", "-2") == ["8", "9"]
    assert lines(bootstrap, "from", "-e", "-p", "0", "-o", "-99") == [str(n) for n in range(10)]
    assert lines(bootstrap, "from", "-p", "0", "-o", "3", "-c", "2") == ["3", "4"]


def test_a_group_goes_on_where_it_has_committed(bootstrap: str) -> None:
    write(bootstrap, "grouped", "1\n2\n3\n")

    first = lines(bootstrap, "grouped", "-G", "g", "--from-beginning", "-c", "2")
    second = lines(bootstrap, "grouped", "-G", "g", "--from-beginning", "-e")
    third = lines(bootstrap, "grouped", "-G", "g", "--from-beginning", "-e")

    assert (first, second, third) == (["1", "2"], ["3"], [])
    with Client(bootstrap) as client:
        assert committed_offsets(client, "g", "grouped", [0, 1]) == {0: 3, 1: 0}
        assert committed_offsets(client, "other", "grouped", [0, 1]) == {}


def test_templates_name_every_part_of_a_record() -> None:
    record = Record(7, 1_700, b"k", b"v", (("a", b"1"), ("b", None)))

    assert renderer(r"%t[%p]@%o %T %k=%s %h 100%%\t\x\n")("t", 3, record) == (
        b"t[3]@7 1700 k=v a=1,b= 100%\t\\x\n"
    )
    assert renderer("%k%s")("t", 0, Record(0, 0, None, None)) == b""


@pytest.mark.parametrize("template", ["%x", "%"])
def test_a_template_with_an_unknown_field_is_refused(bootstrap: str, template: str) -> None:
    result = run(bootstrap, "all", "-f", template)

    assert result.exit_code == 2
    assert "there is no field" in result.output


def test_json_holds_what_no_text_can_say(bootstrap: str) -> None:
    write(bootstrap, "json", "k:v\n", "-p", "1", "-K", ":", "-H", "h=1")

    (line,) = lines(bootstrap, "json", "--from-beginning", "-e", "-f", "json")

    found = json.loads(line)
    assert found.pop("timestamp") > 0
    assert found == {
        "topic": "json",
        "partition": 1,
        "offset": 0,
        "key": "k",
        "value": "v",
        "headers": [["h", "1"]],
    }
    odd = json.loads(renderer("json")("t", 0, Record(0, 0, None, b"\xff", (("h", None),))))
    assert (odd["key"], odd["value"], odd["headers"]) == (None, "\\xff", [["h", None]])


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["absent"], 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        (["all", "-p", "9"], 1, "all has no partition 9"),
        (["all", "-o", "999", "-p", "0", "-c", "1"], 1, "has no offset 999"),
        (["all", "-o", "1", "--from-beginning"], 2, "not both"),
    ],
)
def test_what_cannot_be_read_is_told(
    bootstrap: str, arguments: list[str], status: int, reason: str
) -> None:
    write(bootstrap, "all", "x\n")

    result = run(bootstrap, *arguments)

    assert result.exit_code == status
    assert reason in result.output


def test_control_c_ends_the_reading_and_commits(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bootstrap, "stopped", "1\n2\n")

    def interrupted(template: str) -> object:
        def render(topic: str, partition: int, record: Record) -> bytes:
            if record.value == b"2":
                raise KeyboardInterrupt
            return b"%b\n" % (record.value or b"")

        return render

    monkeypatch.setattr("pykbroker.commands.consume.renderer", interrupted)
    assert lines(bootstrap, "stopped", "--from-beginning", "-p", "0", "-G", "s") == ["1"]

    with Client(bootstrap) as client:
        # The record that was being printed counts as read.
        assert committed_offsets(client, "s", "stopped", [0]) == {0: 2}
