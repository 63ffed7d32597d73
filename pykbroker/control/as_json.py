"""Rules and taps as the control interface tells them; what they do not say is left out."""

from typing import Any

from pykbroker.faults.matching import Match
from pykbroker.faults.rules import End, Fault, Limits, Rule
from pykbroker.tap.taps import Tap

_CLOSES = {End.CLOSE_BEFORE: "before", End.CLOSE_AFTER: "after"}


def match_as_json(match: Match) -> dict[str, Any]:
    """Return which requests are chosen, as `MATCH` describes it."""
    return _said(
        {
            "api": None if match.apis is None else sorted(api.display_name for api in match.apis),
            "client_id": match.client_id,
            "topic": match.topic,
            "partition": match.partition,
            "group": match.group,
            "transactional_id": match.transactional_id,
            "spared_client": match.spared_client,
        }
    )


def fault_as_json(fault: Fault) -> dict[str, Any]:
    """Return what requests get, as `RULE` describes it."""
    return _said(
        {
            "error": None if fault.error is None else fault.error.name,
            "after_effect": fault.after_effect or None,
            "close": None if fault.end is None else _CLOSES.get(fault.end),
            "lose_answer": fault.end is End.LOSE_ANSWER or None,
            "delay_ms": fault.delay_ms or None,
            "throttle_ms": fault.throttle_ms or None,
            "read_bytes_per_s": fault.read_bytes_per_s or None,
        }
    )


def limits_as_json(limits: Limits) -> dict[str, Any]:
    """Return which of the chosen requests get it, as `RULE` describes it, save its time."""
    return _said(
        {
            "first": limits.first,
            "times": limits.times,
            "probability": limits.probability,
            "seed": limits.seed,
        }
    )


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as `RULE_IN_FORCE` describes it."""
    counted = {"id": rule.id, "matched": rule.matched, "applied": rule.applied}
    told = match_as_json(rule.match), limits_as_json(rule.limits), fault_as_json(rule.fault)
    return counted | told[0] | told[1] | told[2]


def tap_as_json(tap: Tap) -> dict[str, Any]:
    """Return a tap as `TAP_OPENED` describes it."""
    return {"id": tap.id, "told": tap.told, "last": tap.last} | match_as_json(tap.match)


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
