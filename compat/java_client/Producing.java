import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Partitioner;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;

/** What KafkaProducer sends, and what comes back of it. */
class Producing {
    static void codecs(Client client) throws Exception {
        String topic = client.topic(1);
        List<String> sent = new ArrayList<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<String, String> producer =
                    client.producer("compression.type", codec, "linger.ms", "20")) {
                List<Future<RecordMetadata>> answers = new ArrayList<>();
                for (int number = 0; number < 100; number++) {
                    sent.add(codec + number);
                    answers.add(producer.send(new ProducerRecord<>(topic, codec + number)));
                }
                for (Future<RecordMetadata> answer : answers) {
                    Client.check(answer.get().hasOffset(), "an offset");
                }
            }
        }
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Client.same(sent, Client.values(Client.poll(consumer, sent.size())));
        }
    }

    static void idempotence(Client client) throws Exception {
        String topic = client.topic(1);
        try (KafkaProducer<String, String> producer = client.producer(
                "enable.idempotence", "true", "acks", "all", "max.in.flight.requests.per.connection", "5",
                "batch.size", "100")) {
            for (int number = 0; number < 500; number++) {
                producer.send(new ProducerRecord<>(topic, "value " + number));
            }
            producer.flush();
        }
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            List<ConsumerRecord<String, String>> records = Client.poll(consumer, 500);
            for (int number = 0; number < 500; number++) {
                Client.same("value " + number, records.get(number).value());
                Client.same((long) number, records.get(number).offset());
            }
        }
    }

    static void headersKeysAndTimestamps(Client client) throws Exception {
        String topic = client.topic(1);
        try (KafkaProducer<String, String> producer = client.producer()) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, 1234567890123L, "key", "value");
            record.headers().add("one", Client.bytes("1")).add("one", Client.bytes("2")).add("none", null);
            Client.same(1234567890123L, producer.send(record).get().timestamp());
            producer.send(new ProducerRecord<>(topic, 0, null, null)).get();
        }
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            List<ConsumerRecord<String, String>> records = Client.poll(consumer, 2);
            ConsumerRecord<String, String> first = records.get(0);
            Client.same(1234567890123L, first.timestamp());
            Client.same("key=value", first.key() + "=" + first.value());
            List<String> headers = new ArrayList<>();
            first.headers().forEach(header -> headers.add(
                header.key() + "=" + (header.value() == null ? null : new String(header.value()))));
            Client.same(List.of("one=1", "one=2", "none=null"), headers);
            Client.same(null, records.get(1).key());
            Client.same(null, records.get(1).value());
        }
    }

    static void callbacksInOrder(Client client) throws Exception {
        String topic = client.topic(1);
        List<Long> offsets = Collections.synchronizedList(new ArrayList<>());
        try (KafkaProducer<String, String> producer = client.producer("linger.ms", "5")) {
            for (int number = 0; number < 200; number++) {
                producer.send(new ProducerRecord<>(topic, "v"), (at, error) -> {
                    Client.same(null, error);
                    offsets.add(at.offset());
                });
            }
        }
        Client.same(200, offsets.size());
        for (int number = 0; number < 200; number++) {
            Client.same((long) number, offsets.get(number));
        }
    }

    /** Sends each record to the partition that its value names. */
    public static class ByValue implements Partitioner {
        @Override
        public int partition(
                String topic, Object key, byte[] keyBytes, Object value, byte[] valueBytes, Cluster cluster) {
            return Integer.parseInt((String) value) % cluster.partitionCountForTopic(topic);
        }

        @Override
        public void close() {}

        @Override
        public void configure(Map<String, ?> settings) {}
    }

    static void partitioners(Client client) throws Exception {
        String topic = client.topic(3);
        try (KafkaProducer<String, String> producer = client.producer("partitioner.class", ByValue.class.getName())) {
            for (int number = 0; number < 9; number++) {
                ProducerRecord<String, String> record = new ProducerRecord<>(topic, String.valueOf(number));
                Client.same(number % 3, producer.send(record).get().partition());
            }
        }
        try (KafkaProducer<String, String> producer = client.producer()) {
            int first = producer.send(new ProducerRecord<>(topic, "key", "a")).get().partition();
            int second = producer.send(new ProducerRecord<>(topic, "key", "b")).get().partition();
            Client.same(first, second);
        }
    }

    static void acknowledgements(Client client) throws Exception {
        String topic = client.topic(1);
        for (String acks : List.of("0", "1", "all")) {
            try (KafkaProducer<String, String> producer =
                    client.producer("acks", acks, "enable.idempotence", "false")) {
                RecordMetadata at = producer.send(new ProducerRecord<>(topic, acks)).get();
                Client.same(!acks.equals("0"), at.hasOffset());
            }
        }
        try (KafkaConsumer<String, String> consumer = client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Client.same(List.of("0", "1", "all"), Client.values(Client.poll(consumer, 3)));
        }
    }

    static void errors(Client client) throws Exception {
        String topic = client.topic(
            client.name, 1, Map.of("max.message.bytes", "1000", "message.timestamp.before.max.ms", "1000"));
        try (KafkaProducer<String, String> producer = client.producer("max.block.ms", "2000")) {
            Client.fails(RecordTooLargeException.class,
                () -> producer.send(new ProducerRecord<>(topic, "x".repeat(2000))).get());
            Client.fails(RecordTooLargeException.class,
                () -> producer.send(new ProducerRecord<>(topic, "x".repeat(2_000_000))).get());
            Client.fails(InvalidTimestampException.class,
                () -> producer.send(new ProducerRecord<>(topic, 0, 1000L, null, "old")).get());
            Client.fails(InvalidTopicException.class,
                () -> producer.send(new ProducerRecord<>("no/name", "v")).get());
            Client.fails(TimeoutException.class,
                () -> producer.send(new ProducerRecord<>(topic, 7, null, "no such partition")).get());
            Client.same(0L, producer.send(new ProducerRecord<>(topic, "small")).get().offset());
        }
    }

    static void largeRecords(Client client) throws Exception {
        String topic = client.topic(client.name, 1, Map.of("max.message.bytes", "4000000"));
        String large = "x".repeat(3_000_000);
        try (KafkaProducer<String, String> producer = client.producer("max.request.size", "4000000")) {
            producer.send(new ProducerRecord<>(topic, large)).get();
        }
        try (KafkaConsumer<String, String> consumer = client.consumer("max.partition.fetch.bytes", "1000")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Client.same(large, Client.poll(consumer, 1).get(0).value());
        }
    }
}
