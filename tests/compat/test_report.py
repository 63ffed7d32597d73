from pathlib import Path

from compat.report import as_json, table
from compat.running import Case, Result
from compat.suites import Suite


def a_suite(name: str) -> Suite:
    return Suite(
        folder=Path(name), title="", seconds=1, ci=True, needs=(), targets=(), version="that 1.0"
    )


RESULTS = [
    Result(a_suite("kcat"), passed=46, seconds=28.6),
    Result(
        a_suite("librdkafka"),
        passed=2,
        failures=[Case("0001", "broken\n  pipe"), Case("0004", "broken pipe")],
        skips=[Case("0002", "no openssl"), Case("0003", "no openssl")],
        seconds=1.2,
        log=Path("/logs/librdkafka.log"),
    ),
]


def test_the_table_has_a_row_for_each_suite_and_the_reasons_below() -> None:
    assert table(RESULTS).splitlines() == [
        "suite       passed  failed  skipped  seconds",
        "kcat            46       0        0       29",
        "librdkafka       2       2        2        1",
        "all             48       2        2       30",
        "",
        "skipped",
        "  librdkafka: 2 x no openssl",
        "",
        "failed",
        "  librdkafka: 0001 and 1 more: broken pipe",
        "  librdkafka: all of its output is in /logs/librdkafka.log",
    ]


def test_a_long_reason_is_cut_in_the_table_only() -> None:
    reason = "x" * 1000
    result = Result(a_suite("kcat"), failures=[Case("eof", reason)])

    assert table([result]).endswith("x" * 400 + " ...")
    assert as_json([result], "kafka")["suites"][0]["failures"][0]["reason"] == reason


def test_programs_get_the_same_and_what_was_compared() -> None:
    outcome = as_json(RESULTS, "kafka")

    assert (outcome["target"], outcome["version"]) == ("kafka", "4.3.1")
    assert {"commit", "python", "machine", "date"} <= outcome.keys()
    assert outcome["suites"][1] == {
        "name": "librdkafka",
        "title": "",
        "version": "that 1.0",
        "passed": 2,
        "failed": 2,
        "skipped": 2,
        "seconds": 1.2,
        "failures": [
            {"test": "0001", "reason": "broken\n  pipe"},
            {"test": "0004", "reason": "broken pipe"},
        ],
        "skips": [
            {"test": "0002", "reason": "no openssl"},
            {"test": "0003", "reason": "no openssl"},
        ],
    }
