from pykbroker.request_memory import RequestMemory


def test_memory_is_given_until_the_limit_is_reached_and_again_when_it_is_free() -> None:
    memory = RequestMemory(lambda: 100)
    resumed: list[str] = []
    # The last reservation may exceed the limit: one request always gets through.
    assert memory.reserve(60, lambda: resumed.append("a"))
    assert memory.reserve(60, lambda: resumed.append("b"))
    assert not memory.reserve(10, lambda: resumed.append("c"))
    assert not memory.reserve(10, lambda: resumed.append("d"))
    assert memory.waiting == 2

    memory.release(60)

    assert resumed == ["c", "d"]
    assert memory.waiting == 0
    assert memory.reserved_bytes == 60


def test_those_who_wait_are_resumed_in_order_and_only_while_there_is_memory() -> None:
    memory = RequestMemory(lambda: 100)
    resumed: list[str] = []

    def retry(name: str) -> None:
        resumed.append(name)
        assert memory.reserve(100, lambda: None)

    assert memory.reserve(100, lambda: None)
    assert not memory.reserve(100, lambda: retry("first"))
    assert not memory.reserve(100, lambda: retry("second"))

    memory.release(100)
    assert resumed == ["first"]
    memory.release(100)
    assert resumed == ["first", "second"]


def test_a_negative_limit_is_none() -> None:
    memory = RequestMemory(lambda: -1)
    assert all(memory.reserve(1 << 30, lambda: None) for _ in range(100))
