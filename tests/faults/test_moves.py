from pathlib import Path
from typing import Any

import pytest

from pykbroker.faults.matching import Asked, Item
from pykbroker.faults.moves import change_leader, move_coordinator
from pykbroker.faults.rules import RuleError, Rules
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from tests.harness.broker import a_broker
from tests.harness.loop import run


class Clock:
    now_s = 100.0


def code_of(rules: Rules, api: ApiKey, **item: Any) -> ErrorCode | None:
    verdict = rules.decide(Asked(api, "c", [Item(**item)]))
    return None if verdict is None else verdict.failing[0].code


def test_a_group_has_no_coordinator_for_a_while() -> None:
    clock = Clock()
    rules = Rules(monotonic_s=lambda: clock.now_s)
    move_coordinator(rules, group="g", for_s=2)
    for api, code in (
        (ApiKey.FIND_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ApiKey.JOIN_GROUP, ErrorCode.NOT_COORDINATOR),
        (ApiKey.TXN_OFFSET_COMMIT, ErrorCode.NOT_COORDINATOR),
        (ApiKey.END_TXN, None),
    ):
        assert code_of(rules, api, group="g", transactional_id="x") == code
    assert code_of(rules, ApiKey.HEARTBEAT, group="other") is None
    clock.now_s += 2
    assert code_of(rules, ApiKey.HEARTBEAT, group="g") is None
    assert len(rules) == 0


def test_a_transactional_id_has_no_coordinator_for_a_while() -> None:
    rules = Rules()
    move_coordinator(rules, transactional_id="x", for_s=60)
    for api, code in (
        (ApiKey.FIND_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ApiKey.END_TXN, ErrorCode.NOT_COORDINATOR),
        (ApiKey.TXN_OFFSET_COMMIT, None),
        (ApiKey.PRODUCE, None),
    ):
        assert code_of(rules, api, transactional_id="x") == code


@pytest.mark.parametrize("ids", [{}, {"group": "g", "transactional_id": "x"}])
def test_a_coordinator_is_that_of_one_thing(ids: dict[str, str]) -> None:
    with pytest.raises(RuleError):
        move_coordinator(Rules(), **ids, for_s=1)


def test_a_partition_has_no_leader_for_a_while_and_then_a_new_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_broker(tmp_path) as broker:
            await broker.create_topic("t", partitions=2)
            rules, metadata = Rules(), broker.broker.metadata
            await change_leader(rules, metadata, "t", 1, for_s=60)
            assert [each.leader_epoch for each in broker.image.topics["t"].partitions] == [0, 1]
            assert broker.log("t", 1).leader_epoch == 1
            for api, code in (
                (ApiKey.METADATA, ErrorCode.LEADER_NOT_AVAILABLE),
                (ApiKey.PRODUCE, ErrorCode.NOT_LEADER_OR_FOLLOWER),
                (ApiKey.FETCH, ErrorCode.NOT_LEADER_OR_FOLLOWER),
            ):
                assert code_of(rules, api, topic="t", partition=1) == code
                assert code_of(rules, api, topic="t", partition=0) is None
            with pytest.raises(RuleError, match="no partition t-2"):
                await change_leader(rules, metadata, "t", 2, for_s=1)

    run(main())
