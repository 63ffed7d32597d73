from pykbroker.protocol.errors import ErrorCode
from tests.harness.consumer_groups import Consumer, a_driver
from tests.harness.groups import a_join

UNKNOWN = ErrorCode.UNKNOWN_MEMBER_ID


def test_members_go_by_member_id_or_by_instance_id() -> None:
    driver = a_driver(t=2)
    for name, instance_id in (("a", None), ("b", "i"), ("c", None)):
        Consumer(driver, name, "t", instance_id=instance_id).join()
    codes = driver.leave(("x", None), ("x", "i"), ("", "j"), ("", "i"), ("c", None))
    assert codes == [UNKNOWN, ErrorCode.FENCED_INSTANCE_ID, UNKNOWN, *[ErrorCode.NONE] * 2]
    assert list(driver.consumer_group().members) == ["a"]
    assert driver.consumer_group().group_epoch == 5


def test_the_last_classic_member_leaves_to_the_consumers() -> None:
    driver = a_driver(t=2)
    consumer = Consumer(driver, "a", "t")
    consumer.join()
    classic_id = driver.answers[driver.send_join_twice(a_join())].member_id
    assert driver.leave((classic_id, None)) == [ErrorCode.NONE]
    consumer.beat()
    assert consumer.has() == {"t": [0, 1]}
    assert driver.leave(("x", None)) == [UNKNOWN]
    assert driver.consumer_group().group_epoch == 4
