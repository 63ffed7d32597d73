from compat.bench.figures import HIGHER, LOWER, Broker, Report
from compat.bench.table import bars_table, figures_table, head


def a_report(other: str = "kafka") -> Report:
    brokers = [Broker("pykbroker", "1.0", "after an fsync"), Broker(other, "4.3.1", "page cache")]
    report = Report("python -m compat.bench", "2026-01-02 03:04 UTC", "2 processors", 3, brokers)
    values = {"pykbroker": [200.0, 100.0, 150.0], other: [150.0]}
    report.figure("produce", "MB/s", HIGHER, "produce").values = values
    values = {"pykbroker": [5.0], other: [9.0]}
    report.figure("produce", "CPU s/GB", LOWER, "produce CPU").values = values
    report.figure("other", "MB/s", HIGHER, None).values = {"pykbroker": [1.0]}
    return report


def test_each_figure_has_its_spread_its_ratio_and_its_verdict() -> None:
    assert list(figures_table(a_report())) == [
        "|  |  | pykbroker | Apache Kafka | ratio | bar | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| produce | MB/s | 150 (100-200) | 150 (150-150) | 1.00 | >= 1 | yes |",
        "|  | CPU s/GB | 5.00 (5.00-5.00) | 9.00 (9.00-9.00) | 0.56 | <= 0.5 | NO |",
        "| other | MB/s | 1.00 (1.00-1.00) | - |  |  |  |",
    ]


def test_two_trees_of_ours_are_compared_without_bars() -> None:
    lines = list(figures_table(a_report("base")))

    assert lines[0] == "|  |  | pykbroker | base | ratio |"
    assert lines[3].endswith("| 0.56 |")


def test_one_broker_alone_has_no_ratio() -> None:
    report = a_report()
    del report.brokers[1]

    assert list(figures_table(report))[2] == "| produce | MB/s | 150 (100-200) |"


def test_a_bar_shows_its_worst_figure_and_what_was_not_measured() -> None:
    report = a_report()
    slow = report.figure("produce slowly", "MB/s", HIGHER, "produce")
    slow.values = {"pykbroker": [99.9], "kafka": [100.0]}
    lines = list(bars_table(report))

    assert "| throughput of produce | >= 1 | 0.99 | 1 of 2 |" in lines
    assert "| broker CPU per GB, produce | <= 0.5 | 0.56 | NO |" in lines
    assert "| throughput of fetch | >= 1 | not measured |  |" in lines


def test_the_head_says_what_each_broker_promises() -> None:
    text = "\n".join(head(a_report()))

    assert "`python -m compat.bench`, 2026-01-02 03:04 UTC. 2 processors." in text
    assert "- Apache Kafka 4.3.1: page cache" in text
