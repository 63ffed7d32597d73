import java.lang.reflect.InvocationTargetException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.KafkaStorageException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Programs on kafka-clients under faults: `Faults SCENARIO HOST:PORT CONTROL TOPIC` runs one. */
public class Faults {
    private static final long DEADLINE_MS = 30_000;
    private static final Duration SOON = Duration.ofMillis(100);

    private final String address;
    private final Control control;
    private final String topic;

    private Faults(String address, String control, String topic) {
        this.address = address;
        this.control = new Control(control);
        this.topic = topic;
    }

    public static void main(String[] args) throws Throwable {
        Faults faults = new Faults(args[1], args[2], args[3]);
        try (Admin admin = Admin.create(faults.settings())) {
            admin.createTopics(List.of(new NewTopic(args[3], 1, (short) 1))).all().get();
        }
        try {
            Faults.class.getDeclaredMethod(args[0]).invoke(faults);
        } catch (InvocationTargetException failed) {
            throw failed.getCause();
        } finally {
            faults.control.clearRules();
            faults.control.changeBroker("{\"available\": true, \"disk_full\": false}");
        }
        System.out.println("done " + args[0]);
    }

    void anErrorThatPassesIsTriedAgain() throws Exception {
        String rule = rule("Produce", "\"error\": \"NOT_LEADER_OR_FOLLOWER\", \"times\": 2");
        try (KafkaProducer<String, String> producer = producer()) {
            place(producer, "a book").get();
        }
        expect(2, control.applied(rule));
        expect(List.of("a book"), read(1));
    }

    void aRefusalForGoodIsNotTriedAgain() throws Exception {
        String rule = rule("Produce", "\"error\": \"TOPIC_AUTHORIZATION_FAILED\"");
        try (KafkaProducer<String, String> producer = producer()) {
            expectFailure(TopicAuthorizationException.class, () -> place(producer, "a book").get());
        }
        expect(1, control.applied(rule));
    }

    void anAnswerLostAfterTheAppendIsNoSecondRecord() throws Exception {
        String rule = rule("Produce", "\"lose_answer\": true, \"times\": 1");
        try (KafkaProducer<String, String> producer = producer("request.timeout.ms", "500")) {
            place(producer, "a book").get();
            place(producer, "a pen").get();
        }
        expect(1, control.applied(rule));
        expect(3, control.matched(rule));
        expect(List.of("a book", "a pen"), read(2));
    }

    void withoutIdempotenceItIsASecondRecord() throws Exception {
        rule("Produce", "\"close\": \"after\", \"times\": 1");
        try (KafkaProducer<String, String> producer = producer("enable.idempotence", "false")) {
            place(producer, "a book").get();
        }
        expect(List.of("a book", "a book"), read(2));
    }

    void aConnectionClosedAfterEndTxnCommitsOnce() throws Exception {
        String rule = endTxnRule("\"close\": \"after\", \"times\": 1");
        try (KafkaProducer<String, String> producer = transactionalProducer()) {
            producer.initTransactions();
            for (String order : List.of("a book", "a pen")) {
                producer.beginTransaction();
                place(producer, order);
                producer.commitTransaction();
            }
        }
        expect(1, control.applied(rule));
        expect(3, control.matched(rule));
        expect(List.of("a book", "a pen"), read(2));
    }

    void aProducerFencedAfterEndTxnHasCommitted() throws Exception {
        String rule = endTxnRule("\"error\": \"PRODUCER_FENCED\", \"after_effect\": true, \"times\": 1");
        try (KafkaProducer<String, String> producer = transactionalProducer()) {
            producer.initTransactions();
            producer.beginTransaction();
            place(producer, "a book");
            expectFailure(ProducerFencedException.class, producer::commitTransaction);
        }
        expect(1, control.applied(rule));
        expect(List.of("a book"), read(1));
    }

    void aTransactionThatHasTimedOutIsGone() throws Exception {
        try (KafkaProducer<String, String> producer = transactionalProducer()) {
            producer.initTransactions();
            producer.beginTransaction();
            place(producer, "a book").get();
            control.advance(120);
            expectFailure(KafkaException.class, producer::commitTransaction);
        }
        try (KafkaProducer<String, String> producer = producer()) {
            place(producer, "a pen").get();
        }
        expect(List.of("a pen"), read(1));
    }

    void aFullDiskTakesRecordsAgainWhenThereIsRoom() throws Exception {
        control.changeBroker("{\"disk_full\": true}");
        try (KafkaProducer<String, String> producer =
                producer("enable.idempotence", "false", "retries", "0")) {
            expectFailure(KafkaStorageException.class, () -> place(producer, "a book").get());
            control.changeBroker("{\"disk_full\": false}");
            place(producer, "a pen").get();
        }
        expect(List.of("a pen"), read(1));
    }

