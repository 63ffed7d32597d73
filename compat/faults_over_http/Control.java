import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What a test in Java needs of the broker's control interface. */
class Control {
    private final HttpClient http = HttpClient.newHttpClient();
    private final String base;

    Control(String base) {
        this.base = base;
    }

    /** Puts a rule in force, and returns where it is asked for. */
    String addRule(String json) throws IOException, InterruptedException {
        return ask("POST", "/rules", json).headers().firstValue("Location").orElseThrow();
    }

    /** How many requests have got what the rule says. */
    int applied(String rule) throws IOException, InterruptedException {
        return count(rule, "applied");
    }

    /** How many requests the rule was for. */
    int matched(String rule) throws IOException, InterruptedException {
        return count(rule, "matched");
    }

    void clearRules() throws IOException, InterruptedException {
        ask("DELETE", "/rules", "");
    }

    void advance(int seconds) throws IOException, InterruptedException {
        ask("POST", "/clock/advance", "{\"seconds\": %d}".formatted(seconds));
    }

    void changeBroker(String json) throws IOException, InterruptedException {
        ask("PATCH", "/broker", json);
    }

    void moveCoordinator(String json) throws IOException, InterruptedException {
        ask("POST", "/moves/coordinator", json);
    }

    private int count(String rule, String name) throws IOException, InterruptedException {
        String found = ask("GET", rule, "").body();
        Matcher number = Pattern.compile("\"" + name + "\": (\\d+)").matcher(found);
        if (!number.find()) {
            throw new AssertionError(found);
        }
        return Integer.parseInt(number.group(1));
    }

    private HttpResponse<String> ask(String method, String path, String json)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(base + path))
                .header("Content-Type", "application/json")
                .method(method, BodyPublishers.ofString(json))
                .build();
        HttpResponse<String> answer = http.send(request, BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new AssertionError(method + " " + path + ": " + answer.statusCode() + " " + answer.body());
        }
        return answer;
    }
}
