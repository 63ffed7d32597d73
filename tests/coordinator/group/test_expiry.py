from __future__ import annotations

from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.protocol.errors import ErrorCode
from tests.harness.groups import ShardDriver, a_commit, a_join, a_txn_commit

RETENTION_MS = 100_000
PRODUCER = 4
ID, OTHER_ID = b"i" * 16, b"j" * 16


def a_driver() -> ShardDriver:
    return ShardDriver(GroupSettings(offsets_retention_ms=RETENTION_MS))


def check(driver: ShardDriver) -> None:
    driver.run(driver.shard.expire_offsets)


def keep_alive(driver: ShardDriver, member_id: str, ms: int) -> None:
    for _ in range(ms // 5_000):
        driver.advance(5_000)
        driver.heartbeat(member_id, 1)


def test_offsets_of_a_simple_group_expire_since_their_commit() -> None:
    driver = a_driver()
    driver.commit(a_commit({("t", 0): 1}))
    driver.advance(RETENTION_MS - 1)
    driver.commit(a_commit({("t", 1): 1}))
    check(driver)
    assert driver.committed("t", 0) == 1
    driver.advance(1)
    check(driver)
    assert (driver.committed("t", 0), driver.committed("t", 1)) == (-1, 1)
    driver.advance(RETENTION_MS)
    check(driver)
    assert driver.shard.groups == {}
    assert driver.restarted().shard.groups == {}


def test_offsets_of_a_group_expire_since_the_last_member_went() -> None:
    driver = a_driver()
    (member_id,) = driver.stable_group("c")
    driver.commit(a_commit({("t", 0): 1}, member_id=member_id, generation_id=1))
    keep_alive(driver, member_id, 2 * RETENTION_MS)
    driver.leave((member_id, None))
    check(driver)
    driver.advance(RETENTION_MS - 1)
    check(driver)
    assert driver.committed("t", 0) == 1
    driver.advance(1)
    check(driver)
    assert driver.shard.groups == {}


def test_without_a_state_timestamp_offsets_expire_since_their_commit() -> None:
    driver = a_driver()
    (member_id,) = driver.stable_group("c")
    driver.leave((member_id, None))
    driver.commit(a_commit({("t", 0): 1}))
    driver.group().state_timestamp_ms = -1  # as a record of version 0 or 1 loads
    driver.advance(RETENTION_MS - 1)
    check(driver)
    assert driver.committed("t", 0) == 1
    driver.advance(1)
    check(driver)
    assert driver.committed("t", 0) == -1


def test_consumers_keep_the_offsets_of_their_topics_and_lose_others() -> None:
    driver = a_driver()
    (member_id,) = driver.stable_group("c")
    driver.commit(a_commit({("t", 0): 1, ("u", 0): 2}, member_id=member_id, generation_id=1))
    keep_alive(driver, member_id, RETENTION_MS)
    check(driver)
    assert (driver.committed("t", 0), driver.committed("u", 0)) == (1, -1)


def test_nothing_expires_during_a_rebalance_or_for_opaque_members() -> None:
    driver = a_driver()
    driver.commit(a_commit({("t", 0): 1}))
    driver.send_join_twice(a_join(rebalance_timeout_ms=10 * RETENTION_MS))
    driver.now_ms += 2 * RETENTION_MS
    check(driver)
    assert driver.committed("t", 0) == 1

    opaque = a_driver()
    opaque.commit(a_commit({("t", 0): 1}))
    opaque.stable_group("c", protocol_type="connect")
    opaque.now_ms += 2 * RETENTION_MS
    check(opaque)
    assert opaque.committed("t", 0) == 1


def test_an_open_transaction_keeps_offset_and_group() -> None:
    driver = a_driver()
    driver.commit(a_commit({("t", 0): 1}))
    driver.commit_in_transaction(a_txn_commit({("t", 0): 6}))
    driver.advance(2 * RETENTION_MS)
    check(driver)
    assert driver.committed("t", 0) == 1
    driver.end_transaction(PRODUCER, is_commit=False)
    check(driver)
    assert driver.shard.groups == {}


def test_a_group_that_has_only_pending_offsets_stays_until_they_are_aborted() -> None:
    driver = a_driver()
    driver.commit_in_transaction(a_txn_commit({("t", 0): 6}))
    driver.advance(2 * RETENTION_MS)
    check(driver)
    assert driver.fetch("t", 0).error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT
    driver.end_transaction(PRODUCER, is_commit=False)
    check(driver)
    assert driver.shard.groups == {}


def test_what_is_pending_for_a_deleted_topic_goes_with_it() -> None:
    driver = a_driver()
    driver.commit(a_commit({("t", 0): 1}))
    driver.commit_in_transaction(a_txn_commit({("t", 0): 6, ("t", 1): 6, ("u", 0): 6}))
    written = len(driver.log)
    driver.run(lambda step: driver.shard.forget_topics(step, [("t", ID)]))
    assert len(driver.log) == written + 2
    driver.end_transaction(PRODUCER, is_commit=True)
    assert list(driver.shard.offsets.partitions("g")) == [("u", 0)]


def test_a_group_whose_member_is_on_the_way_back_is_kept() -> None:
    driver = a_driver()
    driver.join(a_join())
    check(driver)
    assert "g" in driver.shard.groups
    driver.advance(10_000)
    check(driver)
    assert driver.shard.groups == {}


def test_offsets_of_a_deleted_topic_go_and_those_of_its_successor_stay() -> None:
    driver = a_driver()
    for group_id, topic_id in (("g", ID), ("h", OTHER_ID)):
        request = a_commit({("t", 0): 1, ("u", 0): 2}, group_id=group_id)
        request.topics[0].topic_id = topic_id
        driver.commit(request)
    driver.run(lambda step: driver.shard.forget_topics(step, [("t", ID)]))
    assert (driver.committed("t", 0, "g"), driver.committed("u", 0, "g")) == (-1, 2)
    assert driver.committed("t", 0, "h") == 1
