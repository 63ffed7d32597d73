from pathlib import Path

import pytest

from compat.bench.figures import (
    BARS,
    HIGHER,
    LOWER,
    Bar,
    Broker,
    Figure,
    Report,
    Spread,
    number_text,
    ratio_text,
)


def a_report(*names: str) -> Report:
    brokers = [Broker(name, "1.0", f"what {name} promises") for name in names]
    return Report("python -m compat.bench", "2026-01-02 03:04 UTC", "a machine", 3, brokers)


def test_a_spread_has_the_median_of_the_runs_between_its_ends() -> None:
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(1.0, 2.0, 5.0)
    assert Spread.of([1.0, 2.0]) == Spread(1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("better", "limit", "ratio", "met"),
    [
        (HIGHER, 1.0, 1.0, True),
        (HIGHER, 1.0, 0.9999, False),
        (LOWER, 0.5, 0.5, True),
        (LOWER, 0.5, 0.5001, False),
    ],
)
def test_a_bar_is_met_by_the_exact_ratio(
    better: str, limit: float, ratio: float, met: bool
) -> None:
    assert Bar("speed", limit, better).is_met(ratio) is met


@pytest.mark.parametrize(
    ("ratio", "better", "text"),
    [
        (0.999, HIGHER, "0.99"),
        (0.999, LOWER, "1.00"),
        (0.501, LOWER, "0.51"),
        (0.29, LOWER, "0.29"),
        (0.29, HIGHER, "0.29"),
        (1.0, HIGHER, "1.00"),
    ],
)
def test_a_ratio_is_rounded_so_that_it_looks_worse(ratio: float, better: str, text: str) -> None:
    assert ratio_text(ratio, better) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (1.2345, "1.23"), (12.345, "12.3"), (1234567.8, "1,234,568")],
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_ratio_compares_medians() -> None:
    figure = Figure("row", "MB/s", HIGHER, "produce", {"a": [1.0, 9.0, 3.0], "b": [4.0, 2.0, 1.0]})

    assert figure.ratio("a", "b") == 1.5
    assert figure.is_met("a", "b") is True
    assert figure.is_met("b", "a") is False


def test_a_figure_without_bar_or_without_the_other_broker_has_no_verdict() -> None:
    assert Figure("row", "MB/s", HIGHER, None, {"a": [1.0], "b": [2.0]}).is_met("a", "b") is None
    assert Figure("row", "MB/s", HIGHER, "produce", {"a": [1.0]}).is_met("a", "b") is None
    assert Figure("row", "MB/s", HIGHER, None, {"a": [1.0], "b": [0.0]}).ratio("a", "b") is None


def test_kafka_is_the_yardstick_wherever_it_stands() -> None:
    assert a_report("pykbroker", "stranger", "kafka").yardstick == ("pykbroker", "kafka")
    assert a_report("pykbroker", "base").yardstick == ("pykbroker", "base")
    assert a_report("pykbroker").yardstick is None


def test_the_bars_hold_beside_kafka_only() -> None:
    assert a_report("pykbroker", "kafka").has_bars
    assert not a_report("pykbroker", "base").has_bars


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = a_report("pykbroker", "kafka")
    report.figure("row", "MB/s", HIGHER, "produce").values["pykbroker"] = [1.0, 2.0]
    report.figure("row", "MB/s", HIGHER, "produce").values["kafka"] = [1.0]
    report.figure("row", "p50", LOWER, None).values["kafka"] = [1.0]
    report.write(tmp_path / "report.json")

    assert Report.read(tmp_path / "report.json") == report
    assert '"met": true' in (tmp_path / "report.json").read_text()


def test_every_bar_says_which_side_is_better() -> None:
    assert {bar.better for bar in BARS.values()} == {HIGHER, LOWER}
