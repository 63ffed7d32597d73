from typing import Any

import pytest

from pykbroker.coordinator.group.committer import Committer
from pykbroker.coordinator.group.consumer.offsets import check_commit, check_fetch
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_member_metadata_record import (
    ClassicMemberMetadata,
)
from pykbroker.protocol.messages.offset_fetch import OffsetFetchRequestGroup
from tests.harness.consumer_groups import a_group, a_member, topic_id

T = topic_id("t")
NONE = ErrorCode.NONE
STALE = ErrorCode.STALE_MEMBER_EPOCH
UNKNOWN = ErrorCode.UNKNOWN_MEMBER_ID
ILLEGAL = ErrorCode.ILLEGAL_GENERATION


def committing(member_id: str, epoch: int, partition: int, **fields: Any) -> ErrorCode:
    """Commit to a group whose member got partition 0 with epoch 3, and is to let 1 go."""
    held: dict[str, Any] = {
        "assigned": {T: {0: 3}},
        "pending_revocation": {T: {1: 2}},
        "member_epoch": 5,
    }
    group = a_group(
        a_member("m", **held), a_member("classic", classic=ClassicMemberMetadata(), **held)
    )
    committer = Committer(member_id, None, epoch, [(T, partition)])._replace(**fields)
    try:
        check_commit(group, committer)
    except KafkaError as error:
        return error.code
    return NONE


@pytest.mark.parametrize(
    ("epoch", "partition", "code"),
    [
        (5, 9, NONE),
        (6, 0, STALE),
        (3, 0, NONE),
        (2, 0, STALE),
        (2, 1, NONE),
        (1, 1, STALE),
        (4, 2, STALE),
        (-1, 0, STALE),
    ],
)
def test_a_commit_counts_if_the_member_has_had_the_partition_since(
    epoch: int, partition: int, code: ErrorCode
) -> None:
    assert committing("m", epoch, partition) is code
    classic_code = ILLEGAL if code is STALE else code
    assert committing("classic", epoch, partition, knows_member_epochs=False) is classic_code


def test_strangers_and_old_requests_are_refused() -> None:
    assert committing("other", 5, 0) is UNKNOWN
    assert committing("", -1, 0) is UNKNOWN
    refused = committing("m", 5, 0, knows_member_epochs=False)
    assert refused is ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    ("member_id", "epoch", "instance_id", "code"),
    [
        ("", -1, None, NONE),
        ("", -2, None, UNKNOWN),
        ("", 0, None, UNKNOWN),
        ("", -1, "i", UNKNOWN),
        ("m", -1, None, STALE),
        ("m", 4, None, NONE),
    ],
)
def test_a_transaction_of_nobody_in_particular_may_commit(
    member_id: str, epoch: int, instance_id: str | None, code: ErrorCode
) -> None:
    fields = {"group_instance_id": instance_id, "is_transactional": True}
    assert committing(member_id, epoch, 0, **fields) is code


def test_anybody_may_commit_where_nobody_is_a_member() -> None:
    check_commit(a_group(), Committer("", None, -1, knows_member_epochs=False))
    with pytest.raises(KafkaError):
        check_commit(a_group(), Committer("", None, 0))


@pytest.mark.parametrize(
    ("member_id", "epoch", "code"),
    [
        (None, -1, NONE),
        ("m", 5, NONE),
        ("m", 4, STALE),
        ("classic", 4, ILLEGAL),
        ("other", 5, UNKNOWN),
        (None, 5, UNKNOWN),
    ],
)
def test_who_says_that_it_is_a_member_must_be_up_to_date(
    member_id: str | None, epoch: int, code: ErrorCode
) -> None:
    group = a_group(
        a_member("m", member_epoch=5),
        a_member("classic", member_epoch=5, classic=ClassicMemberMetadata()),
    )
    request = OffsetFetchRequestGroup("g", member_id=member_id, member_epoch=epoch)
    if code is NONE:
        check_fetch(group, request)
        return
    with pytest.raises(KafkaError) as refusal:
        check_fetch(group, request)
    assert refusal.value.code is code
