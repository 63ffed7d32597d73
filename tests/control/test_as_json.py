from pykbroker.control import schemas
from pykbroker.control.as_json import rule_as_json, tap_as_json
from pykbroker.faults.rules import Rules
from pykbroker.tap.taps import Taps


def test_a_rule_is_told_as_it_was_put_in_force() -> None:
    rule = Rules().add(["Fetch", "Produce"], topic="t", partition=0, close="after", first=3)
    told = rule_as_json(rule)
    schemas.check(told, schemas.RULE_IN_FORCE)
    assert told == {
        "id": 1,
        "matched": 0,
        "applied": 0,
        "api": ["Fetch", "Produce"],
        "topic": "t",
        "partition": 0,
        "first": 3,
        "probability": 1.0,
        "seed": 0,
        "close": "after",
    }


def test_a_tap_is_told_as_it_was_opened() -> None:
    told = tap_as_json(Taps().open("Fetch", group="g", spared_client="c", last=5))
    schemas.check(told, schemas.TAP_OPENED)
    assert told == {
        "id": 1,
        "told": 0,
        "last": 5,
        "api": ["Fetch"],
        "group": "g",
        "spared_client": "c",
    }
