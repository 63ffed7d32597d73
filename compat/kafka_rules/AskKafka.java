// Reads questions, one JSON object a line, and prints what Apache Kafka's own classes answer:
//
// {"ask": "assign", "assignor": "uniform", "members": [{"id": "m", "instance": null,
//  "topics": [HEX], "assignment": {HEX: [0, 1]}}], "topics": {HEX: 2}}  ->  {"m": {HEX: [0, 1]}}
// {"ask": "topic_hash", "name": "t", "id": HEX, "racks": [["a"], []]}   ->  number
// {"ask": "group_hash", "topics": {"t": number}}                        ->  number
// {"ask": "match", "pattern": "a.*", "names": ["ab", "b"]}              ->  ["ab"], or "why not"
//
// HEX: the 16 bytes of a topic id. Members, their topics and partitions are given to the assignor
// in the order of the question.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.group.Utils;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.GroupSpec;
import org.apache.kafka.coordinator.group.api.assignor.MemberAssignment;
import org.apache.kafka.coordinator.group.api.assignor.MemberSubscription;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;

public class AskKafka {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
        }
    }

    private static Object answer(JsonNode question) {
        switch (question.get("ask").asText()) {
            case "assign":
                return assign(question);
            case "topic_hash":
                Topic topic = new Topic(question);
                return Utils.computeTopicHash(topic.name(), topic);
            case "group_hash":
                Map<String, Long> hashes = new HashMap<>();
                question.get("topics").fields().forEachRemaining(
                    each -> hashes.put(each.getKey(), each.getValue().asLong()));
                return Utils.computeGroupHash(hashes);
            case "match":
                return match(question);
            default:
                throw new IllegalArgumentException(question.toString());
        }
    }

    private static Object match(JsonNode question) {
        try {
            Pattern pattern = Pattern.compile(question.get("pattern").asText());
            List<String> matched = new ArrayList<>();
            for (JsonNode name : question.get("names")) {
                if (pattern.matcher(name.asText()).matches()) {
                    matched.add(name.asText());
                }
            }
            return matched;
        } catch (PatternSyntaxException error) {
            return error.getDescription();
        }
    }

    private static Object assign(JsonNode question) {
        ConsumerGroupPartitionAssignor assignor =
            question.get("assignor").asText().equals("uniform")
                ? new UniformAssignor()
                : new RangeAssignor();
        Group group = new Group(question);
        Map<String, Map<String, Set<Integer>>> answer = new TreeMap<>();
        assignor.assign(group, group).members().forEach((member, assignment) -> {
            Map<String, Set<Integer>> topics = new TreeMap<>();
            assignment.partitions().forEach((topic, partitions) -> {
                topics.put(hex(topic), new TreeSet<>(partitions));
            });
            answer.put(member, topics);
        });
        return answer;
    }

    private static Uuid uuid(String hex) {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
        return new Uuid(bytes.getLong(), bytes.getLong());
    }

    private static String hex(Uuid id) {
        HexFormat format = HexFormat.of();
        return format.toHexDigits(id.getMostSignificantBits())
            + format.toHexDigits(id.getLeastSignificantBits());
    }

    private record Member(
        Optional<String> instanceId, Set<Uuid> subscribedTopicIds, Map<Uuid, Set<Integer>> partitions
    ) implements MemberSubscription, MemberAssignment {
        @Override
        public Optional<String> rackId() {
            return Optional.empty();
        }
    }

    private static class Group implements GroupSpec, SubscribedTopicDescriber {
        private final Map<String, Member> members = new LinkedHashMap<>();
        private final Map<Uuid, Integer> counts = new HashMap<>();
        private final Map<Uuid, Set<Integer>> assigned = new HashMap<>();

        Group(JsonNode question) {
            question.get("topics").fields().forEachRemaining(
                each -> counts.put(uuid(each.getKey()), each.getValue().asInt()));
            for (JsonNode member : question.get("members")) {
                Set<Uuid> topics = new LinkedHashSet<>();
                member.get("topics").forEach(topic -> topics.add(uuid(topic.asText())));
                Map<Uuid, Set<Integer>> assignment = new LinkedHashMap<>();
                member.get("assignment").fields().forEachRemaining(each -> {
                    Set<Integer> partitions = new LinkedHashSet<>();
                    each.getValue().forEach(partition -> partitions.add(partition.asInt()));
                    assignment.put(uuid(each.getKey()), partitions);
                    assigned.computeIfAbsent(uuid(each.getKey()), key -> new TreeSet<>())
                        .addAll(partitions);
                });
                members.put(member.get("id").asText(), new Member(
                    Optional.ofNullable(member.get("instance").asText(null)),
                    topics,
                    Collections.unmodifiableMap(assignment)));
            }
        }

        @Override
        public Collection<String> memberIds() {
            return members.keySet();
        }

        @Override
        public SubscriptionType subscriptionType() {
            long kinds = members.values().stream().map(Member::subscribedTopicIds).distinct().count();
            return kinds <= 1 ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
        }

        @Override
        public boolean isPartitionAssigned(Uuid topic, int partition) {
            return assigned.getOrDefault(topic, Set.of()).contains(partition);
        }

        @Override
        public boolean isPartitionAssignable(Uuid topic, int partition) {
            return true;
        }

        @Override
        public MemberSubscription memberSubscription(String member) {
            return members.get(member);
        }

        @Override
        public MemberAssignment memberAssignment(String member) {
            return members.get(member);
        }

        @Override
        public int numPartitions(Uuid topic) {
            return counts.getOrDefault(topic, -1);
        }

        @Override
        public Set<String> racksForPartition(Uuid topic, int partition) {
            return Set.of();
        }
    }

    /** An image of the cluster that has one topic. */
    private static class Topic
        implements CoordinatorMetadataImage, CoordinatorMetadataImage.TopicMetadata {
        private final JsonNode topic;

        Topic(JsonNode topic) {
            this.topic = topic;
        }

        @Override
        public String name() {
            return topic.get("name").asText();
        }

        @Override
        public Uuid id() {
            return uuid(topic.get("id").asText());
        }

        @Override
        public int partitionCount() {
            return topic.get("racks").size();
        }

        @Override
        public List<String> partitionRacks(int partition) {
            List<String> racks = new ArrayList<>();
            topic.get("racks").get(partition).forEach(rack -> racks.add(rack.asText()));
            return racks;
        }

        @Override
        public Set<Uuid> topicIds() {
            return Set.of(id());
        }

        @Override
        public Set<String> topicNames() {
            return Set.of(name());
        }

        @Override
        public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(String name) {
            return Optional.of(this);
        }

        @Override
        public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(Uuid id) {
            return Optional.of(this);
        }

        @Override
        public CoordinatorMetadataDelta emptyDelta() {
            throw new UnsupportedOperationException();
        }

        @Override
        public long version() {
            return 0;
        }

        @Override
        public boolean isEmpty() {
            return false;
        }
    }
}
