package crossdock;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where the broker listens: a JSON object in CROSSDOCK_PORTS. */
final class Ports {
    static int of(String protocol) {
        Matcher matcher = Pattern.compile("\"" + protocol + "\":(\\d+)").matcher(System.getenv("CROSSDOCK_PORTS"));
        if (!matcher.find()) throw new IllegalStateException("no port of " + protocol);
        return Integer.parseInt(matcher.group(1));
    }

    private Ports() {}
}
