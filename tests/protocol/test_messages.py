"""Every generated message in every version: round trips, and what it refuses to write."""

from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykbroker.protocol.apis import ApiKey
from pykbroker.protocol.errors import ErrorCode, ProtocolError
from pykbroker.protocol.messages import API_SCHEMAS
from pykbroker.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from pykbroker.protocol.messages.find_coordinator import FindCoordinatorRequest
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from pykbroker.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from tests.harness.protocol_values import MESSAGES, MessageCase, encoded, fit, strategy

QUICK = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
BY_NAME = pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)


@BY_NAME
def test_a_value_survives_the_round_trip_in_every_version(case: MessageCase) -> None:
    @settings(QUICK, max_examples=2)
    @given(strategy(case))
    def check(value: Any) -> None:
        for version in case.versions():
            fitted = fit(case, value, version)
            frame = encoded(fitted, version)
            assert case.type.decode(memoryview(frame), version) == fitted
            # Handlers fill the newest shape: what an old version cannot say is left out.
            with suppress(ValueError):  # A null that this version cannot say.
                assert encoded(value, version) == frame

    check()


def test_a_message_without_values_says_its_defaults() -> None:
    for case in MESSAGES:
        for version in case.versions():
            message = fit(case, case.type(), version)
            frame = encoded(message, version)
            assert case.type.decode(memoryview(frame), version) == message, case.name


def test_the_classes_know_their_versions() -> None:
    for case in MESSAGES:
        versions = list(case.versions())
        assert (versions[0], versions[-1]) == (case.type.MIN_VERSION, case.type.MAX_VERSION)
        for version in (versions[0] - 1, versions[-1] + 1):
            with pytest.raises(ProtocolError, match="no version"):
                case.type.decode(memoryview(bytes(100)), version)
            with pytest.raises(ValueError, match="no version"):
                case.type().encode(version)


def test_the_table_of_apis_agrees_with_the_keys_and_the_messages() -> None:
    assert set(API_SCHEMAS) < set(ApiKey)  # The others are for controllers.
    requests = {
        case.type.API_KEY: case for case in MESSAGES if case.message.role in ("request", "response")
    }
    for key, schema in API_SCHEMAS.items():
        case = requests[key]
        assert ApiKey(key).name.lower() == schema.stem == case.stem
        assert schema.min_version == case.type.MIN_VERSION
        assert schema.max_version == case.type.MAX_VERSION
        assert schema.first_flexible_version == case.type.FIRST_FLEXIBLE_VERSION


def test_unstable_versions_are_not_spoken() -> None:
    """Version 6 of InitProducerId (two-phase commit) is marked as unstable by Kafka 4.3."""
    assert API_SCHEMAS[ApiKey.INIT_PRODUCER_ID].max_version == 5


def test_null_is_refused_where_the_version_does_not_allow_it() -> None:
    request = MetadataRequest(topics=None)
    assert MetadataRequest.decode(memoryview(encoded(request, 1)), 1).topics is None
    with pytest.raises(ValueError, match="null array"):
        request.encode(0)
    with pytest.raises(ProtocolError, match="null array"):
        MetadataRequest.decode(memoryview(b"\xff\xff\xff\xff"), 0)

    nameless = MetadataRequest(topics=[MetadataRequestTopic(name=None)])
    assert encoded(nameless, 12)
    for version in (8, 9):
        with pytest.raises(ValueError, match="null string"):
            nameless.encode(version)


def test_numbers_out_of_range_are_refused_with_the_name_of_the_message() -> None:
    with pytest.raises(ValueError, match="HeartbeatRequest v4"):
        HeartbeatRequest(generation_id=1 << 31).encode(4)
    with pytest.raises(ValueError, match="ProduceRequest v3"):
        ProduceRequest(acks=1 << 15).encode(3)


def test_a_uuid_of_another_length_is_refused() -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(topic_id=b"short", name="a")])
    with pytest.raises(ValueError, match="uuid of 5 bytes"):
        request.encode(12)


def test_error_codes_can_be_given_as_members_of_the_enum() -> None:
    response = HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
    assert encoded(response, 0).hex() == "001b"  # int16 27


def test_a_message_may_start_anywhere_and_what_follows_it_is_ignored() -> None:
    frame = b"before" + encoded(HeartbeatRequest("g", 3, "m"), 4) + b"behind"
    assert HeartbeatRequest.decode(memoryview(frame), 4, 6) == HeartbeatRequest("g", 3, "m")


def test_find_coordinator_on_the_wire_before_and_after_it_became_flexible() -> None:
    request = FindCoordinatorRequest(key="grp", key_type=0, coordinator_keys=["a", "bc"])
    lines = {
        0: "0003 677270",  # key
        1: "0003 677270 00",  # key, key type
        3: "04 677270 00 00",  # compact key, key type, no tags
        4: "00 03 02 61 03 6263 00",  # key type, two compact keys, no tags
    }
    for version, line in lines.items():
        assert encoded(request, version) == bytes.fromhex(line)


