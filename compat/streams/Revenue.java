import java.io.FileReader;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.TimestampExtractor;

/**
 * Sums the amounts of orders for each region and minute: a join of a stream with a table, and a
 * windowed aggregation. `Revenue PROPERTIES CUSTOMERS ORDERS OUTPUT`: customers are
 * `customer -> region`, orders `customer -> second;amount`, the output `region@second -> sum`.
 */
public class Revenue {
    /** An order happened at the second that its value begins with; a customer at no time. */
    public static class OrderTime implements TimestampExtractor {
        @Override
        public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
            return 1000 * Long.parseLong(((String) record.value()).split(";")[0]);
        }
    }

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        try (FileReader file = new FileReader(args[0])) {
            settings.load(file);
        }
        StreamsBuilder builder = new StreamsBuilder();
        var text = Serdes.String();
        KTable<String, String> regions = builder.table(
            args[1], Consumed.with(text, text).withTimestampExtractor((record, time) -> 0));
        builder.stream(args[2], Consumed.with(text, text).withTimestampExtractor(new OrderTime()))
            .mapValues(order -> Long.parseLong(order.split(";")[1]))
            .join(regions, (amount, region) -> KeyValue.pair(region, amount), Joined.with(text, Serdes.Long(), text))
            .map((customer, sale) -> sale)
            .groupByKey(Grouped.with(text, Serdes.Long()))
            .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMinutes(1)))
            .reduce(Long::sum, Materialized.with(text, Serdes.Long()))
            .toStream((window, sum) -> window.key() + "@" + window.window().start() / 1000)
            .mapValues(String::valueOf)
            .to(args[3], Produced.with(text, text));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
