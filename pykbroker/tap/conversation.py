"""One connection between a client and a broker: which answer belongs to which request.

What cannot be decoded, as its API or version is unknown here, is passed on as it is.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from pykbroker.dispatch import REQUEST_HEADER_START
from pykbroker.faults.marking import MARKED_APIS, MarkedSubject
from pykbroker.faults.matching import Asked, Item, Match
from pykbroker.faults.places import Subject
from pykbroker.handlers import APIS, load
from pykbroker.metadata.image import MetadataImage, PartitionImage, TopicImage
from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.headers import decode_request_header, decode_response_header
from pykbroker.protocol.primitives import Buffer
from pykbroker.tap.message_json import message_json

MS_PER_S: Final = 1000


@dataclass(slots=True)
class Sent:
    """A request on its way; what could not be decoded is None."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str
    message: Any
    size_bytes: int
    time_s: float
    started_s: float

    @property
    def is_answered(self) -> bool:
        """Whether the broker will answer it."""
        return not (self.api_key == ApiKey.PRODUCE and getattr(self.message, "acks", 1) == 0)


@dataclass(slots=True)
class Answer:
    """An answer that was decoded; its message may be changed."""

    header: bytes
    version: int
    message: Any

    def encoded(self) -> list[Buffer]:
        """Return the bytes of the answer as it is then."""
        return [self.header, *self.message.encode(self.version)]


class KnownTopics(Protocol):
    """The topics of a cluster, for requests that go by ids."""

    @property
    def image(self) -> MetadataImage:
        """Those that are known."""

    def learn(self, message: Any) -> None:
        """Take what a Metadata response says."""


class Topics:
    """The topics of a cluster, as its answers to Metadata tell them: requests may go by ids."""

    def __init__(self) -> None:
        self.image = MetadataImage("", 0, 0, {})

    def learn(self, message: Any) -> None:
        """Take what a Metadata response says."""
        topics = [
            TopicImage(
                topic.name,
                topic.topic_id,
                tuple(
                    PartitionImage(number, 0, 0, (), ()) for number in range(len(topic.partitions))
                ),
            )
            for topic in message.topics
            if topic.name and not topic.error_code
        ]
        if topics:
            self.image = self.image.with_topics(topics)


class Conversation:
    """Requests and answers of one connection.

    Args:
        peer: The client's address, for people.
        topics: Of the cluster.
        match: What is told.
        tell: Gets what is told, as JSON.
    """

    def __init__(
        self, peer: str, topics: KnownTopics, match: Match, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._peer = peer
        self._topics = topics
        self._match = match
        self._tell = tell
        self._sent: dict[int, Sent] = {}

    def asked(self, frame: memoryview) -> None:
        """Take note of a request."""
        sent = _sent(frame)
        if sent.is_answered:
            self._sent[sent.correlation_id] = sent
        else:
            self._exchanged(sent, None, 0)

    def answered(self, frame: memoryview) -> "Answer | None":
        """Take note of an answer, and return what is in it, if that is known."""
        sent = self._sent.pop(int.from_bytes(frame[:4], "big"), None)
        answer = None if sent is None else _decoded(sent, frame)
        if sent is not None:
            if answer is not None and sent.api_key == ApiKey.METADATA:
                self._topics.learn(answer.message)
            self._exchanged(sent, None if answer is None else answer.message, len(frame))
        return answer

    def dropped(self, correlation_id: int, reason: str) -> None:
        """Take note that a request gets no answer; one that wants none has been told."""
        sent = self._sent.pop(correlation_id, None)
        if sent is not None:
            self._exchanged(sent, None, 0, reason)

    def ended(self) -> None:
        """Tell of the requests that have got no answer."""
        for sent in self._sent.values():
            self._exchanged(sent, None, 0)
        self._sent.clear()

    def _exchanged(
        self, sent: Sent, answer: Any, answer_bytes: int, reason: str | None = None
    ) -> None:
        items = self._items(sent, answer)
        if not self._match.items(Asked(sent.api_key, sent.client_id, items), items):
            return
        name = APIS[sent.api_key].name if sent.api_key in APIS else f"API {sent.api_key}"
        at = datetime.fromtimestamp(sent.time_s, UTC).isoformat(timespec="milliseconds")
        told = {
            "time": at,
            "connection": self._peer,
            "client_id": sent.client_id,
            "api": name,
            "version": sent.version,
            "correlation_id": sent.correlation_id,
            "took_ms": round((time.perf_counter() - sent.started_s) * MS_PER_S, 3),
            "request_bytes": sent.size_bytes,
            "response_bytes": answer_bytes,
            "request": None if sent.message is None else message_json(sent.message),
            "response": None if answer is None else message_json(answer),
        }
        if reason is not None:
            told["reason"] = reason
        self._tell(told)

    def _items(self, sent: Sent, answer: Any) -> list[Item]:
        """What an exchange is about; of a Fetch in a session, that is in the answer."""
        if sent.message is None:
            return [Item()]
        image = self._topics.image
        if sent.api_key not in MARKED_APIS:
            return Subject(sent.api_key, sent.message, image).items()
        session = [
            (topic.topic_id if any(topic.topic_id) else topic.topic, partition.partition_index)
            for topic in getattr(answer, "responses", ())
            for partition in topic.partitions
        ]
        return MarkedSubject(sent.api_key, sent.version, sent.message, image, session).items()


def addresses(message: Any) -> Iterator[Any]:
    """Yield the parts of a message that have a host and a port: brokers."""
    names = [each.name for each in fields(message)]
    if "host" in names and "port" in names:
        yield message
    for name in names:
        value = getattr(message, name)
        for each in value if isinstance(value, list) else (value,):
            if is_dataclass(each):
                yield from addresses(each)


def _decoded(sent: Sent, frame: memoryview) -> Answer | None:
    if sent.message is None:
        return None
    response: Any = load(APIS[sent.api_key]).response_type
    try:
        _, position = decode_response_header(frame, sent.api_key, sent.version)
        message = response.decode(frame, sent.version, position)
    except ProtocolError:  # ApiVersions of a version that the broker does not know
        return None
    return Answer(bytes(frame[:position]), sent.version, message)


def _sent(frame: memoryview) -> Sent:
    api_key, version, correlation_id = REQUEST_HEADER_START.unpack_from(frame)
    client_id, message = "", None
    api = APIS.get(api_key)
    if api is not None and api.min_version <= version <= api.max_version:
        loaded = load(api)
        try:
            header, position = decode_request_header(frame)
            client_id = header.client_id or ""
            message = loaded.decode(frame, version, position)
        except ProtocolError:
            message = None
    return Sent(
        api_key,
        version,
        correlation_id,
        client_id,
        message,
        len(frame),
        time.time(),
        time.perf_counter(),
    )
