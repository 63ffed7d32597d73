"""What a case talks to: one broker, and the transcript of what it answers.

A case runs against both brokers with a session each, and must do the same in both. What it sends by
`send`, `attempt`, `begin` and `attempt_bytes` gets into the transcript; `ask` and `create_topic`
prepare, and leave no trace. Topics and groups get the same names at both brokers.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compat.differential.plain import Plain, Sort, error_codes
from compat.differential.wire import (
    ANSWER_SECONDS,
    CLIENT_ID,
    Connection,
    NoAnswer,
    Request,
)
from compat.targets import Target
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from pykbroker.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from pykbroker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pykbroker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic

READY_SECONDS = 60.0
POLL_SECONDS = 0.005
SILENT_SECONDS = 0.3
HOUR_MS = 3_600_000
UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@dataclass(frozen=True)
class Step:
    """One thing that a broker did."""

    label: str
    request: str
    answer: Any


class Pending:
    """A request whose answer is awaited later."""

    def __init__(
        self,
        session: "Session",
        connection: Connection,
        label: str,
        request: str,
        sort: Sort | None,
    ) -> None:
        self._session = session
        self._connection = connection
        self._label = label
        self._request = request
        self._sort = sort

    def finish(self, seconds: float = ANSWER_SECONDS) -> Any:
        """Wait for the answer; gives it."""
        try:
            answer = self._connection.read(seconds)
        except NoAnswer as reason:
            self._session.note(self._label, reason.outcome, request=self._request)
            raise
        self._session.record(self._label, self._request, answer, self._sort)
        return answer

    def is_silent(self, seconds: float = SILENT_SECONDS) -> None:
        """Note whether the answer is not there within this time; if it is there, it is noted."""
        try:
            self.finish(seconds)
        except NoAnswer:
            return


class Session:
    """One case against one broker."""

    def __init__(self, broker: Target, name: str, now_ms: int, patience: int = 1) -> None:
        """Args:
        name: What names of topics and groups begin with; no other case has it.
        now_ms: The time at which the case began, the same for both brokers.
        patience: How many times longer than usual to wait before it is silence.
        """
        self.broker = broker
        self.steps: list[Step] = []
        self.error_codes: set[tuple[ApiKey, int]] = set()
        self.now_ms = now_ms
        self.patience = patience
        self.rounds = 1
        # A time for records that is not taken for one from the broker's clock.
        self.past_ms = now_ms - HOUR_MS
        self._name = name
        self._plain = Plain()
        self._connections: list[Connection] = []
        self._default: Connection | None = None

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    # --- preparing ---------------------------------------------------------------------------

    def name(self, label: str = "t") -> str:
        """A name for a topic or a group that only this case has."""
        return re.sub(r"[^A-Za-z0-9]+", "-", f"{self._name}-{label}")

    def connect(self, client_id: str | None = CLIENT_ID) -> Connection:
        """A further connection."""
        connection = Connection(self.broker.host, self.broker.port, client_id)
        self._connections.append(connection)
        return connection

    @property
    def connection(self) -> Connection:
        """The connection that is used unless another is named."""
        if self._default is None:
            self._default = self.connect()
        return self._default

    def reconnect(self) -> None:
        """Use a new connection from now on, as when the present one waits for an answer."""
        self._default = None

    def ask(self, request: Request, version: int, *, on: Connection | None = None) -> Any:
        """Send a request for its answer's sake; it does not get into the transcript."""
        connection = on or self.connection
        connection.write(request, version)
        return connection.read()

    def create_topic(
        self, label: str = "t", partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> str:
        """Make a topic and wait until its partitions can be used; gives its name."""
        name = self.name(label)
        settings = [
            CreatableTopicConfig(name=key, value=value) for key, value in (configs or {}).items()
        ]
        topic = CreatableTopic(
            name=name, num_partitions=partitions, replication_factor=1, configs=settings
        )
        answer = self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), 7)
        code = answer.topics[0].error_code
        assert code == 0, f"topic {name} was not made: error {code}"
        self.await_topic(name, partitions)
        return name

    def await_topic(self, name: str, partitions: int = 1) -> None:
        """Wait until the partitions can be used: Kafka answers CreateTopics before that."""
        request = self._latest(name, partitions)

        def is_ready() -> bool:
            found = self.ask(request, 7).topics[0].partitions
            return not any(partition.error_code for partition in found)

        self.eventually(is_ready, what=f"topic {name}")

    def _latest(self, name: str, partitions: int) -> ListOffsetsRequest:
        asked = [ListOffsetsPartition(partition_index=n, timestamp=-1) for n in range(partitions)]
        topics = [ListOffsetsTopic(name=name, partitions=asked)]
        return ListOffsetsRequest(replica_id=-1, topics=topics)

    def await_no_topic(self, *names: str) -> None:
        """Wait until the broker knows that topics are deleted: Kafka answers before that."""
        asked = [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
        self.eventually(
            lambda: all(topic.error_code for topic in self.ask(request, 12).topics),
            what=f"the end of topics {names}",
        )

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until its partitions are gone."""
        deletion = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=30_000)
        code = self.ask(deletion, 6).responses[0].error_code
        assert code == 0, f"topic {name} was not deleted: error {code}"
        request = self._latest(name, 1)
        self.eventually(
            lambda: self.ask(request, 7).topics[0].partitions[0].error_code == UNKNOWN,
            what=f"the end of topic {name}",
        )

    def delete_records(self, topic: str, offset: int, partition: int = 0) -> None:
        """Delete the records below an offset, all of them with -1."""
        asked = DeleteRecordsPartition(partition_index=partition, offset=offset)
        topics = [DeleteRecordsTopic(name=topic, partitions=[asked])]
        answer = self.ask(DeleteRecordsRequest(topics=topics, timeout_ms=30_000), 2)
        code = answer.topics[0].partitions[0].error_code
        assert code == 0, f"records of {topic} were not deleted: error {code}"

    def eventually(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for what the broker does a moment after its answer."""
        deadline = time.monotonic() + READY_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"{what} not seen in time"
            time.sleep(POLL_SECONDS)

    def topic_id(self, name: str) -> bytes:
        """The id of a topic that exists."""
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False
        )
        (topic,) = self.ask(request, 12).topics
        assert topic.error_code == 0, f"topic {name}: error {topic.error_code}"
        topic_id: bytes = topic.topic_id
        self._plain.call("topic_id", topic_id, f"id of {name}")
        return topic_id

    # --- what is compared ----------------------------------------------------------------------

    def send(
        self,
        request: Request,
        version: int,
        *,
        sort: Sort | None = None,
        on: Connection | None = None,
    ) -> Any:
        """Send a request and wait for its answer, which is compared; gives it.

        A case in which the answer may fail to come uses `attempt`.
        """
        return self.begin(request, version, sort=sort, on=on).finish()

    def attempt(
        self,
        request: Request,
        version: int,
        *,
        sort: Sort | None = None,
        on: Connection | None = None,
        seconds: float = SILENT_SECONDS,
    ) -> Any:
        """Send a request; compared is the answer, or that it does not come. Gives it or None."""
        try:
            pending = self.begin(request, version, sort=sort, on=on)
            return pending.finish(seconds * self.patience)
        except NoAnswer:
            return None

    def begin(
        self,
        request: Request,
        version: int,
        *,
        sort: Sort | None = None,
        on: Connection | None = None,
    ) -> Pending:
        """Send a request whose answer is compared when it is awaited."""
        connection = on or self.connection
        label = f"{ApiKey(request.API_KEY).display_name} v{version}"
        pending = Pending(self, connection, label, str(request), sort)
        connection.write(request, version)
        return pending

    def post(self, request: Request, version: int, *, on: Connection | None = None) -> None:
        """Send a request that must not be answered: the next answer belongs to the next one."""
        (on or self.connection).write(request, version, is_answered=False)

    def attempt_bytes(
        self,
        data: bytes,
        *,
        label: str = "bytes",
        on: Connection | None = None,
        seconds: float = SILENT_SECONDS,
    ) -> bytes | None:
        """Send bytes; compared is the frame that comes back, closing, or silence."""
        connection = on or self.connection
        answer: bytes | None = None
        try:
            connection.write_bytes(data)
            answer = connection.read_bytes(seconds * self.patience)
        except NoAnswer as reason:
            self.note(label, reason.outcome, request=data[:200].hex())
        else:
            self.note(label, answer, request=data[:200].hex())
        return answer

    def note(self, label: str, value: Any, *, request: str = "") -> None:
        """Compare something else."""
        self.steps.append(Step(label, request, self._plain.tree(value)))

    def plain(self, value: Any) -> Any:
        """A part of an answer, for `note`."""
        return self._plain.tree(value)

    def record(self, label: str, request: str, answer: Any, sort: Sort | None) -> None:
        """Add an answer to the transcript."""
        tree = self._plain.tree(answer, sort)
        api = ApiKey(answer.API_KEY)
        self.error_codes |= {(api, code) for code in error_codes(tree)}
        self.steps.append(Step(label, request, tree))
