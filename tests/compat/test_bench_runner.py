import pytest

from compat.bench.contestants import other_spec, target_spec
from compat.bench.figures import BARS
from compat.bench.load import MODULES, load_named
from compat.bench.profile import PATHS, table
from compat.bench.rows import FULL, QUICK, all_rows
from compat.bench.runner import is_steady


def test_a_warm_up_ends_when_the_last_rounds_were_hardly_cheaper() -> None:
    assert not is_steady([100, 99, 98, 97])
    assert is_steady([100, 99, 98, 97, 96])
    assert not is_steady([100, 99, 98, 97, 94])
    assert not is_steady([900, 100, 80, 60, 50, 40])


def test_every_row_has_its_own_name_a_load_and_known_bars() -> None:
    rows = all_rows(FULL)

    assert len({row.name for row in rows}) == len(rows)
    loads = {name for names in MODULES.values() for name in names}
    assert {row.load for row in rows} - {"start"} <= loads
    bars = {quantity.bar for row in rows for quantity in row.quantities} - {None}
    assert bars == BARS.keys()


def test_a_load_is_found_by_its_name() -> None:
    assert load_named("sync_produce").__name__ == "sync_produce"
    with pytest.raises(KeyError):
        load_named("unknown")


def test_a_quick_run_measures_the_same_rows() -> None:
    assert [row.name for row in all_rows(QUICK)] == [row.name for row in all_rows(FULL)]


def test_every_profile_is_of_a_row() -> None:
    assert set(PATHS.values()) <= {row.name for row in all_rows(FULL)}


def test_a_profile_counts_a_function_once_in_a_stack() -> None:
    idle = "_bootstrap;_worker (concurrent/futures/thread.py:69) 9"
    stacks = ["main;handle;handle 2", "main;write 2", idle]

    assert list(table(stacks, 100.0)) == [
        "| function | itself, us | with what it calls, us |",
        "| --- | --- | --- |",
        "| `handle` | 50.0 | 50.0 |",
        "| `write` | 50.0 | 50.0 |",
    ]
    assert len(list(table(stacks, 100.0, most=1))) == 3


def test_a_target_is_a_broker_or_a_checkout() -> None:
    assert target_spec("kafka").kind == "kafka"
    assert target_spec("base=.").kind == "pykbroker"
    for wrong in ("unknown", "base=/nowhere"):
        with pytest.raises(ValueError, match=r"none of|no checkout"):
            target_spec(wrong)


def test_another_broker_is_named_with_its_address_and_its_pid() -> None:
    spec = other_spec("that=localhost:9092,12")

    assert (spec.name, spec.address, spec.pid) == ("that", "localhost:9092", 12)
    for wrong in ("that", "that=localhost:9092", "that=localhost,12", "=localhost:9092,12"):
        with pytest.raises(ValueError, match="is not NAME=HOST:PORT,PID"):
            other_spec(wrong)
