import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs main classes in one JVM, because a JVM of its own costs each of them seconds.
 *
 * Takes lines of JSON: {"call": 1, "class": "...", "args": ["..."], "input": "..."} runs a main
 * class in a thread of its own, {"stop": 1} does what SIGTERM would do to it: it runs the shutdown
 * hooks that the call has added. Prints lines of JSON: {"call": 1, "out": "a line"}, "err" in the
 * same way, and {"call": 1, "status": 0} at the end.
 *
 * Standard streams belong to calls through inheritable thread-locals: a thread writes to the call
 * that, itself or through other threads, has started it.
 */
public class RunTools {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream ANSWERS = System.out;
    private static final PrintStream OWN_ERRORS = System.err;
    private static final InheritableThreadLocal<Call> CURRENT = new InheritableThreadLocal<>();
    private static final Map<Integer, Call> CALLS = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        System.setOut(new PrintStream(new CallStream("out", ANSWERS), true, "UTF-8"));
        System.setErr(new PrintStream(new CallStream("err", OWN_ERRORS), true, "UTF-8"));
        System.setIn(new CallInput());
        Exit.setExitProcedure(RunTools::exit);
        Exit.setHaltProcedure(RunTools::exit);
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().hooks.add(hook));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            JsonNode request = JSON.readTree(line);
            if (request.has("stop")) {
                Call call = CALLS.get(request.get("stop").asInt());
                if (call != null) {
                    new Thread(call::stop).start();
                }
            } else {
                Call call = new Call(request);
                CALLS.put(call.number, call);
                new Thread(call, "call-" + call.number).start();
            }
        }
    }

    private static void exit(int status, String message) {
        Call call = CURRENT.get();
        call.runHooks();
        call.end(status);
        throw new Ended();
    }

    private static void answer(Map<String, Object> fields) {
        try {
            String line = JSON.writeValueAsString(fields);
            synchronized (ANSWERS) {
                ANSWERS.println(line);
                ANSWERS.flush();
            }
        } catch (java.io.IOException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Unwinds the stack of a main class that has asked for its end, so that it closes what it has. */
    private static class Ended extends Error {
        Ended() {
            super("the call has ended", null, false, false);
        }
    }

    private static class Call implements Runnable {
        final int number;
        final String main;
        final String[] arguments;
        final InputStream input;
        final LinkedBlockingQueue<Runnable> hooks = new LinkedBlockingQueue<>();
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        boolean isOver;

        Call(JsonNode request) throws Exception {
            number = request.get("call").asInt();
            main = request.get("class").asText();
            arguments = JSON.treeToValue(request.get("args"), String[].class);
            input = new ByteArrayInputStream(request.get("input").asText().getBytes("UTF-8"));
        }

        @Override
        public void run() {
            CURRENT.set(this);
            try {
                Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) arguments);
                runHooks();
                end(0);
            } catch (InvocationTargetException thrown) {
                thrown.getCause().printStackTrace();
                end(1);
            } catch (ReflectiveOperationException error) {
                error.printStackTrace();
                end(127);
            }
        }

        /** The end as a process has it: what threads that are left say or do later counts no more. */
        synchronized void end(int status) {
            if (!isOver) {
                endLine("out", out);
                endLine("err", err);
                isOver = true;
                CALLS.remove(number);
                answer(Map.of("call", number, "status", status));
            }
        }

        void stop() {
            CURRENT.set(this);
            runHooks();
        }

        /** What the JVM would run at its end, however that came about; each hook once. */
        void runHooks() {
            List<Runnable> left = new ArrayList<>();
            hooks.drainTo(left);
            left.forEach(Runnable::run);
        }

        synchronized void write(String name, ByteArrayOutputStream line, int octet) {
            if (isOver) {
                return;
            }
            if (octet == '\n') {
                answer(Map.of("call", number, name, text(line)));
                line.reset();
            } else {
                line.write(octet);
            }
        }

        private void endLine(String name, ByteArrayOutputStream line) {
            if (line.size() > 0) {
                write(name, line, '\n');
            }
        }

        private static String text(ByteArrayOutputStream line) {
            return new String(line.toByteArray(), java.nio.charset.StandardCharsets.UTF_8);
        }
    }

    private static class CallStream extends OutputStream {
        private final String name;
        private final PrintStream withoutCall;

        CallStream(String name, PrintStream withoutCall) {
            this.name = name;
            this.withoutCall = withoutCall;
        }

        @Override
        public void write(int octet) {
            Call call = CURRENT.get();
            if (call == null) {
                withoutCall.write(octet);
            } else {
                call.write(name, name.equals("out") ? call.out : call.err, octet);
            }
        }
    }

    private static class CallInput extends InputStream {
        @Override
        public int read() throws java.io.IOException {
            return CURRENT.get().input.read();
        }

        @Override
        public int read(byte[] target, int offset, int length) throws java.io.IOException {
            return CURRENT.get().input.read(target, offset, length);
        }
    }
}
