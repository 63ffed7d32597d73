import pytest

from pykbroker.faults.matching import Asked, Item, Match
from pykbroker.protocol.apis import ApiKey

ITEMS = [Item("orders", 0, transactional_id="x"), Item("orders", 1), Item("prices", 1, "g")]
PRODUCE = Asked(ApiKey.PRODUCE, "shop-1", ITEMS)


@pytest.mark.parametrize(
    ("match", "numbers"),
    [
        (Match(), [0, 1, 2]),
        (Match(frozenset({ApiKey.PRODUCE, ApiKey.FETCH})), [0, 1, 2]),
        (Match(frozenset({ApiKey.FETCH})), []),
        (Match(client_id="shop-1"), [0, 1, 2]),
        (Match(client_id="shop-*"), [0, 1, 2]),
        (Match(client_id="shop"), []),
        (Match(topic="orders"), [0, 1]),
        (Match(topic="*r*"), [0, 1, 2]),
        (Match(topic="ORDERS"), []),
        (Match(partition=1), [1, 2]),
        (Match(topic="orders", partition=1), [1]),
        (Match(group="g"), [2]),
        (Match(group="*"), [2]),
        (Match(transactional_id="x"), [0]),
        (Match(topic="orders", group="g"), []),
    ],
)
def test_a_match_is_for_items_of_requests(match: Match, numbers: list[int]) -> None:
    assert match.items(PRODUCE, ITEMS) == [ITEMS[number] for number in numbers]


def test_only_items_that_are_left_are_matched() -> None:
    assert Match(topic="orders").items(PRODUCE, ITEMS[1:]) == ITEMS[1:2]


def test_a_request_about_nothing_has_one_item_that_no_name_fits() -> None:
    asked = Asked(ApiKey.API_VERSIONS, "", [Item()])
    assert Match().items(asked, asked.items) == [Item()]
    assert Match(topic="*").items(asked, asked.items) == []


def test_one_client_is_spared_unless_it_is_named() -> None:
    asked = Asked(ApiKey.FETCH, "helper", [Item()])
    assert Match(spared_client="helper").items(asked, asked.items) == []
    assert Match(spared_client="helper", client_id="*").items(asked, asked.items) == []
    assert Match(spared_client="helper", client_id="helper").items(asked, asked.items) == [Item()]
    assert Match(spared_client="other").items(asked, asked.items) == [Item()]
