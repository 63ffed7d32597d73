"""What a connection's last Produce request was like, so that the next of its kind is done quickly.

A producer sends the same request again and again: the same client id, topic and partition around
another batch. When the bytes before the batch's size and those behind the batch are those of a
request that was decoded before, decoding them once more can only give the same, so nothing but the
batch is looked at. Likewise the answers to such requests differ in three fields when all is well.

This knows nothing of the format. A layout is taken from what the generated code has read, and only
if it would write the same bytes; the answer is one that it has written, with those fields replaced.
"""

from struct import Struct
from typing import Final, Self

from pykbroker.protocol.errors import ProtocolError
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from pykbroker.protocol.primitives import DECODE_ERRORS, read_uvarint, write_uvarint

# Comparing with what would be written costs a copy of the batch, once.
MAX_LEARNT_BYTES: Final = 128 * 1024

_API_AND_VERSION: Final = slice(0, 4)
_BEHIND_CORRELATION_ID: Final = 8
_CORRELATION_ID_IN_ANSWER: Final = 4
_FIRST_FLEXIBLE_VERSION: Final = 9
_FIRST_VERSION_WITH_LOG_START: Final = 5
_TAG_SECTIONS_BEHIND_BATCH: Final = 3  # of the partition, the topic and the request
_NO_LEADER: Final = -1
_SPECIMEN: Final = 0x5A5A5A5A5A5A5A5A

_INT32: Final = Struct(">i")
_TWO_INT64: Final = Struct(">qq")
_INT64: Final = Struct(">q")


class ProduceLayout:
    """The bytes of a Produce request for one partition, apart from correlation id and batch.

    Attributes:
        client_id: Of the request's header.
    """

    __slots__ = (
        "_acks",
        "_answer",
        "_api_and_version",
        "_before",
        "_behind",
        "_index",
        "_is_flexible",
        "_offset_position",
        "_size_position",
        "_timeout_ms",
        "_topic_id",
        "_topic_name",
        "_transactional_id",
        "_version",
        "client_id",
    )

    def __init__(
        self, frame: memoryview, version: int, client_id: str, request: ProduceRequest, size: int
    ) -> None:
        """Use `of`; `size` is the position of the batch's size field."""
        self.client_id = client_id
        self._version = version
        self._is_flexible = version >= _FIRST_FLEXIBLE_VERSION
        self._api_and_version = bytes(frame[_API_AND_VERSION])
        self._before = bytes(frame[_BEHIND_CORRELATION_ID:size])
        self._behind = bytes(_TAG_SECTIONS_BEHIND_BATCH) if self._is_flexible else b""
        self._size_position = size
        # Not the request itself: its batch is in memory that others want back.
        (topic,) = request.topic_data
        self._transactional_id = request.transactional_id
        self._acks = request.acks
        self._timeout_ms = request.timeout_ms
        self._topic_name = topic.name
        self._topic_id = topic.topic_id
        self._index = topic.partition_data[0].index
        self._answer = b""  # written with the first answer
        self._offset_position = 0

    @classmethod
    def of(
        cls, frame: memoryview, version: int, client_id: str, position: int, request: ProduceRequest
    ) -> Self | None:
        """Take the layout of a request that has been decoded; None if it is not a plain one.

        Args:
            frame: The request with its header.
            version: Its version.
            client_id: What its header says.
            position: Where the header ends.
            request: What `ProduceRequest.decode` has read behind it.
        """
        topics = request.topic_data
        if len(frame) > MAX_LEARNT_BYTES or len(topics) != 1 or len(topics[0].partition_data) != 1:
            return None
        records = topics[0].partition_data[0].records
        if records is None or frame[position:] != b"".join(request.encode(version)):
            return None
        if version < _FIRST_FLEXIBLE_VERSION:
            size_position = len(frame) - len(records) - _INT32.size
        else:
            size = bytearray()
            write_uvarint(size, len(records) + 1)
            size_position = len(frame) - _TAG_SECTIONS_BEHIND_BATCH - len(records) - len(size)
        return cls(frame, version, client_id, request, size_position)

    def read(self, frame: memoryview) -> ProduceRequest | None:
        """Decode a request of this layout; None if it is of another one."""
        at = self._size_position
        if (
            frame[_BEHIND_CORRELATION_ID:at] != self._before
            or frame[_API_AND_VERSION] != self._api_and_version
        ):
            return None
        try:
            if self._is_flexible:
                size_bytes, start = read_uvarint(frame, at)
                size_bytes -= 1  # 0 is for null
            else:
                (size_bytes,) = _INT32.unpack_from(frame, at)
                start = at + _INT32.size
        except (*DECODE_ERRORS, ProtocolError):
            return None
        end = start + size_bytes
        behind = self._behind
        if size_bytes < 0 or end + len(behind) != len(frame) or frame[end:] != behind:
            return None
        data = PartitionProduceData(self._index, frame[start:end])
        topic = TopicProduceData(self._topic_name, self._topic_id, [data])
        return ProduceRequest(self._transactional_id, self._acks, self._timeout_ms, [topic])

    def answer(self, correlation_id: int, response: ProduceResponse) -> bytearray | None:
        """Encode the answer to a request of this layout, with size and header.

        Returns:
            None if it is more than that all is well.
        """
        if len(response.responses) != 1 or response.node_endpoints or response.throttle_time_ms:
            return None
        topic = response.responses[0]
        if len(topic.partition_responses) != 1:
            return None
        result = topic.partition_responses[0]
        if (
            result.index != self._index
            or topic.name != self._topic_name
            or topic.topic_id != self._topic_id
            or result.error_code
            or result.record_errors
            or result.error_message is not None
            or result.current_leader.leader_id != _NO_LEADER
            or result.current_leader.leader_epoch != _NO_LEADER
        ):
            return None
        if not self._answer:
            self._write_answer()
        answer = bytearray(self._answer)
        _INT32.pack_into(answer, _CORRELATION_ID_IN_ANSWER, correlation_id)
        at = self._offset_position
        _TWO_INT64.pack_into(answer, at, result.base_offset, result.log_append_time_ms)
        if self._version >= _FIRST_VERSION_WITH_LOG_START:
            _INT64.pack_into(answer, at + _TWO_INT64.size, result.log_start_offset)
        return answer

    def _write_answer(self) -> None:
        """Have an answer written in which the fields that differ can be found."""
        result = PartitionProduceResponse(
            self._index, base_offset=_SPECIMEN, log_append_time_ms=_SPECIMEN
        )
        topic = TopicProduceResponse(self._topic_name, self._topic_id, [result])
        body = b"".join(ProduceResponse([topic]).encode(self._version))
        header = bytes(5 if self._is_flexible else 4)  # correlation id, tags
        self._answer = _INT32.pack(len(header) + len(body)) + header + body
        self._offset_position = self._answer.rindex(_TWO_INT64.pack(_SPECIMEN, _SPECIMEN))