    void aBrokerThatIsAwayForAWhile() throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            place(producer, "a book").get();
            control.changeBroker("{\"available\": false}");
            Future<RecordMetadata> placed = place(producer, "a pen");
            expect(false, placed.isDone());
            control.changeBroker("{\"available\": true}");
            placed.get();
        }
        expect(List.of("a book", "a pen"), read(2));
    }

    void aMemberCutOffUntilItsSessionHasExpiredJoinsAgain() throws Exception {
        List<String> heard = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer("heartbeat.interval.ms", "100")) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(java.util.Collection<TopicPartition> given) {
                    heard.add("assigned");
                }

                @Override
                public void onPartitionsRevoked(java.util.Collection<TopicPartition> taken) {
                    heard.add("revoked");
                }

                @Override
                public void onPartitionsLost(java.util.Collection<TopicPartition> lost) {
                    heard.add("lost");
                }
            });
            long end = System.currentTimeMillis() + DEADLINE_MS;
            while (heard.size() < 1 && System.currentTimeMillis() < end) {
                consumer.poll(SOON);
            }
            String match = "{\"api\": [\"Heartbeat\"], \"group\": \"%s\", \"close\": \"before\"}";
            control.addRule(match.formatted(topic));
            control.advance(60);
            control.clearRules();
            while (heard.size() < 3 && System.currentTimeMillis() < end) {
                consumer.poll(SOON);
            }
            expect(List.of("assigned", "lost", "assigned"), heard);
        }
    }

    void aCoordinatorThatMovesKeepsWhatWasCommitted() throws Exception {
        try (KafkaProducer<String, String> producer = producer();
                KafkaConsumer<String, String> consumer = consumer()) {
            consumer.subscribe(List.of(topic));
            place(producer, "a book").get();
            expect(List.of("a book"), values(consumer, 1));
            consumer.commitSync();
            control.moveCoordinator("{\"group\": \"%s\", \"for_s\": 0.3}".formatted(topic));
            place(producer, "a pen").get();
            expect(List.of("a pen"), values(consumer, 1));
            consumer.commitSync();
            TopicPartition partition = new TopicPartition(topic, 0);
            expect(2L, consumer.committed(java.util.Set.of(partition)).get(partition).offset());
        }
    }

    // -- what the scenarios share ------------------------------------------------------------

    private interface Action {
        void run() throws Exception;
    }

    private String rule(String api, String gets) throws Exception {
        return control.addRule("{\"api\": [\"%s\"], \"topic\": \"%s\", %s}".formatted(api, topic, gets));
    }

    private String endTxnRule(String gets) throws Exception {
        String match = "{\"api\": [\"EndTxn\"], \"transactional_id\": \"%s\", %s}";
        return control.addRule(match.formatted(topic, gets));
    }

    private Map<String, Object> settings(String... pairs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", address);
        for (int index = 0; index < pairs.length; index += 2) {
            settings.put(pairs[index], pairs[index + 1]);
        }
        return settings;
    }

    private KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    private KafkaProducer<String, String> transactionalProducer() {
        return producer("transactional.id", topic, "transaction.timeout.ms", "60000");
    }

    private KafkaConsumer<String, String> consumer(String... pairs) {
        Map<String, Object> settings = settings(pairs);
        settings.put("group.id", topic);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("isolation.level", "read_committed");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    private Future<RecordMetadata> place(KafkaProducer<String, String> producer, String order) {
        return producer.send(new ProducerRecord<>(topic, order));
    }

    /** All that is committed, once it is so much at least. */
    private List<String> read(int count) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            List<String> found = new ArrayList<>(values(consumer, count));
            while (consumer.position(partition) < end) {
                found.addAll(values(consumer, 0));
            }
            return found;
        }
    }

    private List<String> values(KafkaConsumer<String, String> consumer, int count) {
        List<String> found = new ArrayList<>();
        long end = System.currentTimeMillis() + DEADLINE_MS;
        do {
            for (ConsumerRecord<String, String> record : consumer.poll(SOON)) {
                found.add(record.value());
            }
        } while (found.size() < count && System.currentTimeMillis() < end);
        return found;
    }

    private static void expect(Object wanted, Object found) {
        if (!Objects.equals(wanted, found)) {
            throw new AssertionError("expected " + wanted + ", found " + found);
        }
    }

    private static void expectFailure(Class<? extends Exception> wanted, Action action) {
        try {
            action.run();
        } catch (Exception failure) {
            Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
            if (!wanted.isInstance(cause)) {
                throw new AssertionError("expected " + wanted, cause);
            }
            return;
        }
        throw new AssertionError("expected " + wanted);
    }
}
