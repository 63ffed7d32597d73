// Reads lines "directory firstDirtyOffset endOffset nowMs segmentBytes deleteRetentionMs", cleans the
// log in each directory with Apache Kafka's own Cleaner at that wall time, and prints
// "RESULT cleanEndOffset recordsWithoutKey recordsKept".

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.function.Supplier;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.CleanerStats;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

public class CleanLogs {
    private static final int FOREVER_MS = 100_000_000;
    private static final int BUFFER_BYTES = 1 << 20;

    public static void main(String[] arguments) throws Exception {
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println("RESULT " + clean(line.split(" "), scheduler));
        }
        scheduler.shutdown();
        System.exit(0);
    }

    private static String clean(String[] fields, KafkaScheduler scheduler) throws Exception {
        File directory = new File(fields[0]);
        long firstDirtyOffset = Long.parseLong(fields[1]);
        long endOffset = Long.parseLong(fields[2]);
        Time time = new StandingTime(Long.parseLong(fields[3]));
        Properties settings = new Properties();
        settings.put("internal.segment.bytes", fields[4]);
        settings.put("segment.index.bytes", "10000");
        settings.put("index.interval.bytes", "100");
        settings.put("delete.retention.ms", fields[5]);
        settings.put("cleanup.policy", "compact");
        settings.put("file.delete.delay.ms", "0");
        UnifiedLog log = UnifiedLog.create(
            directory, new LogConfig(settings), 0L, endOffset, scheduler, new BrokerTopicStats(),
            time, FOREVER_MS, new ProducerStateManagerConfig(FOREVER_MS, false), FOREVER_MS,
            new LogDirFailureChannel(1), true, Optional.empty());
        Throttler throttler = new Throttler(Double.MAX_VALUE, 300, "throttler", "entries", time);
        Cleaner cleaner = new Cleaner(
            0, new SkimpyOffsetMap(BUFFER_BYTES), BUFFER_BYTES, BUFFER_BYTES, 0.9, throttler, time,
            partition -> { });
        LogToClean job = new LogToClean(log, firstDirtyOffset, endOffset, false);
        Map.Entry<Long, CleanerStats> result = cleaner.doClean(job, time.milliseconds());
        log.close();
        CleanerStats stats = result.getValue();
        return result.getKey() + " " + stats.invalidMessagesRead() + " " + stats.messagesWritten();
    }

    /** The wall clock stands still, so that delete horizons are the same as ours. */
    private record StandingTime(long milliseconds) implements Time {
        @Override
        public long hiResClockMs() {
            return milliseconds;
        }

        @Override
        public long nanoseconds() {
            return System.nanoTime();
        }

        @Override
        public void sleep(long durationMs) {
        }

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {
        }

        @Override
        public Timer timer(long timeoutMs) {
            return Time.SYSTEM.timer(timeoutMs);
        }
    }
}
