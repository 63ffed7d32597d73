import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the Admin client does with topics, settings, offsets, groups and the cluster. */
class Administration {
    static void topics(Client client) throws Exception {
        String topic = client.name;
        try (Admin admin = client.admin()) {
            CreateTopicsResult made = admin.createTopics(
                List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "12345"))));
            Client.same(2, made.numPartitions(topic).get());
            Client.same(1, made.replicationFactor(topic).get());
            Client.same("12345", made.config(topic).get().get("retention.ms").value());
            Client.eventually("the topic", () -> admin.listTopics().names().get().contains(topic));

            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
            try (KafkaConsumer<String, String> consumer = client.consumer()) {
                Client.eventually("four partitions", () -> {
                    try (KafkaConsumer<String, String> fresh = client.consumer()) {
                        return fresh.partitionsFor(topic).size() == 4;
                    }
                });
                consumer.partitionsFor(topic).forEach(each -> Client.same(1, each.leader().id()));
            }
            admin.deleteTopics(List.of(topic)).all().get();
            Client.eventually("its end", () -> !admin.listTopics().names().get().contains(topic));
        }
    }

    static void errorsOfTopics(Client client) throws Exception {
        String topic = client.topic(3);
        try (Admin admin = client.admin()) {
            Client.fails(TopicExistsException.class, () -> create(admin, new NewTopic(topic, 1, (short) 1)));
            Client.fails(InvalidTopicException.class, () -> create(admin, new NewTopic("no/name", 1, (short) 1)));
            Client.fails(InvalidReplicationFactorException.class,
                () -> create(admin, new NewTopic(topic + "-two", 1, (short) 2)));
            Client.fails(InvalidPartitionsException.class,
                () -> create(admin, new NewTopic(topic + "-none", 0, (short) 1)));
            Client.fails(InvalidConfigurationException.class,
                () -> create(admin, new NewTopic(topic + "-bad", 1, (short) 1).configs(Map.of("nope", "1"))));
            Client.fails(InvalidReplicaAssignmentException.class,
                () -> create(admin, new NewTopic(topic + "-far", Map.of(0, List.of(9)))));
            Client.fails(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
            Client.fails(UnknownTopicOrPartitionException.class,
                () -> admin.deleteTopics(List.of(topic + "-nowhere")).all().get());
        }
    }

    private static Void create(Admin admin, NewTopic topic) throws Exception {
        return admin.createTopics(List.of(topic)).all().get();
    }

    static void configs(Client client) throws Exception {
        String topic = client.topic(1);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = client.admin()) {
            alter(admin, resource, "max.message.bytes", "5000", AlterConfigOp.OpType.SET);
            alter(admin, resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            Client.eventually("the settings", () -> {
                Config found = admin.describeConfigs(List.of(resource)).all().get().get(resource);
                return found.get("max.message.bytes").value().equals("5000")
                    && found.get("cleanup.policy").value().equals("delete,compact");
            });
            ConfigEntry entry =
                admin.describeConfigs(List.of(resource)).all().get().get(resource).get("max.message.bytes");
            Client.same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry.source());
            Client.check(!entry.isDefault() && !entry.isReadOnly() && !entry.isSensitive(), "flags");

            alter(admin, resource, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
            alter(admin, resource, "max.message.bytes", "", AlterConfigOp.OpType.DELETE);
            Client.eventually("the defaults", () -> {
                Config found = admin.describeConfigs(List.of(resource)).all().get().get(resource);
                return found.get("max.message.bytes").value().equals("1048588")
                    && found.get("cleanup.policy").value().equals("delete");
            });
            Client.fails(InvalidConfigurationException.class, () -> {
                alter(admin, resource, "retention.ms", "soon", AlterConfigOp.OpType.SET);
                return null;
            });
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
            Config found = admin.describeConfigs(List.of(broker)).all().get().get(broker);
            Client.same("1", found.get("node.id").value());
        }
    }

    private static void alter(
            Admin admin, ConfigResource resource, String key, String value, AlterConfigOp.OpType how)
            throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(key, value), how);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    static void offsetsAndDeletedRecords(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        client.send(partition.topic(), 0, "a", "b", "c", "d");
        try (Admin admin = client.admin()) {
            Client.same(0L, offset(admin, partition, OffsetSpec.earliest()));
            Client.same(4L, offset(admin, partition, OffsetSpec.latest()));
            Client.same(0L, offset(admin, partition, OffsetSpec.forTimestamp(1_500_000_000_000L)));
            Client.same(-1L, offset(admin, partition, OffsetSpec.forTimestamp(9_999_999_999_999L)));
            Client.same(3L, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(3)))
                .lowWatermarks().get(partition).get().lowWatermark());
            Client.same(3L, offset(admin, partition, OffsetSpec.earliest()));
            Client.fails(OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(5))).all().get());
            Client.same(4L, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1)))
                .lowWatermarks().get(partition).get().lowWatermark());
        }
    }

    private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    static void groups(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        String group = client.name;
        client.send(partition.topic(), 0, "a", "b", "c");
        try (Admin admin = client.admin()) {
            try (KafkaConsumer<String, String> consumer = client.consumer("group.id", group)) {
                consumer.subscribe(List.of(partition.topic()));
                Client.poll(consumer, 3);
                consumer.commitSync();
                ConsumerGroupDescription found =
                    admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                Client.same("Stable", found.state().toString());
                Client.same(1, found.coordinator().id());
                Client.same(1, found.members().size());
                Client.same(Set.of(partition),
                    found.members().iterator().next().assignment().topicPartitions());
                Client.fails(GroupNotEmptyException.class,
                    () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            Client.check(admin.listConsumerGroups().all().get().stream()
                .anyMatch(each -> each.groupId().equals(group)), "the group is listed");
            Client.same(3L, committed(admin, group, partition));
            admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1, "by hand")))
                .all().get();
            Client.same(1L, committed(admin, group, partition));
            admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
            Client.same(-1L, committed(admin, group, partition));
            admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(2))).all().get();
            admin.deleteConsumerGroups(List.of(group)).all().get();
            Client.fails(GroupIdNotFoundException.class,
                () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        }
    }

    private static long committed(Admin admin, String group, TopicPartition partition) throws Exception {
        OffsetAndMetadata found = admin.listConsumerGroupOffsets(group)
            .partitionsToOffsetAndMetadata().get().get(partition);
        return found == null ? -1 : found.offset();
    }

    static void removedMembers(Client client) throws Exception {
        String topic = client.topic(1);
        String group = client.name;
        try (Admin admin = client.admin();
                KafkaConsumer<String, String> consumer =
                    client.consumer("group.id", group, "group.instance.id", "fixed")) {
            consumer.subscribe(List.of(topic));
            Client.eventually("an assignment", () -> {
                consumer.poll(Client.SOON);
                return !consumer.assignment().isEmpty();
            });
            admin.removeMembersFromConsumerGroup(
                group, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("fixed")))).all().get();
            Client.eventually("an empty group", () -> admin.describeConsumerGroups(List.of(group)).all().get()
                .get(group).members().isEmpty());
        }
    }

    static void cluster(Client client) throws Exception {
        String topic = client.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        client.send(topic, 0, "a");
        try (Admin admin = client.admin()) {
            DescribeClusterResult cluster = admin.describeCluster();
            Client.same(22, cluster.clusterId().get().length());
            Client.same(1, cluster.controller().get().id());
            Node node = cluster.nodes().get().iterator().next();
            Client.same(client.address, node.host() + ":" + node.port());
            Map<String, LogDirDescription> directories =
                admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1);
            Client.same(1, directories.size());
            LogDirDescription directory = directories.values().iterator().next();
            Client.same(null, directory.error());
            Client.check(directory.replicaInfos().get(partition).size() > 0, "the log has a size");

            Client.check(admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get()
                .get(partition).get() instanceof ElectionNotNeededException, "no election is needed");
            Client.same(Map.of(), admin.listPartitionReassignments().reassignments().get());
            Client.fails(NoReassignmentInProgressException.class, () -> admin.alterPartitionReassignments(
                Map.of(partition, java.util.Optional.<NewPartitionReassignment>empty())).all().get());
        }
    }
}
