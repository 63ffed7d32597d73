"""kafka-clients: the scenarios of `Faults.java`, in one JVM."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from compat.faults_over_http.conftest import ControlledBroker
from compat.jvm import JavaTools
from compat.runtimes import require
from compat.targets import TargetUnavailable

FOLDER = Path(__file__).parent
SCENARIOS = (
    "anErrorThatPassesIsTriedAgain",
    "aRefusalForGoodIsNotTriedAgain",
    "anAnswerLostAfterTheAppendIsNoSecondRecord",
    "withoutIdempotenceItIsASecondRecord",
    "aConnectionClosedAfterEndTxnCommitsOnce",
    "aProducerFencedAfterEndTxnHasCommitted",
    "aTransactionThatHasTimedOutIsGone",
    "aFullDiskTakesRecordsAgainWhenThereIsRoom",
    "aBrokerThatIsAwayForAWhile",
    "aMemberCutOffUntilItsSessionHasExpiredJoinsAgain",
    "aCoordinatorThatMovesKeepsWhatWasCommitted",
)


class Jvm:
    """A JVM for all scenarios; a new one after a scenario that did not come to its end."""

    def __init__(self) -> None:
        self._tools: JavaTools | None = None

    def run(self, *arguments: str) -> list[str]:
        if self._tools is None or not self._tools.is_running:
            self._tools = JavaTools(None, *sorted(FOLDER.glob("*.java")))
        call = self._tools.run("Faults", *arguments)
        assert call.status == 0, call.describe()
        return call.out

    def close(self) -> None:
        if self._tools is not None and self._tools.is_running:
            self._tools.close()


@pytest.fixture(scope="session")
def jvm() -> Iterator[Jvm]:
    require("javac")
    found = Jvm()
    yield found
    found.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_kafka_clients(scenario: str, jvm: Jvm, controlled_broker: ControlledBroker) -> None:
    topic = f"orders-{uuid4()}"
    try:
        said = jvm.run(scenario, controlled_broker.address, controlled_broker.control, topic)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    assert said[-1] == f"done {scenario}"
