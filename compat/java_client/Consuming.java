import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.WakeupException;

/** What KafkaConsumer does alone and in a group. */
class Consuming {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";

    static void range(Client client) throws Exception {
        groupOfTwo(client, "RangeAssignor");
    }

    static void roundRobin(Client client) throws Exception {
        groupOfTwo(client, "RoundRobinAssignor");
    }

    static void sticky(Client client) throws Exception {
        groupOfTwo(client, "StickyAssignor");
    }

    static void cooperativeSticky(Client client) throws Exception {
        groupOfTwo(client, "CooperativeStickyAssignor");
    }

    /** The broker assigns (KIP-848); an old client passes the setting over and assigns itself. */
    static void consumerProtocol(Client client) throws Exception {
        groupOfTwo(client, newProtocol(client), newProtocol(client));
    }

    /** A live group goes from the classic protocol to the new one and back. */
    static void protocolsMix(Client client) throws Exception {
        groupOfTwo(client, classic(client, "RangeAssignor"), newProtocol(client));
    }

    private static String[] newProtocol(Client client) {
        return new String[] {
            "group.id", client.name, "group.protocol", "consumer", "enable.auto.commit", "false",
        };
    }

    private static String[] classic(Client client, String assignor) {
        return new String[] {
            "group.id", client.name, "partition.assignment.strategy", ASSIGNORS + assignor,
            "heartbeat.interval.ms", "200", "enable.auto.commit", "false",
        };
    }

    private static void groupOfTwo(Client client, String assignor) throws Exception {
        groupOfTwo(client, classic(client, assignor), classic(client, assignor));
    }

    /** Four partitions go to one member, are shared by two, and go to the one that stays. */
    private static void groupOfTwo(Client client, String[] settings, String[] others) throws Exception {
        String topic = client.topic(4);
        try (KafkaConsumer<String, String> first = client.consumer(settings)) {
            first.subscribe(List.of(topic));
            Client.eventually("all partitions", () -> assigned(first) == 4);
            try (KafkaConsumer<String, String> second = client.consumer(others)) {
                second.subscribe(List.of(topic));
                Client.eventually("two and two", () -> assigned(first) == 2 & assigned(second) == 2);
                Set<TopicPartition> both = new HashSet<>(first.assignment());
                both.addAll(second.assignment());
                Client.same(4, both.size());

                for (int partition = 0; partition < 4; partition++) {
                    client.send(topic, partition, "in " + partition);
                }
                List<String> read = new ArrayList<>();
                Client.eventually("all records", () -> {
                    first.poll(Client.SOON).forEach(record -> read.add(record.value()));
                    second.poll(Client.SOON).forEach(record -> read.add(record.value()));
                    return read.size() >= 4;
                });
                Client.same(Set.of("in 0", "in 1", "in 2", "in 3"), new HashSet<>(read));
                Client.same(4, read.size());
                first.commitSync();
                second.commitSync();
            }
            Client.eventually("all partitions again", () -> assigned(first) == 4);
        }
        try (KafkaConsumer<String, String> third = client.consumer(settings)) {
            third.subscribe(List.of(topic));
            Client.eventually("an assignment", () -> assigned(third) == 4);
            Set<TopicPartition> all = third.assignment();
            third.committed(all).forEach((partition, at) -> Client.same(1L, at.offset()));
        }
    }

    private static int assigned(KafkaConsumer<String, String> consumer) {
        Client.same(0, consumer.poll(Client.SOON).count());
        return consumer.assignment().size();
    }

