"""Coordinators and leaders that move, as far as one broker can show it.

They move away and come back: for a while clients are told that this broker is not the one, and that
nobody knows which is. What the coordinator holds is kept, as it is when another broker loads it.
"""

from typing import Final

from pykbroker.faults.rules import RuleError, Rules
from pykbroker.metadata.controller import MetadataController

GROUP_APIS: Final = (
    "OffsetCommit",
    "OffsetFetch",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "DeleteGroups",
    "OffsetDelete",
    "TxnOffsetCommit",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
)
TRANSACTION_APIS: Final = (
    "InitProducerId",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "DescribeTransactions",
)
LEADER_APIS: Final = ("Produce", "Fetch", "ListOffsets", "OffsetForLeaderEpoch", "DeleteRecords")


def move_coordinator(
    rules: Rules,
    *,
    group: str | None = None,
    transactional_id: str | None = None,
    spared_client: str | None = None,
    for_s: float,
) -> None:
    """Have a group or a transactional id without a coordinator for a while.

    Args:
        rules: Those of the broker.
        group: Id of the group; may have wildcards.
        transactional_id: Or the transactional id.
        spared_client: As of `Rules.add`.
        for_s: So many seconds.

    Raises:
        RuleError: Neither is given, or both.
    """
    if (group is None) == (transactional_id is None):
        raise RuleError("a coordinator is that of a group or of a transactional id")
    rules.add(
        "FindCoordinator",
        group=group,
        transactional_id=transactional_id,
        spared_client=spared_client,
        error="COORDINATOR_NOT_AVAILABLE",
        for_s=for_s,
    )
    rules.add(
        TRANSACTION_APIS if group is None else GROUP_APIS,
        group=group,
        transactional_id=transactional_id,
        spared_client=spared_client,
        error="NOT_COORDINATOR",
        for_s=for_s,
    )


async def change_leader(
    rules: Rules,
    metadata: MetadataController,
    topic: str,
    partition: int,
    *,
    spared_client: str | None = None,
    for_s: float,
) -> None:
    """Have a partition without a leader for a while, and then one of the next epoch.

    Args:
        rules: Those of the broker.
        metadata: Those of the broker.
        topic: Name of the topic.
        partition: Number of the partition.
        spared_client: As of `Rules.add`.
        for_s: So many seconds.

    Raises:
        RuleError: There is no such partition.
    """
    known = metadata.image.partition(topic, partition)
    if known is None:
        raise RuleError(f"there is no partition {topic}-{partition}")
    for apis, error in (
        ("Metadata", "LEADER_NOT_AVAILABLE"),
        (LEADER_APIS, "NOT_LEADER_OR_FOLLOWER"),
    ):
        rules.add(
            apis,
            topic=topic,
            partition=partition,
            spared_client=spared_client,
            error=error,
            for_s=for_s,
        )
    await metadata.bump_leader_epochs({(topic, partition): known.leader_epoch})