class TestRecords:
    def produce(self, records: bytes | bytearray | memoryview | None) -> ProduceRequest:
        partition = PartitionProduceData(index=7, records=records)
        topic = TopicProduceData(name="t", partition_data=[partition, partition])
        return ProduceRequest(topic_data=[topic])

    def test_decoded_records_are_a_slice_of_the_frame_and_no_copy(self) -> None:
        frame = bytearray(encoded(self.produce(b"0123"), 9))
        request = ProduceRequest.decode(memoryview(frame), 9)
        records = request.topic_data[0].partition_data[0].records
        assert isinstance(records, memoryview)

        frame[frame.index(b"0123")] = ord("X")
        assert records.tobytes() == b"X123"
        assert records.obj is frame

    def test_large_records_are_passed_on_as_they_are(self) -> None:
        for large in (bytes(5000), bytearray(5000), memoryview(bytes(5000))):
            buffers = self.produce(large).encode(9)
            assert [len(buffer) for buffer in buffers] == [17, 5000, 7, 5000, 3]
            assert buffers[1] is large
            assert b"".join(buffers) == b"".join(self.produce(bytes(large)).encode(9))

    def test_small_records_are_joined_to_their_surroundings(self) -> None:
        (only,) = self.produce(b"0123").encode(9)
        assert len(only) == 13 + 2 * (4 + 1 + 4 + 1)

    def test_records_of_many_partitions_come_out_in_order(self) -> None:
        sizes = (0, 2000, 1, 3000, 1024, 1025)
        partitions = [PartitionData(partition_index=n, records=bytes(n)) for n in sizes]
        response = FetchResponse(responses=[FetchableTopicResponse(partitions=partitions)])
        for version in range(FetchResponse.MIN_VERSION, FetchResponse.MAX_VERSION + 1):
            again = FetchResponse.decode(memoryview(encoded(response, version)), version)
            read = again.responses[0].partitions
            assert [(each.partition_index, len(each.records or b"")) for each in read] == [
                (size, size) for size in sizes
            ]

    def test_null_records_stay_null(self) -> None:
        for version in (3, 9):
            request = ProduceRequest.decode(
                memoryview(encoded(self.produce(None), version)), version
            )
            assert request.topic_data[0].partition_data[0].records is None


class TestTags:
    def request(self, tags: str) -> FetchRequest:
        """Fetch v17 with nothing but a tag section in hexadecimal."""
        body = encoded(FetchRequest(), 17)
        assert body[-1] == 0
        return FetchRequest.decode(memoryview(body[:-1] + bytes.fromhex(tags)), 17)

    def test_known_tags_are_read_and_defaults_are_not_written(self) -> None:
        request = self.request("02 00 02 02 61 01 0d ffffffff ffffffffffffffff 00")
        assert request == FetchRequest(cluster_id="a")  # tag 1 carries the defaults
        assert encoded(request, 17).endswith(bytes.fromhex("01 00 02 02 61"))

    def test_tags_are_read_in_any_order_and_the_last_one_counts(self) -> None:
        """As in Kafka, though KIP-482 asks for ascending ones."""
        assert self.request("02 06 00 05 00") == FetchRequest()
        assert self.request("03 05 00 00 02 02 61 00 02 02 62") == FetchRequest(cluster_id="b")

    def test_unknown_tags_are_skipped(self) -> None:
        request = self.request("02 00 02 02 61 7f 03 010203")
        assert request == FetchRequest(cluster_id="a")

    @pytest.mark.parametrize(
        ("tags", "reason"),
        [
            ("01 7f 05 0000", "tagged field of 5"),
            ("01 00 03 02 61 00", "bytes off its size"),
            ("01 00 01 02 61", "bytes off its size"),
            ("05", "out of bounds"),
            ("ffffffffff", "varint"),
        ],
    )
    def test_malformed_tag_sections_are_refused(self, tags: str, reason: str) -> None:
        with pytest.raises(ProtocolError, match=reason):
            self.request(tags)

    def test_a_tag_count_in_more_bytes_than_needed_is_read_all_the_same(self) -> None:
        assert self.request("8000") == FetchRequest()
        heartbeat = encoded(HeartbeatRequest("g"), 4)
        frame = memoryview(heartbeat[:-1] + b"\x80\x00")
        assert HeartbeatRequest.decode(frame, 4) == HeartbeatRequest("g")

    def test_a_tag_of_a_later_version_counts_as_unknown(self) -> None:
        """Tag 1, the replica state, is known from version 15 on."""
        body = encoded(FetchRequest(), 12)[:-1] + bytes.fromhex("01 01 02 ffff")
        assert FetchRequest.decode(memoryview(body), 12) == FetchRequest()


def test_no_two_defaults_share_a_list() -> None:
    first, second = FetchRequest(), FetchRequest()
    for field in fields(first):
        value = getattr(first, field.name)
        if isinstance(value, list):
            assert value is not getattr(second, field.name)


@settings(QUICK, max_examples=30)
@given(st.integers(0, 2**31 - 1), st.text(), st.one_of(st.none(), st.text()))
def test_any_text_and_number_survives_a_heartbeat(
    generation: int, member: str, instance: str | None
) -> None:
    request = HeartbeatRequest("g", generation, member, instance)
    for version in (3, 4):
        assert HeartbeatRequest.decode(memoryview(encoded(request, version)), version) == request
