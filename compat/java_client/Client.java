import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Runs one scenario against a broker: `Client CLASS.METHOD HOST:PORT NAME`, NAME being one that
 * nothing else uses. Clients of 2.8 and of 4.x both compile and run it.
 */
public class Client {
    static final Duration SOON = Duration.ofMillis(200);
    static final long DEADLINE_MS = 30_000;

    final String address;
    final String name;

    Client(String address, String name) {
        this.address = address;
        this.name = name;
    }

    public static void main(String[] args) throws Throwable {
        String[] scenario = args[0].split("\\.");
        Method method = Class.forName(scenario[0]).getDeclaredMethod(scenario[1], Client.class);
        try {
            method.invoke(null, new Client(args[1], args[2]));
        } catch (InvocationTargetException failed) {
            throw failed.getCause();
        }
        System.out.println("done " + args[0]);
    }

    Map<String, Object> settings(String... pairs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", address);
        for (int index = 0; index < pairs.length; index += 2) {
            settings.put(pairs[index], pairs[index + 1]);
        }
        return settings;
    }

    Admin admin() {
        return Admin.create(settings());
    }

    KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(String... pairs) {
        Map<String, Object> settings = settings("auto.offset.reset", "earliest");
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    /** Creates a topic called like the scenario. */
    String topic(int partitions) throws Exception {
        return topic(name, partitions, Map.of());
    }

    String topic(String topic, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            NewTopic wanted = new NewTopic(topic, partitions, (short) 1).configs(configs);
            admin.createTopics(List.of(wanted)).all().get();
            // Apache Kafka answers before it can lead the partitions. A producer whose first batch
            // comes too early and whose second one does not gets no further.
            Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
            for (int partition = 0; partition < partitions; partition++) {
                ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
            }
            eventually("the partitions", () -> areLed(admin, ends));
        }
        return topic;
    }

    private static boolean areLed(Admin admin, Map<TopicPartition, OffsetSpec> ends) throws Exception {
        try {
            admin.listOffsets(ends).all().get();
            return true;
        } catch (ExecutionException failed) {
            check(failed.getCause() instanceof UnknownTopicOrPartitionException, failed.toString());
            return false;
        }
    }

    /** Sends values to one partition, and waits for all of them; gives their offsets. */
    List<Long> send(String topic, int partition, String... values) throws Exception {
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer()) {
            for (String value : values) {
                RecordMetadata at = producer.send(new ProducerRecord<>(topic, partition, null, value)).get();
                offsets.add(at.offset());
            }
        }
        return offsets;
    }

    /** Polls until so many records are there, and then no more come with them. */
    static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (records.size() < count) {
            check(System.currentTimeMillis() < deadline, "only " + records.size() + " of " + count);
            consumer.poll(SOON).forEach(records::add);
        }
        same(count, records.size());
        return records;
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        List<String> values = new ArrayList<>();
        records.forEach(record -> values.add(record.value()));
        return values;
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (!condition.call()) {
            check(System.currentTimeMillis() < deadline, what + " did not come");
            Thread.sleep(20);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void same(Object wanted, Object found) {
        check(Objects.equals(wanted, found), "wanted " + wanted + ", found " + found);
    }

    /** The request must fail with this exception. */
    static void fails(Class<? extends Exception> wanted, Callable<?> request) {
        try {
            Object answer = request.call();
            throw new AssertionError("wanted " + wanted.getSimpleName() + ", got " + answer);
        } catch (ExecutionException failed) {
            check(wanted.isInstance(failed.getCause()), "wanted " + wanted + ", got " + failed.getCause());
        } catch (Exception failed) {
            check(wanted.isInstance(failed), "wanted " + wanted + ", got " + failed);
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
