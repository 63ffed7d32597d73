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


def test_rules_are_those_of_a_broker_in_this_process() -> None:
    assert len(BaseBroker(None, port=0, process=False).rules) == 0
    with pytest.raises(RuntimeError, match="process of its own"):
        _ = BaseBroker(None, port=0, process=True).rules
