from __future__ import annotations

import pytest

from pykbroker.client import Client
from pykbroker.commands.reset_offsets import (
    Move,
    TargetError,
    ago_ms,
    carry_out,
    parse_duration,
    parse_time,
    parse_topic,
)
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT1H30M", 90 * MINUTE_MS),
        ("1h30m", 90 * MINUTE_MS),
        ("P1DT1M", 1441 * MINUTE_MS),
        ("7d", 7 * 1440 * MINUTE_MS),
        ("PT0.5S", 500),
        ("PT0S", 0),
    ],
)
def test_durations_are_iso_8601_with_or_without_its_letters(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "5", "1x", "-PT1H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="expected a duration"):
        parse_duration(text)


def test_a_time_is_in_utc_unless_it_says_otherwise() -> None:
    assert parse_time("1970-01-01T00:00:01") == 1_000
    assert parse_time("1970-01-01T01:00:00+01:00") == 0
    assert parse_time("1970-01-02") == 1440 * MINUTE_MS


def test_a_duration_counts_back_from_now() -> None:
    assert ago_ms(0) - ago_ms(MINUTE_MS) in range(MINUTE_MS - 1_000, MINUTE_MS + 1_000)


def test_partitions_may_be_named_with_their_topic() -> None:
    assert parse_topic("t") == ("t", None)
    assert parse_topic("t:2,0,2") == ("t", [0, 2])


class AnsweringClient(Client):
    """Answers every OffsetCommit with the same error."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code

    def call(self, request: object, response_type: object, node_id: int | None = None) -> object:  # type: ignore[override]
        assert isinstance(request, OffsetCommitRequest)
        assert request.member_id == ""
        partition = OffsetCommitResponsePartition(partition_index=0, error_code=self.code)
        topic = OffsetCommitResponseTopic(name="t", partitions=[partition])
        return OffsetCommitResponse(topics=[topic])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.UNKNOWN_MEMBER_ID, "group g has members"),
        (ErrorCode.GROUP_AUTHORIZATION_FAILED, "t:0"),
    ],
)
def test_a_group_that_somebody_has_joined_meanwhile_is_told_so(
    code: ErrorCode, reason: str
) -> None:
    with pytest.raises(KafkaError, match=reason) as refused:
        carry_out(AnsweringClient(code), "g", [Move("t", 0, None, 1, 2)], 1)
    assert refused.value.code is code
