"""Golden scripts of consumer groups: commands, `---`, and all the effects that they had.

    topics t=4 u=2      what topics there are from now on
    join NAME [topics=t,u] [regex=R] [instance=I] [assignor=A] [rebalance=60s]
    beat NAME     confirm NAME     subscribe NAME t,u     leave NAME     absent NAME
    commit NAME|- TOPIC/PARTITION=OFFSET     advance 45s     restart     fail

A NAME is a client and its member id; `confirm` tells what the client was told to have.
"""

from __future__ import annotations

from typing import Any

from pykbroker.coordinator.transition import SetTimer, Transition
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatResponse
from tests.harness.consumer_groups import Consumer, a_driver, topic_id, topics
from tests.harness.groups import a_commit

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def _ms(text: str) -> int:
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _UNITS[unit]


def _partitions(entries: list[Any]) -> str:
    told = (
        f"{entry.topic_id.rstrip(b'-').decode()}{sorted(entry.partitions)}" for entry in entries
    )
    return "".join(sorted(told)) or "nothing"


class Story:
    """Runs the commands of one script and tells their effects."""

    def __init__(self) -> None:
        self.driver = a_driver()
        self.clients: dict[str, Consumer] = {}

    def perform(self, script: str) -> str:
        """Return the script with the effects that its commands really have."""
        blocks = []
        for block in script.strip().split("\n\n"):
            lines = block.split("\n")
            commands = lines[: lines.index("---")] if "---" in lines else lines
            effects = [e for c in commands if not c.startswith("#") for e in self.run(c)]
            if all(command.startswith("#") for command in commands):
                blocks.append("\n".join(commands))
            else:
                blocks.append("\n".join([*commands, "---", *effects, self.state()]))
        return "\n\n".join(blocks) + "\n"

    def run(self, command: str) -> list[str]:
        verb, *words = command.split()
        self.driver.transitions.clear()
        try:
            result = getattr(self, f"do_{verb}")(*words)
        except KafkaError as error:
            result = error.code.name
        lines = [line for each in self.driver.transitions for line in self._effects(each)]
        if isinstance(result, ConsumerGroupHeartbeatResponse):
            told = "" if result.assignment is None else " may have "
            if result.assignment is not None:
                told += _partitions(result.assignment.topic_partitions)
            result = f"epoch={result.member_epoch}{told}"
        return lines if result is None else [*lines, f"{command}: {result}"]

    def _effects(self, transition: Transition[Any]) -> list[str]:
        lines = [f"log {event}" for event in transition.events]
        lines += [self._record(record.key, record.value) for record in transition.records]
        lines += [f"compute {computation.key[0]}" for computation in transition.computations]
        for timer in transition.timers:
            name = "/".join((timer.key[0], *timer.key[2:]))
            if isinstance(timer, SetTimer):
                lines.append(f"timer {name} {timer.delay_ms // 1000}s")
            else:
                lines.append(f"cancel {name}")
        return lines

    def _record(self, key: Any, value: Any) -> str:
        kind = type(key).__name__.removeprefix("ConsumerGroup").removesuffix("Key")
        words = [getattr(key, n) for n in ("member_id", "regular_expression") if hasattr(key, n)]
        name = " ".join(["record", kind, *words])
        if value is None:
            return f"{name} tombstone"
        shown = {
            "Metadata": lambda: f"epoch={value.epoch}",
            "MemberMetadata": lambda: f"topics={value.subscribed_topic_names}",
            "TargetAssignmentMetadata": lambda: f"epoch={value.assignment_epoch}",
            "TargetAssignmentMember": lambda: _partitions(value.topic_partitions),
            "CurrentMemberAssignment": lambda: (
                f"epoch={value.previous_member_epoch}->{value.member_epoch} state={value.state} "
                f"has {_partitions(value.assigned_partitions)} "
                f"gives up {_partitions(value.partitions_pending_revocation)}"
            ),
            "RegularExpression": lambda: f"topics={value.topics}",
        }
        return f"{name} {shown[kind]()}" if kind in shown else name

    def state(self) -> str:
        if "g" not in self.driver.shard.groups:
            return "state none"
        group = self.driver.consumer_group()
        members = " ".join(f"{m.member_id}@{m.member_epoch}" for m in group.members.values())
        return f"state {group.state.value} epoch={group.group_epoch} [{members}]"

    # Commands

    def do_topics(self, *counts: str) -> None:
        given = dict(count.split("=") for count in counts)
        self.driver.topics = topics(**{name: int(count) for name, count in given.items()})
        self.driver.shard.topics_changed(has_new=True)

    def do_join(self, name: str, *options: str) -> Any:
        given = dict(option.split("=", 1) for option in options)
        client = self.clients[name] = Consumer(
            self.driver,
            name,
            *given.get("topics", "").split(",") if "topics" in given else (),
            regex=given.get("regex"),
            instance_id=given.get("instance"),
        )
        return client.join(
            server_assignor=given.get("assignor"),
            rebalance_timeout_ms=_ms(given.get("rebalance", "60s")),
        )

    def do_beat(self, name: str) -> Any:
        return self.clients[name].beat()

    def do_confirm(self, name: str) -> Any:
        return self.clients[name].confirm()

    def do_subscribe(self, name: str, names: str) -> Any:
        return self.clients[name].beat(subscribed_topic_names=names.split(","))

    def do_leave(self, name: str) -> Any:
        return self.clients[name].leave()

    def do_absent(self, name: str) -> Any:
        return self.clients[name].leave(-2)

    def do_commit(self, name: str, offset: str) -> str:
        place, value = offset.split("=")
        topic, index = place.split("/")
        client = self.clients.get(name)
        request = a_commit(
            {(topic, int(index)): int(value)},
            member_id="" if client is None else client.member_id,
            generation_id=-1 if client is None else client.epoch,
        )
        request.topics[0].topic_id = topic_id(topic)
        return self.driver.commit(request).name

    def do_advance(self, duration: str) -> None:
        self.driver.advance(_ms(duration))

    def do_restart(self) -> None:
        self.driver = self.driver.restarted()
        for client in self.clients.values():
            client.driver = self.driver

    def do_fail(self) -> None:
        self.driver.failing_appends = ErrorCode.NOT_COORDINATOR
