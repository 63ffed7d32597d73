import pytest

from pykbroker.testing.base import BaseBroker


@pytest.mark.parametrize("process", [False, True])
def test_before_its_start_there_is_only_a_log(process: bool) -> None:
    broker = BaseBroker(None, port=0, process=process)

    assert repr(broker) == "<BaseBroker not running>"
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = broker.port
    if not process:
        assert broker.log == ""


@pytest.mark.parametrize("process", [False, True])
def test_before_its_start_there_are_no_rules_and_taps(process: bool) -> None:
    broker = BaseBroker(None, port=0, process=process)
    assert (list(broker.rules), list(broker.taps)) == ([], [])
    if process:
        with pytest.raises(RuntimeError, match="the broker does not run"):
            broker.rules.add(delay_ms=1)
