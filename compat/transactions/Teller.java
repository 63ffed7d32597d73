import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

/** As teller.py, which says what it does: `Teller NAME.LIFE ADDRESS TOPIC PARTITIONS`. */
public class Teller {
    private static final int ACCOUNTS = 40;
    private static final int AGAIN = 7;

    private final String name;
    private final String topic;
    private final int partitions;
    private final Random random;
    private final KafkaProducer<String, String> producer;

    private Teller(String[] args) {
        name = args[0];
        topic = args[2];
        partitions = Integer.parseInt(args[3]);
        random = new Random(name.hashCode());
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[1]);
        settings.put("transactional.id", name.substring(0, name.indexOf('.')));
        settings.put("transaction.timeout.ms", "15000");
        settings.put("reconnect.backoff.max.ms", "100");
        settings.put("retry.backoff.ms", "20");
        settings.put("max.block.ms", "30000");
        producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] args) throws Exception {
        Teller teller = new Teller(args);
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
        try {
            teller.untilDone(teller.producer::initTransactions);
            for (int number = 0; !isEnding[0]; number++) {
                teller.transfer(teller.name + "." + number);
            }
        } catch (KafkaException failure) {
            System.out.println(failure);
            status[0] = AGAIN;
        }
        new Thread(() -> System.exit(status[0])).start();
    }

    private void transfer(String transfer) {
        List<Integer> amounts = new ArrayList<>();
        int sum = 0;
        for (int left = 1 + random.nextInt(3); left > 0; left--) {
            amounts.add(1 + random.nextInt(99));
            sum += amounts.get(amounts.size() - 1);
        }
        amounts.add(0, -sum);
        List<Integer> accounts = new ArrayList<>();
        for (int account = 0; account < ACCOUNTS; account++) {
            accounts.add(account);
        }
        Collections.shuffle(accounts, random);
        say("began", transfer);
        try {
            producer.beginTransaction();
            for (int leg = 0; leg < amounts.size(); leg++) {
                int account = accounts.get(leg);
                String value = transfer + ":" + amounts.size() + ":" + account + ":" + amounts.get(leg);
                producer.send(new ProducerRecord<>(topic, account % partitions, null, value));
                if (random.nextBoolean()) {
                    // Some legs are in the log long before the others.
                    producer.flush();
                }
            }
            if (random.nextInt(5) == 0) {
                untilDone(producer::abortTransaction);
                say("aborted", transfer);
                return;
            }
            untilDone(producer::commitTransaction);
        } catch (OutOfOrderSequenceException | AuthorizationException | ApplicationRecoverableException fatal) {
            throw fatal;
        } catch (KafkaException refusal) {
            // Of a producer that is beyond help this fails too.
            untilDone(producer::abortTransaction);
            say("aborted", transfer);
            return;
        }
        say("committed", transfer);
    }

    private void untilDone(Runnable operation) {
        while (true) {
            try {
                operation.run();
                return;
            } catch (TimeoutException later) {
                continue;
            }
        }
    }

    private static void say(String what, String transfer) {
        System.out.println("{\"" + what + "\":\"" + transfer + "\"}");
        System.out.flush();
    }
}
