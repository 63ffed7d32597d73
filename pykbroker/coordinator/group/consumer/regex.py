"""Subscriptions by regular expression: which topics a group's expressions match.

They are resolved beside the loop, for it may take long, all of a group at once, and written down:
the heartbeat that brings a new expression is answered before. They are resolved again when there
are new topics and every `group.consumer.regex.refresh.interval.ms`, but never more often than every
ten seconds.

Source: KIP-848, KIP-1013; Kafka's GroupMetadataManager and TopicRegexResolver.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final

from pykbroker.coordinator.group.consumer.consumer_group import ConsumerGroup, ResolvedRegex
from pykbroker.coordinator.group.consumer.group_epoch import bump_epoch, set_metadata_checked
from pykbroker.coordinator.group.consumer.member import ConsumerMember
from pykbroker.coordinator.group.consumer.records import regex_record, regex_tombstone
from pykbroker.coordinator.group.metadata_hash import metadata_hash
from pykbroker.coordinator.group.regex import check_pattern, resolve
from pykbroker.coordinator.group.step import Step, regex_computation

MIN_REFRESH_INTERVAL_MS: Final = 10_000
# The metadata has no version of its own here; whether topics have come since is soft state.
NO_METADATA_VERSION: Final = 0


@dataclass(slots=True, frozen=True)
class Resolution:
    """Which of the names each of the expressions matches."""

    names: Sequence[str]
    topics: Mapping[str, frozenset[str]]


@dataclass(slots=True, frozen=True)
class ResolveAgain:
    """The group whose resolved expressions could not be written."""

    group_id: str


class RegexChange(Enum):
    """What a heartbeat did to its member's regular expression."""

    NONE = auto()
    CHANGED = auto()
    CHANGED_AND_RESOLVED = auto()


def update_regexes(
    group: ConsumerGroup, step: Step, member: ConsumerMember, updated: ConsumerMember
) -> RegexChange:
    """Note a member's new expression, and have the group's expressions resolved if it is time.

    Raises:
        KafkaError: INVALID_REGULAR_EXPRESSION.
    """
    old, new = member.subscribed_topic_regex, updated.subscribed_topic_regex
    change = RegexChange.NONE
    needs_refresh = False
    if old != new:
        change = RegexChange.CHANGED
        if old and group.regex_counts[old] == 1:
            step.records.append(regex_tombstone(group.group_id, old))
        if not new:
            change = RegexChange.CHANGED_AND_RESOLVED
        elif new not in group.regex_counts:
            check_pattern(new)
            needs_refresh = True
        elif new in group.resolved_regexes:
            change = RegexChange.CHANGED_AND_RESOLVED

    if old == new:
        wanted = frozenset(group.regex_counts)
    else:
        wanted = frozenset(m.subscribed_topic_regex for m in group.members_with(updated)) - {""}
    if not wanted or step.now_ms <= group.last_resolved_ms() + MIN_REFRESH_INTERVAL_MS:
        return change
    interval_ms = step.settings.consumer.regex_refresh_interval_ms
    needs_refresh |= (
        len(wanted) != len(group.resolved_regexes)
        or group.regexes_are_stale
        or step.now_ms > group.last_resolved_ms() + interval_ms
    )
    if needs_refresh and not group.resolves_regexes:
        group.resolves_regexes = True
        names = tuple(step.topics.topics)
        step.compute(regex_computation(group.group_id), partial(_resolve_all, wanted, names))
    return change


def _resolve_all(regexes: frozenset[str], names: Sequence[str]) -> Resolution:
    return Resolution(names, {regex: resolve(regex, names) for regex in regexes})


def take_resolution(group: ConsumerGroup, step: Step, resolution: Resolution) -> None:
    """Write down the topics of a group's expressions, and bump the group epoch if they differ.

    Those that came while the others were resolved have their turn with the next heartbeat.
    """
    group.regexes_are_stale = step.topics.topics.keys() != set(resolution.names)
    step.if_append_fails = ResolveAgain(group.group_id)
    has_changed = False
    resolved_topics = {regex: known.topics for regex, known in group.resolved_regexes.items()}
    for regex in sorted(resolution.topics.keys() & group.regex_counts.keys()):
        topics = resolution.topics[regex]
        resolved_topics[regex] = topics
        known = group.resolved_regexes.get(regex, ResolvedRegex())
        has_changed |= known.topics != topics
        resolved = ResolvedRegex(topics, NO_METADATA_VERSION, step.now_ms)
        step.records.append(regex_record(group.group_id, regex, resolved))

    names: set[str] = set()
    for member in group.members.values():
        names |= member.subscribed_topic_names
        names |= resolved_topics.get(member.subscribed_topic_regex, frozenset())
    current_hash = metadata_hash(names, step.topics)
    if has_changed or current_hash != group.metadata_hash:
        bump_epoch(group, step, group.group_epoch + 1, current_hash)
        set_metadata_checked(group, step, group.group_epoch + 1)
