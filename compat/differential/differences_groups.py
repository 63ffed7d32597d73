"""The differences that are meant, of groups and their offsets."""

from collections.abc import Sequence

from compat.differential.transcript import Difference

_NAMED_TWICE = (
    "a protocol that a member names twice is one that it has; Kafka counts two members for it, and "
    "then finds that not all have it"
)
_PROMISED = (
    "there is no such static member, so it is unknown; Kafka does not expect an instance id with a "
    "member id that was only promised, and says UNKNOWN_SERVER_ERROR"
)
_FULL = (
    "when one is turned away from a full group, the others are not held up; in Kafka they wait for "
    "the rebalance timeout though nobody is missing"
)

GROUP_DIFFERENCES: Sequence[Difference] = (
    Difference(
        case="join_group.equal_votes",
        path="*/protocol_name",
        ours="'range'",
        kafka="'sticky'",
        reason="of protocols with equal votes the one wins that the longest-standing member "
        "prefers; in Kafka the order of a hash map decides",
    ),
    Difference(
        case="join_group.protocol_named_twice",
        path="*/protocol_name",
        ours="'range'",
        kafka="'sticky'",
        reason=_NAMED_TWICE,
    ),
    Difference(
        case="join_group.protocol_named_twice",
        path="*/members/0/metadata",
        ours="*range*",
        kafka="*sticky*",
        reason=_NAMED_TWICE,
    ),
    Difference(
        case="join_group.subscription_that_is_cut_short",
        path="*",
        ours="*'error_code': 0*",
        kafka="'silent'",
        reason="a subscription that cannot be read is opaque; Kafka stumbles over one that ends "
        "too early, and the members are never answered",
    ),
    Difference(
        case="join_group.promised_member_id_with_an_instance_id",
        path="1/error_code",
        ours="25",
        kafka="-1",
        reason=_PROMISED,
    ),
    Difference(
        case="join_group.promised_member_id_with_an_instance_id",
        path="1/member_id",
        ours="'member *'",
        kafka="''",
        reason=_PROMISED,
    ),
    Difference(
        case="group_limits.promise_does_not_hold_in_a_full_group",
        path="*",
        ours="*'error_code': 0*",
        kafka="'silent'",
        reason=_FULL,
    ),
    Difference(
        case="group_limits.newcomer_takes_the_last_place",
        path="*",
        ours="*'error_code': 0*",
        kafka="'silent'",
        reason=_FULL,
    ),
    *(
        Difference(
            case="group_limits.promised_member_of_a_forgotten_group",
            path=f"*/{field}",
            ours="*",
            kafka="*",
            reason="a group in which somebody was promised a place is not deleted for being empty; "
            "Kafka forgets it, and the promise with it",
        )
        for field in ("error_code", "generation_id", "protocol_*", "leader", "members")
    ),
)
