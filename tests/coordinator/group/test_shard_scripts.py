"""Golden scripts: what a group does, told as a story.

A script is blocks of commands, `---`, and all the effects that they had. Run with
PYKBROKER_REWRITE=1 to write the effects anew; read the difference before you commit it.

    join NAME [id=ID] [instance=I] [protocols=a,b] [topics=t,u] [version=N] [session=10s] [...]
    sync NAME [NAME=ASSIGNMENT ...]     heartbeat NAME     leave NAME ...     remove INSTANCE
    commit NAME|- TOPIC/PARTITION=OFFSET ...               fetch TOPIC/PARTITION ...
    advance 45s     restart     fail     set SETTING VALUE     retention

A NAME is a client; its member id is the newest that it was told.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pykbroker.coordinator.group.step import GroupSettings
from pykbroker.coordinator.transition import SetTimer, Transition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.group_metadata_record import GroupMetadataValue
from pykbroker.protocol.messages.join_group import JoinGroupResponse
from pykbroker.protocol.messages.offset_commit_record import OffsetCommitKey, OffsetCommitValue
from tests.harness.groups import ShardDriver, a_commit, a_join, a_subscription

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
REWRITE = os.environ.get("PYKBROKER_REWRITE") == "1"


def _ms(text: str) -> int:
    for unit, factor in (
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ):
        if text.endswith(unit) and text[: -len(unit)].isdigit():
            return int(text[: -len(unit)]) * factor
    return int(text)


def _time(ms: int) -> str:
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


class Story:
    """Runs the commands of one script and tells their effects."""

    def __init__(self) -> None:
        self.driver = ShardDriver()
        self.member_ids: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.senders: dict[int, str] = {}

    def run(self, command: str) -> list[str]:
        verb, *words = command.split()
        lines: list[str] = []
        self.driver.transitions.clear()
        try:
            result = getattr(self, f"do_{verb}")(*words)
        except KafkaError as error:
            result = error.code.name
        for transition in self.driver.transitions:
            lines += self._effects(transition)
        if result is not None:
            lines.append(f"{verb}: {result}")
        return lines

    def _effects(self, transition: Transition[Any]) -> list[str]:
        lines = [f"log {event}" for event in transition.events]
        for record in transition.records:
            lines.append(f"record {self._record(record.key, record.value)}")
        for timer in transition.timers:
            name = "/".join((timer.key[0], *timer.key[2:]))
            if isinstance(timer, SetTimer):
                lines.append(f"timer {name} {_time(timer.delay_ms)}")
            else:
                lines.append(f"cancel {name}")
        for answer in transition.answers:
            sender = self.senders[answer.token]
            lines.append(f"answer {sender}: {self._answer(sender, answer.response)}")
        return lines

    def _record(self, key: Any, value: Any) -> str:
        if isinstance(key, OffsetCommitKey):
            place = f"offset {key.topic}/{key.partition}"
            if value is None:
                return f"{place} tombstone"
            assert isinstance(value, OffsetCommitValue)
            return f"{place} = {value.offset} expires={value.expire_timestamp}"
        if value is None:
            return f"group {key.group} tombstone"
        assert isinstance(value, GroupMetadataValue)
        members = " ".join(f"{m.member_id}:{m.assignment.decode()}" for m in value.members)
        return (
            f"group {key.group} generation={value.generation} type={value.protocol_type!r} "
            f"protocol={value.protocol} leader={value.leader} members=[{members}]"
        )

    def _answer(self, sender: str, response: Any) -> str:
        code = ErrorCode(response.error_code).name
        if isinstance(response, JoinGroupResponse):
            if response.member_id:
                self.member_ids[sender] = response.member_id
            if response.generation_id >= 0:
                self.generations[sender] = response.generation_id
            members = " ".join(member.member_id for member in response.members)
            skip = " skip_assignment" if response.skip_assignment else ""
            return (
                f"join {code} member={response.member_id} generation={response.generation_id} "
                f"protocol={response.protocol_name} leader={response.leader} "
                f"members=[{members}]{skip}"
            )
        return f"sync {code} assignment={response.assignment.decode()!r}"

    def state(self) -> str:
        group = self.driver.classic_groups().get("g")
        if group is None:
            return "state none"
        members = " ".join(
            f"{'*' if m.member_id == group.leader_id else ''}{m.member_id}"
            f"{'(joining)' if m.awaiting_join is not None else ''}"
            f"{'(syncing)' if m.awaiting_sync is not None else ''}"
            for m in group.members.values()
        )
        pending = " pending=" + ",".join(sorted(group.pending_joins)) if group.pending_joins else ""
        return f"state {group.state.value} generation={group.generation_id} [{members}]{pending}"

    # Commands

    def do_join(self, name: str, *options: str) -> None:
        given = dict(option.split("=", 1) for option in options)
        topics = given.get("topics", "t").split(",")
        names = given.get("protocols", "range").split(",")
        request = a_join(
            member_id=given.get("id", self.member_ids.get(name, "")),
            instance_id=given.get("instance"),
            protocols={n: a_subscription(*topics) for n in names if n},
            protocol_type=given.get("type", "consumer"),
            session_timeout_ms=_ms(given.get("session", "10s")),
            rebalance_timeout_ms=_ms(given.get("rebalance", "30s")),
            reason=given.get("reason"),
        )
        self.senders[self._next_token()] = name
        self.driver.send_join(request, name, int(given.get("version", "9")))

    def do_sync(self, name: str, *assignments: str) -> None:
        given = dict(assignment.split("=", 1) for assignment in assignments)
        generation_id = int(given.pop("generation", self.generations.get(name, -1)))
        self.senders[self._next_token()] = name
        self.driver.send_sync(
            self.member_ids[name],
            generation_id,
            {self.member_ids[member]: data.encode() for member, data in given.items()},
        )

    def do_heartbeat(self, name: str) -> str:
        return self.driver.heartbeat(self.member_ids[name], self.generations.get(name, -1)).name

    def do_leave(self, *names: str) -> str:
        codes = self.driver.leave(*((self.member_ids[name], None) for name in names))
        return " ".join(code.name for code in codes)

    def do_remove(self, instance_id: str) -> str:
        (code,) = self.driver.leave(("", instance_id))
        return code.name

    def do_commit(self, name: str, *offsets: str) -> str:
        parsed = {}
        retention_ms = -1
        for offset in offsets:
            place, value = offset.split("=")
            if place == "retention":
                retention_ms = _ms(value)
                continue
            topic, partition = place.split("/")
            parsed[topic, int(partition)] = int(value)
        request = a_commit(
            parsed,
            member_id="" if name == "-" else self.member_ids[name],
            generation_id=-1 if name == "-" else self.generations[name],
            retention_ms=retention_ms,
        )
        return self.driver.commit(request).name

    def do_fetch(self, *places: str) -> str:
        found = []
        for place in places:
            topic, partition = place.split("/")
            found.append(f"{place}={self.driver.committed(topic, int(partition))}")
        return " ".join(found)

    def do_advance(self, duration: str) -> None:
        self.driver.advance(_ms(duration))

    def do_restart(self) -> None:
        self.driver = self.driver.restarted()

    def do_retention(self) -> None:
        self.driver.run(self.driver.shard.expire_offsets)

    def do_fail(self) -> None:
        self.driver.failing_appends = ErrorCode.NOT_COORDINATOR

    def do_set(self, setting: str, value: str) -> None:
        fields: dict[str, Any] = {setting: _ms(value)}
        self.driver.settings = replace(GroupSettings(), **fields)

    def _next_token(self) -> int:
        return len(self.senders) + 1


def perform(script: str) -> str:
    """Return the script with the effects that its commands really have."""
    story = Story()
    blocks = []
    for block in script.strip().split("\n\n"):
        lines = block.split("\n")
        commands = lines[: lines.index("---")] if "---" in lines else lines
        effects: list[str] = []
        for command in commands:
            if not command.startswith("#"):
                effects += story.run(command)
        if any(not command.startswith("#") for command in commands):
            blocks.append("\n".join([*commands, "---", *effects, story.state()]))
        else:
            blocks.append("\n".join(commands))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_group_behaves_as_its_script_says(path: Path) -> None:
    script = path.read_text()
    performed = perform(script)
    if REWRITE:
        path.write_text(performed)
    assert performed == path.read_text()
