import click
import pytest

from pykbroker.client import ClientError
from pykbroker.commands.options import connected, parse_pairs, print_table
from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.running_server import a_running_server


def test_pairs_are_read_and_may_hold_further_equals_signs() -> None:
    assert parse_pairs(["a=1", " b = x=y ", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("text", ["a", "=1", " =1"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"--set .*expected KEY=VALUE"):
        parse_pairs([text], "--set")


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "N"], [("a", 1), ("longer", 22)])

    assert capsys.readouterr().out == "NAME    N\na       1\nlonger  22\n"


def test_failures_of_the_broker_become_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    with a_running_server(tmp_path_factory.mktemp("data")) as address:
        refused = pytest.raises(click.ClickException, match=r"^INVALID_CONFIG: no such setting$")
        with refused, connected(address):
            raise KafkaError(ErrorCode.INVALID_CONFIG, "no such setting")
        with pytest.raises(click.ClickException, match=r"^lost$"), connected(address):
            raise ClientError("lost")


def test_an_address_that_is_none_becomes_one_line() -> None:
    with pytest.raises(click.ClickException, match="is not HOST:PORT"), connected("host:port"):
        raise AssertionError("not reached")
