"""What groups ask of a broker all day: offset commits, and heartbeats of many members.

Loads for `load.py`. Members and their groups are those of `group_load.py`; each member has a
connection of its own.
"""

import resource
import select
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Final

from compat.bench.frames import frame, numbered
from compat.bench.group_load import HEARTBEAT_VERSION, Group, Member, find_coordinator
from compat.bench.meter import Reading, Window
from compat.bench.pipes import READ_BYTES, Pipe, connect, pump, read_answer
from pykbroker.client import COORDINATOR_ERRORS, Client
from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)

COMMIT_VERSION: Final = 8
RESPONSE_BODY: Final = 9
OFFSETS_PARTITIONS: Final = 50
OPEN_COMMITS: Final = 64
POLL_S: Final = 0.02
DEADLINE_S: Final = 120.0


def commit_frame(group: str, topic: str, partitions: Sequence[int]) -> bytes:
    """A commit by a group without members, as simple consumers and connectors do it."""
    wanted = [
        OffsetCommitRequestPartition(
            partition_index=index, committed_offset=1, committed_metadata=""
        )
        for index in partitions
    ]
    request = OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=-1,
        topics=[OffsetCommitRequestTopic(name=topic, partitions=wanted)],
    )
    return frame(request, COMMIT_VERSION)


def commit_offsets(
    address: str, pid: int, *, topic: str, groups: int, seconds: float, warm_up_s: float
) -> dict[str, float]:
    """Commits of one partition each, of as many groups as there are connections."""
    find_coordinator(address, "group-0")
    sockets = [connect(address) for _ in range(groups)]
    pieces = []
    sizes = set()
    for number, connection in enumerate(sockets):
        frames = [commit_frame(f"group-{number}", topic, [index]) for index in range(OPEN_COMMITS)]
        sizes.add(_check_committed(connection, frames[0]))
        pieces.append((numbered(frames), len(frames)))
    (answer_bytes,) = sizes
    window = Window(pid, warm_up_s, seconds, 1 << 60)
    pipes = [
        Pipe(connection, cycle([piece]), 2 * OPEN_COMMITS)
        for connection, piece in zip(sockets, pieces, strict=True)
    ]
    pump(pipes, answer_bytes, window.is_over, bytearray(READ_BYTES))
    for connection in sockets:
        connection.close()
    return window.result()


def fill_offsets(
    address: str, pid: int, *, topic: str, groups: int, partitions: int, per_request: int
) -> dict[str, float]:
    """Commit an offset of every partition by each group."""
    find_coordinator(address, "group-0")
    connection = connect(address)
    for number in range(groups):
        for first in range(0, partitions, per_request):
            wanted = range(first, first + per_request)
            _check_committed(connection, commit_frame(f"group-{number}", topic, wanted))
    connection.close()
    return {"offsets": groups * partitions}


def await_offsets(address: str, pid: int, *, topic: str, groups: int) -> dict[str, float]:
    """Return when a group of each partition of the offsets topic has its offset back."""
    chosen = {
        partition_for(name, OFFSETS_PARTITIONS): name
        for name in (f"group-{number}" for number in range(groups))
    }
    asked = [OffsetFetchRequestTopics(name=topic, partition_indexes=[0])]
    request = OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group_id=name, topics=asked) for name in chosen.values()]
    )
    deadline = time.monotonic() + DEADLINE_S
    with Client(address) as client:
        while not _has_all(client, request):
            if time.monotonic() > deadline:
                raise TimeoutError("the offsets are not there")
            time.sleep(POLL_S)
    return {"partitions": len(chosen)}


def _has_all(client: Client, request: OffsetFetchRequest) -> bool:
    try:
        answer = client.call(request, OffsetFetchResponse)
    except KafkaError:
        return False
    return all(
        group.error_code == ErrorCode.NONE
        and group.topics[0].partitions[0].error_code == ErrorCode.NONE
        and group.topics[0].partitions[0].committed_offset == 1
        for group in answer.groups
    )


def heartbeats(
    address: str, pid: int, *, groups: int, members: int, interval_s: float, seconds: float
) -> dict[str, float]:
    """Groups alive at once, each member with a heartbeat every so many seconds."""
    _allow_descriptors(groups * members + 100)
    alive = [
        Group(address, f"alive-{number}-{time.time_ns()}", members) for number in range(groups)
    ]
    everybody = [member for group in alive for member in group.members]
    poll = select.epoll()
    by_descriptor = {member.connection.fileno(): member for member in everybody}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    frames = {id(member): _heartbeat_frame(member) for member in everybody}
    expected = _beat(everybody[0], frames)
    pause_s = interval_s / len(everybody)
    first = Reading.now(pid)
    due = answered = 0
    waiting: set[int] = set()
    while time.perf_counter() < first.time_s + seconds or waiting:
        until = int(min(time.perf_counter() - first.time_s, seconds) / pause_s)
        for number in range(due, until):
            member = everybody[number % len(everybody)]
            # As a client does: one that has no answer yet does not ask again.
            if id(member) not in waiting:
                waiting.add(id(member))
                member.connection.sendall(frames[id(member)])
        due = until
        for descriptor, _ in poll.poll(pause_s):
            member = by_descriptor[descriptor]
            answer = read_answer(member.connection)
            assert answer == expected, f"a heartbeat was refused: {answer.hex()}"
            waiting.discard(id(member))
            answered += 1
    last = Reading.now(pid)
    poll.close()
    for group in alive:
        for member in group.members:
            member.connection.close()
    return {**first.until(last), "requests": answered, "members": len(everybody)}


def _heartbeat_frame(member: Member) -> bytes:
    request = HeartbeatRequest(
        group_id=member.group, generation_id=member.generation, member_id=member.member_id
    )
    return frame(request, HEARTBEAT_VERSION)


def _beat(member: Member, frames: dict[int, bytes]) -> bytes:
    member.connection.sendall(frames[id(member)])
    return read_answer(member.connection)


def _check_committed(connection: socket.socket, data: bytes) -> int:
    """Send one commit until it is taken, and give the size of the answer."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        connection.sendall(data)
        answer = read_answer(connection)
        response = OffsetCommitResponse.decode(memoryview(answer), COMMIT_VERSION, RESPONSE_BODY)
        codes = {part.error_code for topic in response.topics for part in topic.partitions}
        if codes == {ErrorCode.NONE}:
            return len(answer)
        # Of a broker that has just made its offsets topic not every partition serves yet.
        assert codes <= set(COORDINATOR_ERRORS), f"error codes {codes}"
        assert time.monotonic() < deadline, "the coordinator is not ready"
        time.sleep(POLL_S)


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
