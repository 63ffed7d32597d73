"""The group coordinator as it runs: pure shards, driven by requests, timers and the log.

One shard serves one partition of __consumer_offsets, and a group belongs to the partition that its
id hashes to. An operation goes through here without an await:

    shard decides -> its records are appended as one batch -> and replayed -> timers are armed

Answers leave when everything that the shard has written so far is durable; only heartbeats do not
wait, so that a stalled disk costs nobody its membership. JoinGroup and SyncGroup may be parked:
the request holds a future, the shard a token, and a later operation brings the two together.

When the append fails nothing is replayed, and the shard puts its soft state right. Which broker
coordinates a partition is what the metadata says: its leader. A partition is loaded by replaying
its log, in pieces read by a thread; until then clients are told to come back.

Source: KIP-848's coordinator runtime; Kafka's CoordinatorRuntime and GroupCoordinatorService.
"""

from pykbroker.coordinator.runtime.group_coordinator import GroupCoordinator

__all__ = ["GroupCoordinator"]
