import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Members of one group in one JVM: `Churn ADDRESS GROUP TOPIC KEY=VALUE...`. Standard input says
 * `start NAME`, `leave NAME` and `kill NAME`; a member that is killed stays in the group for the
 * broker. See roster.py for what is printed; `ended NAME` follows when a member is gone.
 */
public class Churn {
    private static final Duration SOON = Duration.ofMillis(100);

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", args[1]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("fetch.max.wait.ms", "100");
        settings.put("max.poll.records", "50");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        for (int index = 3; index < args.length; index++) {
            String[] pair = args[index].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        Map<String, Member> members = new HashMap<>();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "start" -> {
                    Member member = new Member(words[1], args[2], settings);
                    members.put(words[1], member);
                    member.start();
                }
                case "leave", "kill" -> members.remove(words[1]).end(words[0].equals("leave"));
                default -> throw new IllegalArgumentException(line);
            }
        }
        System.exit(0);
    }

    private static synchronized void print(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static final class Member extends Thread implements ConsumerRebalanceListener {
        private final String name;
        private final String topic;
        private final Properties settings;
        private volatile boolean isStopping;
        private volatile boolean leaves;

        Member(String name, String topic, Properties settings) {
            this.name = name;
            this.topic = topic;
            this.settings = settings;
            setDaemon(true);
        }

        void end(boolean leaves) {
            this.leaves = leaves;
            isStopping = true;
        }

        @Override
        public void run() {
            KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings);
            consumer.subscribe(List.of(topic), this);
            while (!isStopping) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(SOON);
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    say("\"record\":[" + record.partition() + "," + record.offset() + "]");
                }
                if (!records.isEmpty()) {
                    try {
                        consumer.commitSync();
                    } catch (KafkaException refused) {
                        // Not any more, or not now: whoever is next reads them again.
                        continue;
                    }
                }
            }
            say("\"closing\":true");
            consumer.close(
                    CloseOptions.groupMembershipOperation(
                            leaves
                                    ? CloseOptions.GroupMembershipOperation.LEAVE_GROUP
                                    : CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP));
            print("ended " + name);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("assigned", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            tell("revoked", partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            tell("lost", partitions);
        }

        private void tell(String what, Collection<TopicPartition> partitions) {
            String numbers =
                    partitions.stream()
                            .map(each -> String.valueOf(each.partition()))
                            .collect(Collectors.joining(","));
            say("\"" + what + "\":[" + numbers + "]");
        }

        private void say(String what) {
            print("{\"member\":\"" + name + "\",\"at\":" + System.nanoTime() + "," + what + "}");
        }
    }
}
