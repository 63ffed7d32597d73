import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError
from tests.harness.consumer_groups import Consumer, a_driver, topics


def test_an_expression_of_another_member_is_resolved_already() -> None:
    driver = a_driver(t1=2)
    Consumer(driver, "a", regex="t.*").join()
    driver.advance(0)
    second = Consumer(driver, "b", regex="t.*")
    assert second.join().member_epoch == 3
    assert driver.timers.keys() >= {("session", "g", "b")}
    assert not driver.computations


def test_an_expression_that_is_none_is_refused() -> None:
    driver = a_driver()
    with pytest.raises(KafkaError) as refusal:
        Consumer(driver, "a", regex="(").join()
    assert refusal.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert driver.shard.groups == {}


def test_an_expression_may_be_given_up_and_be_joined_by_names() -> None:
    driver = a_driver(t1=1, u=1)
    member = Consumer(driver, "a", regex="t.*")
    member.join(subscribed_topic_names=["u"])
    driver.advance(0)
    member.beat()
    assert member.has() == {"t1": [0], "u": [0]}
    member.beat(subscribed_topic_regex="")
    assert member.has() == {"u": [0]}
    assert driver.consumer_group().resolved_regexes == {}


def test_expressions_are_resolved_again_in_time() -> None:
    driver = a_driver(t1=1)
    member = Consumer(driver, "a", regex="t.*")
    member.join()
    driver.advance(0)
    refresh_ms = driver.settings.consumer.regex_refresh_interval_ms
    for _ in range(refresh_ms // 40_000 + 1):
        driver.advance(40_000)
        member.beat()
    resolved = driver.consumer_group().resolved_regexes["t.*"]
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes["t.*"].timestamp_ms > resolved.timestamp_ms


def test_a_resolution_that_cannot_be_written_is_made_again() -> None:
    driver = a_driver(t1=1)
    member = Consumer(driver, "a", regex="t.*")
    member.join()
    driver.failing_appends = ErrorCode.NOT_COORDINATOR
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes == {}
    member.beat()
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes["t.*"].topics == {"t1"}


def test_an_expression_that_comes_while_others_are_resolved_has_its_turn_afterwards() -> None:
    driver = a_driver(t1=1, u1=1)
    first = Consumer(driver, "a", regex="t.*")
    first.join()
    first.beat()
    second = Consumer(driver, "b", regex="u.*")
    second.join()
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes.keys() == {"t.*"}
    driver.advance(10_001)
    second.beat()
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes.keys() == {"t.*", "u.*"}


def test_new_topics_are_found_although_the_others_are_being_resolved() -> None:
    driver = a_driver(t1=1)
    member = Consumer(driver, "a", regex="t.*")
    member.join()
    member.beat()
    driver.topics = topics(t1=1, t2=1)
    driver.shard.topics_changed(has_new=True)
    driver.advance(0)
    driver.advance(10_001)
    member.beat()
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes["t.*"].topics == {"t1", "t2"}


def test_a_computation_that_failed_is_made_again() -> None:
    driver = a_driver(t1=1)
    member = Consumer(driver, "a", regex="t.*")
    member.join()
    member.beat()
    driver.computations.clear()
    driver.run(lambda step: driver.shard.computed(step, ("regex", "g"), None))
    member.beat()
    driver.advance(0)
    assert driver.consumer_group().resolved_regexes["t.*"].topics == {"t1"}


def test_a_topic_that_the_members_name_may_change_while_an_expression_is_resolved() -> None:
    driver = a_driver(t1=1)
    member = Consumer(driver, "a", "t1", regex="u.*")
    member.join()
    driver.topics = topics(t1=2)
    driver.advance(0)
    assert driver.consumer_group().group_epoch == 3
    member.beat()
    assert member.has() == {"t1": [0, 1]}
