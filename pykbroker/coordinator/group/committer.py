"""Who commits offsets, as the kinds of groups see it: OffsetCommit and TxnOffsetCommit alike."""

from collections.abc import Iterable
from typing import NamedTuple


class Committer(NamedTuple):
    """What a request says about who commits, and what is to be written for it.

    Attributes:
        member_id: Empty for simple consumers and administrators.
        group_instance_id: Of a static member.
        epoch: The generation id, or the epoch of a member of the consumer protocol; -1 for none.
        partitions: (topic id, partition) of each offset that will be written.
        is_transactional: The offsets are part of a transaction. Kafka lets these pass where the
            assignment is not known yet, and from those who do not say that they are members.
        knows_member_epochs: The version of the request can be of the consumer protocol.
    """

    member_id: str
    group_instance_id: str | None
    epoch: int
    partitions: Iterable[tuple[bytes, int]] = ()
    is_transactional: bool = False
    knows_member_epochs: bool = True

    @property
    def is_anonymous(self) -> bool:
        """Whether it does not say that it is a member."""
        return self.epoch < 0 and not self.member_id and self.group_instance_id is None
