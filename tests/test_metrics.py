from pykbroker.metrics import ApiMetrics, ConnectionMetrics


def test_errors_are_counted_by_code() -> None:
    metrics = ApiMetrics()
    for code in (3, 3, 42):
        metrics.count_error(code)
    assert metrics.errors == {3: 2, 42: 1}


def test_counters_start_at_zero() -> None:
    metrics = ConnectionMetrics()
    assert (metrics.accepted, metrics.refused, metrics.closed_for_bad_input) == (0, 0, 0)
