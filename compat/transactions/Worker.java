import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** As worker.py, which says what it does: `Worker NAME.LIFE ADDRESS INPUT OUTPUT GROUP`. */
public class Worker {
    private static final int AGAIN = 7;

    public static void main(String[] args) throws Exception {
        Thread running = Thread.currentThread();
        boolean[] isEnding = new boolean[1];
        int[] status = new int[1];
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            isEnding[0] = true;
            try {
                running.join();
            } catch (InterruptedException never) {
                throw new IllegalStateException(never);
            }
            Runtime.getRuntime().halt(status[0]);
        }));
        try (KafkaProducer<String, String> producer = producer(args);
                KafkaConsumer<String, String> consumer = consumer(args)) {
            producer.initTransactions();
            consumer.subscribe(List.of(args[2]));
            while (!isEnding[0]) {
                copy(producer, consumer, args[3]);
            }
        } catch (KafkaException failure) {
            // The successor fences this one, which aborts what it has begun, and reads it again.
            System.out.println(failure);
            status[0] = AGAIN;
        }
        new Thread(() -> System.exit(status[0])).start();
    }

    private static void copy(
            KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer, String output) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) {
            return;
        }
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (ConsumerRecord<String, String> record : records) {
            String value = record.partition() + ":" + record.offset() + ":" + record.value().toUpperCase();
            producer.send(new ProducerRecord<>(output, record.partition(), null, value));
            offsets.put(
                new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
        System.out.println("{\"copied\":" + records.count() + "}");
        System.out.flush();
    }

    private static KafkaProducer<String, String> producer(String[] args) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[1]);
        settings.put("transactional.id", args[0].substring(0, args[0].indexOf('.')));
        settings.put("transaction.timeout.ms", "15000");
        settings.put("reconnect.backoff.max.ms", "100");
        settings.put("max.block.ms", "30000");
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(String[] args) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[1]);
        settings.put("group.id", args[4]);
        settings.put("isolation.level", "read_committed");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("session.timeout.ms", "3000");
        settings.put("heartbeat.interval.ms", "300");
        settings.put("fetch.max.wait.ms", "100");
        settings.put("max.poll.records", "25");
        settings.put("reconnect.backoff.max.ms", "100");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }
}