    /** A static member that comes back keeps its partitions without a rebalance of the others. */
    static void staticMembership(Client client) throws Exception {
        String topic = client.topic(2);
        AtomicReference<Integer> rebalances = new AtomicReference<>(0);
        ConsumerRebalanceListener counting = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                rebalances.set(rebalances.get() + 1);
            }
        };
        try (KafkaConsumer<String, String> other = client.consumer(member(client, "other"))) {
            other.subscribe(List.of(topic), counting);
            Set<TopicPartition> held;
            int before;
            try (KafkaConsumer<String, String> leaving = client.consumer(member(client, "leaving"))) {
                leaving.subscribe(List.of(topic));
                Client.eventually("one and one", () -> assigned(other) == 1 & assigned(leaving) == 1);
                held = leaving.assignment();
                before = rebalances.get();
            }
            try (KafkaConsumer<String, String> back = client.consumer(member(client, "leaving"))) {
                back.subscribe(List.of(topic));
                Client.eventually("its partition", () -> assigned(other) == 1 & assigned(back) == 1);
                Client.same(held, back.assignment());
                Client.same(before, rebalances.get());

                try (KafkaConsumer<String, String> twin = client.consumer(member(client, "leaving"))) {
                    twin.subscribe(List.of(topic));
                    Client.eventually("its partition", () -> assigned(twin) == 1);
                    Client.fails(FencedInstanceIdException.class, () -> {
                        while (true) {
                            back.poll(Client.SOON);
                            twin.poll(Client.SOON);
                        }
                    });
                }
            }
        }
    }

    private static String[] member(Client client, String instance) {
        return new String[] {
            "group.id", client.name, "group.instance.id", instance, "heartbeat.interval.ms", "200",
        };
    }

    static void commitAndResume(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        client.send(partition.topic(), 0, "a", "b", "c", "d");
        String[] settings = {"group.id", client.name, "enable.auto.commit", "false"};
        try (KafkaConsumer<String, String> consumer = client.consumer(settings)) {
            consumer.subscribe(List.of(partition.topic()));
            Client.poll(consumer, 4);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(2, "half way")));
            Client.same("half way", consumer.committed(Set.of(partition)).get(partition).metadata());
        }
        try (KafkaConsumer<String, String> consumer = client.consumer(settings)) {
            consumer.subscribe(List.of(partition.topic()));
            Client.same(List.of("c", "d"), Client.values(Client.poll(consumer, 2)));
            AtomicReference<Object> answer = new AtomicReference<>();
            consumer.commitAsync((offsets, error) -> answer.set(error == null ? offsets : error));
            Client.eventually("the commit", () -> {
                consumer.poll(Duration.ZERO);
                return answer.get() != null;
            });
            OffsetAndMetadata at = (OffsetAndMetadata) ((Map<?, ?>) answer.get()).get(partition);
            Client.same(4L, at.offset());
        }
        try (KafkaConsumer<String, String> consumer = client.consumer("group.id", client.name)) {
            consumer.subscribe(List.of(partition.topic()));
            Client.eventually("an assignment", () -> assigned(consumer) == 1);
            Client.same(4L, consumer.position(partition));
        }
    }

    static void seekPositionAndLag(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        client.send(partition.topic(), 0, "a", "b", "c", "d");
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 2);
            Client.same(List.of("c", "d"), Client.values(Client.poll(consumer, 2)));
            consumer.seekToBeginning(List.of(partition));
            Client.same(0L, consumer.position(partition));
            consumer.seekToEnd(List.of(partition));
            Client.same(4L, consumer.position(partition));
            Client.same(Map.of(partition, 0L), consumer.beginningOffsets(List.of(partition)));
            Client.same(Map.of(partition, 4L), consumer.endOffsets(List.of(partition)));
        }
    }

    static void offsetsForTimes(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        long base = 1_600_000_000_000L;
        try (KafkaProducer<String, String> producer = client.producer()) {
            for (int number = 0; number < 5; number++) {
                String topic = partition.topic();
                producer.send(new ProducerRecord<>(topic, 0, base + 100 * number, null, "v")).get();
            }
        }
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, base + 150)).get(partition);
            Client.same(2L, found.offset());
            Client.same(base + 200, found.timestamp());
            Client.same(null, consumer.offsetsForTimes(Map.of(partition, base + 500)).get(partition));
        }
    }

    static void pauseAndResume(Client client) throws Exception {
        String topic = client.topic(2);
        TopicPartition paused = new TopicPartition(topic, 0);
        TopicPartition running = new TopicPartition(topic, 1);
        client.send(topic, 0, "paused");
        client.send(topic, 1, "running");
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(paused, running));
            consumer.pause(List.of(paused));
            Client.same(List.of("running"), Client.values(Client.poll(consumer, 1)));
            Client.same(0, consumer.poll(Client.SOON).count());
            consumer.resume(List.of(paused));
            Client.same(List.of("paused"), Client.values(Client.poll(consumer, 1)));
        }
    }

    static void wakeup(Client client) throws Exception {
        String topic = client.topic(1);
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.poll(Client.SOON);
            Thread waker = new Thread(consumer::wakeup);
            waker.start();
            Client.fails(WakeupException.class, () -> consumer.poll(Duration.ofSeconds(30)));
            waker.join();
        }
    }

    static void regularExpression(Client client) throws Exception {
        String first = client.topic(client.name + "-1", 1, Map.of());
        client.topic(client.name + "-other", 1, Map.of());
        try (KafkaConsumer<String, String> consumer =
                client.consumer("group.id", client.name, "metadata.max.age.ms", "500")) {
            consumer.subscribe(Pattern.compile(client.name + "-\\d"));
            Client.eventually("the first topic", () -> assigned(consumer) == 1);
            String second = client.topic(client.name + "-2", 1, Map.of());
            client.send(first, 0, "in the first");
            client.send(second, 0, "in the second");
            Set<String> read = new HashSet<>();
            Client.eventually("records of both", () -> {
                consumer.poll(Client.SOON).forEach(record -> read.add(record.value()));
                return read.size() == 2;
            });
        }
    }

    /** A member that polls too late has lost its place, and may not commit. */
    static void lateMember(Client client) throws Exception {
        String topic = client.topic(1);
        client.send(topic, 0, "a");
        try (KafkaConsumer<String, String> late = client.consumer(
                    "group.id", client.name, "max.poll.interval.ms", "1000", "session.timeout.ms", "1000",
                    "heartbeat.interval.ms", "200", "enable.auto.commit", "false");
                KafkaConsumer<String, String> other = client.consumer(
                    "group.id", client.name, "heartbeat.interval.ms", "200", "enable.auto.commit", "false")) {
            late.subscribe(List.of(topic));
            Client.poll(late, 1);
            other.subscribe(List.of(topic));
            Client.same("a", Client.poll(other, 1).get(0).value());
            Client.fails(CommitFailedException.class, () -> {
                late.commitSync();
                return null;
            });
        }
    }

    static void isolationLevels(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        client.send(partition.topic(), 0, "a", "b");
        try (KafkaConsumer<String, String> consumer = client.consumer("isolation.level", "read_committed")) {
            consumer.assign(List.of(partition));
            Client.same(List.of("a", "b"), Client.values(Client.poll(consumer, 2)));
            Client.same(Map.of(partition, 2L), consumer.endOffsets(List.of(partition)));
        }
    }

    static void errors(Client client) throws Exception {
        TopicPartition partition = new TopicPartition(client.topic(1), 0);
        client.send(partition.topic(), 0, "a");
        try (KafkaConsumer<String, String> consumer = client.consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            Client.fails(NoOffsetForPartitionException.class, () -> consumer.poll(Duration.ofSeconds(10)));
            consumer.seek(partition, 100);
            Client.fails(OffsetOutOfRangeException.class, () -> consumer.poll(Duration.ofSeconds(10)));
        }
        try (KafkaConsumer<String, String> consumer = client.consumer(
                "group.id", client.name, "session.timeout.ms", "100", "heartbeat.interval.ms", "30")) {
            consumer.subscribe(List.of(partition.topic()));
            Client.fails(InvalidSessionTimeoutException.class, () -> consumer.poll(Duration.ofSeconds(10)));
        }
    }

    /** Small fetches of many partitions: incremental fetch sessions, and the order in each partition. */
    static void manyPartitions(Client client) throws Exception {
        int partitions = 20;
        String topic = client.topic(partitions);
        try (KafkaProducer<String, String> producer = client.producer()) {
            for (int number = 0; number < 2000; number++) {
                producer.send(new ProducerRecord<>(topic, number % partitions, null, "value " + number));
            }
        }
        try (KafkaConsumer<String, String> consumer = client.consumer(
                "group.id", client.name, "max.partition.fetch.bytes", "200", "fetch.max.bytes", "1000")) {
            consumer.subscribe(List.of(topic));
            long[] next = new long[partitions];
            int[] count = {0};
            Client.eventually("all records", () -> {
                consumer.poll(Client.SOON).forEach(record -> {
                    Client.same(next[record.partition()]++, record.offset());
                    count[0]++;
                });
                return count[0] == 2000;
            });
        }
    }
}
