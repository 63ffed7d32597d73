"""Where group requests go: the right partition, and what holds for the request as a whole."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, cast
from uuid import uuid4

from pykbroker.clock import Clock, TimerHandle
from pykbroker.config.broker import BrokerConfig
from pykbroker.config.group import ConsumerGroupConfig
from pykbroker.coordinator.group.consumer.checks import check_request as check_consumer_heartbeat
from pykbroker.coordinator.group.consumer.settings import (
    ConsumerGroupSettings,
    ConsumerGroupTimes,
    MigrationPolicy,
)
from pykbroker.coordinator.group.java_text import partition_for
from pykbroker.coordinator.group.join import check_request
from pykbroker.coordinator.group.joining import join_error
from pykbroker.coordinator.group.shard import GroupShard
from pykbroker.coordinator.group.step import Caller, GroupSettings, Step
from pykbroker.coordinator.runtime.coordinated_topic import CoordinatedTopic, Logs, Metadata
from pykbroker.coordinator.runtime.partition import (
    CoordinatorLog,
    CoordinatorPartition,
    RecordStorage,
)
from pykbroker.durability import GroupCommit
from pykbroker.metadata.image import Configs, MetadataImage
from pykbroker.protocol.compression import Codec
from pykbroker.protocol.errors import ErrorCode, KafkaError
from pykbroker.protocol.messages.consumer_group_describe import (
    DescribedGroup as DescribedConsumerGroup,
)
from pykbroker.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pykbroker.protocol.messages.delete_groups import DeletableGroupResult
from pykbroker.protocol.messages.describe_groups import DescribedGroup
from pykbroker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pykbroker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pykbroker.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from pykbroker.protocol.messages.list_groups import ListedGroup
from pykbroker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from pykbroker.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from pykbroker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
)
from pykbroker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from pykbroker.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)
from pykbroker.request_context import Deferred

OFFSETS_TOPIC: Final = "__consumer_offsets"
CONSUMER_PROTOCOL: Final = "consumer"
MINUTE_MS: Final = 60_000


GroupPartition = CoordinatorPartition[GroupShard, Step]


def _random_uuid() -> str:
    return str(uuid4())


class GroupCoordinator:
    """All groups that this broker coordinates.

    Operations on a group raise KafkaError: NOT_COORDINATOR when another broker (or none) leads the
    group's partition, COORDINATOR_LOAD_IN_PROGRESS while it is loaded, COORDINATOR_NOT_AVAILABLE
    before `start` and after `close`. A method that is a plain function answers at once.

    Args:
        config: Gives the broker's current settings.
        clock: Wall time, timers.
        metadata: Says which partitions there are and who leads them.
        logs: Gives the logs of the partitions that this broker has.
        durability: Makes answers wait for the disk.
        new_uuid: Makes the random part of member ids.
    """

    def __init__(
        self,
        config: Callable[[], BrokerConfig],
        clock: Clock,
        metadata: Metadata,
        logs: Logs,
        durability: GroupCommit,
        *,
        new_uuid: Callable[[], str] = _random_uuid,
    ) -> None:
        self._config = config
        self._clock = clock
        self._metadata = metadata
        self._durability = durability
        self._new_uuid = new_uuid
        self._topic = CoordinatedTopic(OFFSETS_TOPIC, metadata, logs, self._new_partition)
        self._retention_timer: TimerHandle | None = None
        self._settings_of: tuple[BrokerConfig, Configs, GroupSettings] | None = None

    # Lifecycle

    def start(self) -> None:
        """Begin to serve: partitions without records at once, others as soon as they are loaded.

        Must be called in the event loop, once the logs are open.
        """
        self._metadata.subscribe(self._on_new_image)
        self._topic.start()
        self._schedule_retention()

    async def loaded(self) -> None:
        """Return when every partition that is being loaded now has been."""
        await self._topic.loaded()

    async def close(self) -> None:
        """Stop serving; parked requests are answered with NOT_COORDINATOR."""
        if self._retention_timer is not None:
            self._retention_timer.cancel()
        await self._topic.close()

    def logs_made(self) -> None:
        """Load what could not be loaded because its log was missing until now."""
        self._topic.logs_made()

    def _on_new_image(self, old: MetadataImage, new: MetadataImage) -> None:
        if not self._topic.is_active:
            return
        self._topic.follow_leadership(new)
        deleted = [
            (topic.name, topic_id)
            for topic_id, topic in old.topics_by_id.items()
            if topic_id not in new.topics_by_id
        ]
        for partition in list(self._topic.partitions.values()):
            if deleted:
                partition.run_when_loaded(partial(partition.shard.forget_topics, deleted=deleted))
            if old.topics is not new.topics:
                has_new = bool(new.topics_by_id.keys() - old.topics_by_id.keys())
                partition.shard.topics_changed(has_new=has_new)

    def _new_partition(self, index: int, partition_log: CoordinatorLog) -> GroupPartition:
        config = self._config()
        return CoordinatorPartition(
            OFFSETS_TOPIC,
            index,
            partition_log,
            GroupShard(self._new_uuid),
            self._clock,
            self._durability,
            lambda now_ms: Step(now_ms, self._settings(), self._metadata.image),
            RecordStorage(
                Codec(config.offsets_topic_compression_codec),
                config.offsets_load_buffer_size,
                base_sequence=0,
            ),
        )

    def _settings(self) -> GroupSettings:
        config, group_configs = self._config(), self._metadata.image.group_configs
        known = self._settings_of
        if known is None or known[0] is not config or known[1] is not group_configs:
            known = (config, group_configs, _group_settings(config, group_configs))
            self._settings_of = known
        return known[2]

    # Retention

    def _schedule_retention(self) -> None:
        interval_ms = self._config().offsets_retention_check_interval_ms
        self._retention_timer = self._clock.call_later(interval_ms, self._check_retention)

    def _check_retention(self) -> None:
        self._expire_next(sorted(self._topic.partitions))

    def _expire_next(self, indexes: list[int]) -> None:
        """Clean one partition up and let the loop serve others before the next one."""
        if not indexes:
            self._schedule_retention()
            return
        partition = self._topic.partitions.get(indexes[0])
        if partition is not None and not partition.is_loading:
            partition.run_in_batches(partition.shard.expire_offsets)
        self._retention_timer = self._clock.call_later(0, partial(self._expire_next, indexes[1:]))

    # Requests

    def join_group(
        self, request: JoinGroupRequest, caller: Caller
    ) -> asyncio.Future[JoinGroupResponse]:
        """Handle JoinGroup; the answer comes when the join phase of the rebalance ends."""
        self._topic.check_active()
        error_code = check_request(request, self._settings())
        if error_code is not ErrorCode.NONE:
            refused = asyncio.get_running_loop().create_future()
            refused.set_result(join_error(error_code, request.member_id))
            return refused
        partition = self._topic.partition_of(request.group_id)
        answer = partition.park(
            lambda step, token: partition.shard.join(step, request, caller, token)
        )
        return cast("asyncio.Future[JoinGroupResponse]", answer)

    def sync_group(self, request: SyncGroupRequest) -> asyncio.Future[SyncGroupResponse]:
        """Handle SyncGroup; the answer comes with the leader's assignment."""
        partition = self._topic.partition_of(self._check_group_id(request.group_id))
        answer = partition.park(lambda step, token: partition.shard.sync(step, request, token))
        return cast("asyncio.Future[SyncGroupResponse]", answer)

    def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Handle Heartbeat; while the group is loaded every member is believed to live."""
        try:
            partition = self._topic.partition_of(self._check_group_id(request.group_id))
        except KafkaError as error:
            if error.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                return HeartbeatResponse()
            raise
        return partition.run(lambda step: partition.shard.heartbeat(step, request))

    def consumer_group_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, caller: Caller
    ) -> ConsumerGroupHeartbeatResponse | Deferred[ConsumerGroupHeartbeatResponse]:
        """Handle ConsumerGroupHeartbeat; one that changes nothing does not wait for the disk."""
        self._check_consumer_protocol()
        self._topic.check_active()
        check_consumer_heartbeat(request, caller.api_version, self._settings().consumer)
        partition = self._topic.partition_of(request.group_id)
        end_before = partition.log.log_end_offset
        response = partition.run(
            lambda step: partition.shard.consumer_heartbeat(step, request, caller)
        )
        if partition.log.log_end_offset == end_before:
            return response
        return partition.when_durable(response)

    async def leave_group(self, request: LeaveGroupRequest) -> LeaveGroupResponse:
        """Handle LeaveGroup."""
        partition = self._topic.partition_of(self._check_group_id(request.group_id))
        response = partition.run(lambda step: partition.shard.leave(step, request))
        return await partition.durable(response)

    def commit_offsets(
        self, request: OffsetCommitRequest, api_version: int
    ) -> OffsetCommitResponse | Deferred[OffsetCommitResponse]:
        """Handle OffsetCommit; the empty group id is one like any other, as in Kafka.

        Of all group requests this is the one that comes most often with something to write, so it
        costs no task where the disk is not waited for.
        """
        partition = self._topic.partition_of(request.group_id)
        response = partition.run(
            lambda step: partition.shard.commit_offsets(step, request, api_version)
        )
        return partition.when_durable(response)

    async def commit_offsets_in_transaction(
        self, request: TxnOffsetCommitRequest, confirm: Callable[[int], Awaitable[None]]
    ) -> TxnOffsetCommitResponse:
        """Handle TxnOffsetCommit.

        Args:
            request: What to commit. It counts when the marker of the transaction does.
            confirm: Makes sure that a partition of __consumer_offsets is part of the transaction,
                or raises KafkaError. Is asked unless the log knows it, and is the last to have
                waited when the offsets are appended.

        Raises:
            KafkaError: What `partition_of` raises, but COORDINATOR_NOT_AVAILABLE as long as there
                is no topic: it is missed when the transaction is to be verified.
        """
        self._check_group_id(request.group_id)
        self._topic.check_active()
        if self._metadata.image.topic(OFFSETS_TOPIC) is None:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        partition = self._topic.partition_of(request.group_id)
        producer = (request.producer_id, request.producer_epoch)
        if not partition.log.has_open_transaction(*producer):
            await confirm(partition.index)
            partition = self._topic.partition_of(request.group_id)
        response = partition.run(
            lambda step: partition.shard.commit_offsets_in_transaction(step, request), producer
        )
        return await partition.durable(response)

    def offsets_partition(self, group_id: str) -> int:
        """Return which partition of __consumer_offsets a group belongs to, whoever leads it.

        Raises:
            KafkaError: COORDINATOR_NOT_AVAILABLE.
        """
        self._topic.check_active()
        topic = self._metadata.image.topic(OFFSETS_TOPIC)
        planned = self._config().offsets_topic_num_partitions
        return partition_for(group_id, planned if topic is None else len(topic.partitions))

    def end_transaction(
        self,
        index: int,
        producer_id: int,
        producer_epoch: int,
        *,
        is_commit: bool,
        coordinator_epoch: int,
        transaction_version: int = 0,
    ) -> None:
        """Append the marker of a transaction to a partition of __consumer_offsets.

        With it the offsets of the transaction are seen, or never are.

        Raises:
            KafkaError: COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, or
                what the log refused, INVALID_PRODUCER_EPOCH among it; then nothing has happened.
        """
        self._topic.check_active()
        partition = self._topic.partitions.get(index)
        if partition is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        if partition.is_loading:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        partition.end_transaction(
            producer_id,
            producer_epoch,
            is_commit=is_commit,
            coordinator_epoch=coordinator_epoch,
            transaction_version=transaction_version,
        )

    async def fetch_offsets(
        self, request: OffsetFetchRequestGroup, *, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        """Handle OffsetFetch for one group; only what is durable is told."""
        partition = self._topic.partition_of(request.group_id)
        response = partition.shard.fetch_offsets(request, require_stable=require_stable)
        return await partition.durable(response)

    async def delete_offsets(self, request: OffsetDeleteRequest) -> OffsetDeleteResponse:
        """Handle OffsetDelete."""
        partition = self._topic.partition_of(self._check_group_id(request.group_id))
        response = partition.run(lambda step: partition.shard.delete_offsets(step, request))
        return await partition.durable(response)

    async def describe_group(self, group_id: str) -> DescribedGroup:
        """Handle DescribeGroups for one group; only what is durable is told."""
        partition = self._topic.partition_of(group_id)
        return await partition.durable(partition.shard.describe(group_id))

    async def describe_consumer_group(self, group_id: str) -> DescribedConsumerGroup:
        """Handle ConsumerGroupDescribe for one group; only what is durable is told."""
        self._check_consumer_protocol()
        partition = self._topic.partition_of(self._check_group_id(group_id))
        described = partition.shard.describe_consumer_group(partition.new_step(), group_id)
        return await partition.durable(described)

    async def list_groups(self, states: Sequence[str], types: Sequence[str]) -> list[ListedGroup]:
        """Handle ListGroups; only what is durable is told.

        The groups of a partition whose disk refuses are left out, as they have no coordinator.

        Raises:
            KafkaError: COORDINATOR_LOAD_IN_PROGRESS when not all groups are known yet.
        """
        partitions = self._topic.all_loaded()
        # All are asked before the first one is waited for: their flushes run side by side.
        answers = [
            partition.when_durable(partition.shard.list_groups(states, types))
            for partition in partitions
        ]
        groups: list[ListedGroup] = []
        refusal: KafkaError | None = None
        for answer in answers:
            try:
                groups += await answer if isinstance(answer, Deferred) else answer
            except KafkaError as error:
                if error.code is not ErrorCode.NOT_COORDINATOR:
                    refusal = error
        if refusal is not None:
            raise refusal
        return groups

    async def delete_group(self, group_id: str) -> DeletableGroupResult:
        """Handle DeleteGroups for one group."""
        partition = self._topic.partition_of(group_id)
        (result,) = partition.run(lambda step: partition.shard.delete_groups(step, [group_id]))
        return await partition.durable(result)

    def _check_consumer_protocol(self) -> None:
        if CONSUMER_PROTOCOL not in self._config().group_coordinator_rebalance_protocols:
            raise KafkaError(
                ErrorCode.UNSUPPORTED_VERSION,
                "group.coordinator.rebalance.protocols leaves consumer groups out",
            )

    def _check_group_id(self, group_id: str) -> str:
        self._topic.check_active()
        if not group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        return group_id


def _group_settings(config: BrokerConfig, group_configs: Configs) -> GroupSettings:
    return GroupSettings(
        max_size=config.group_max_size,
        min_session_timeout_ms=config.group_min_session_timeout_ms,
        max_session_timeout_ms=config.group_max_session_timeout_ms,
        initial_rebalance_delay_ms=config.group_initial_rebalance_delay_ms,
        offset_metadata_max_bytes=config.offset_metadata_max_bytes,
        offsets_retention_ms=config.offsets_retention_minutes * MINUTE_MS,
        consumer=ConsumerGroupSettings(
            max_size=config.group_consumer_max_size,
            assignors=config.group_consumer_assignors,
            migration_policy=MigrationPolicy(config.group_consumer_migration_policy.lower()),
            regex_refresh_interval_ms=config.group_consumer_regex_refresh_interval_ms,
            times=_consumer_group_times({}, config),
            overrides={
                group_id: _consumer_group_times(overrides, config)
                for group_id, overrides in group_configs.items()
            },
        ),
    )


def _consumer_group_times(overrides: Mapping[str, str], config: BrokerConfig) -> ConsumerGroupTimes:
    times = ConsumerGroupConfig.of(overrides, config)
    return ConsumerGroupTimes(
        session_timeout_ms=times.session_timeout_ms,
        heartbeat_interval_ms=times.heartbeat_interval_ms,
        assignment_interval_ms=times.assignment_interval_ms,
    )
