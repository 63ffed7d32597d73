// Reads lines "Class version hexadecimal", decodes each with Apache Kafka's generated class and
// prints the same line as Kafka would write it, or "Class version ! reason".

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

public class EchoMessages {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
    };

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split(" ", 3);
            System.out.println(parts[0] + " " + parts[1] + " " + echo(parts));
        }
    }

    private static String echo(String[] parts) {
        try {
            short version = Short.parseShort(parts[1]);
            ByteBuffer input = ByteBuffer.wrap(HexFormat.of().parseHex(parts[2]));
            Message message = (Message) find(parts[0])
                .getConstructor(org.apache.kafka.common.protocol.Readable.class, short.class)
                .newInstance(new ByteBufferAccessor(input), version);
            if (input.hasRemaining()) {
                return "! " + input.remaining() + " bytes left";
            }
            ByteBuffer output = MessageUtil.toByteBufferAccessor(message, version).buffer();
            byte[] bytes = new byte[output.remaining()];
            output.get(bytes);
            return HexFormat.of().formatHex(bytes);
        } catch (ReflectiveOperationException | RuntimeException error) {
            return "! " + (error.getCause() == null ? error : error.getCause());
        }
    }

    private static Class<?> find(String name) throws ClassNotFoundException {
        for (String prefix : PACKAGES) {
            for (String suffix : new String[] {"", "Data"}) {
                try {
                    return Class.forName(prefix + name + suffix);
                } catch (ClassNotFoundException error) {
                    // The next package may have it.
                }
            }
        }
        throw new ClassNotFoundException(name);
    }
}
