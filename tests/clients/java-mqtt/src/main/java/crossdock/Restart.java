package crossdock;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** QoS 2 through Paho while the broker is killed: says "kill" when it likes, and is told the new port. */
public final class Restart {
    private static final int KILLS = 3;
    private static final int MESSAGES_BETWEEN = 100;
    private static final long PATIENCE_MS = 60_000;

    private static int port = Entrance.port();

    public static void main(String[] arguments) throws Exception {
        var answers = new BufferedReader(new InputStreamReader(System.in));
        List<Integer> heard = Collections.synchronizedList(new ArrayList<>());
        var reader = client("java-reader");
        var writer = client("java-writer");
        reader.setCallback(new Heard(heard));
        connect(reader);
        connect(writer);
        reader.subscribe("java/restart", 2).waitForCompletion(PATIENCE_MS);
        int sent = 0;
        for (int round = 0; round < KILLS; round++) {
            for (int n = 0; n < MESSAGES_BETWEEN; n++) {
                writer.publish("java/restart", Integer.toString(sent++).getBytes(), 2, false);
            }
            // Some are through, some are under way.
            int some = sent - MESSAGES_BETWEEN / 2;
            waitFor("some messages", () -> heard.size() >= some);
            System.out.println("kill");
            port = Integer.parseInt(answers.readLine());
            waitFor("the end of the connections", () -> !reader.isConnected() && !writer.isConnected());
            connect(reader);
            connect(writer);
        }
        int all = sent;
        waitFor("all messages", () -> heard.size() >= all && writer.getPendingDeliveryTokens().length == 0);
        writer.disconnect().waitForCompletion(PATIENCE_MS);
        reader.disconnect().waitForCompletion(PATIENCE_MS);
        List<Integer> sorted = new ArrayList<>(heard);
        Collections.sort(sorted);
        if (!sorted.equals(IntStream.range(0, all).boxed().toList())) {
            throw new AssertionError("lost or doubled: " + sorted);
        }
        System.exit(0);
    }

    private static MqttAsyncClient client(String name) throws Exception {
        return new MqttAsyncClient(Entrance.address(port), name, new MemoryPersistence());
    }

    private static void connect(MqttAsyncClient client) throws Exception {
        var options = new MqttConnectOptions();
        options.setCleanSession(false);
        options.setUserName("guest");
        options.setPassword("guest".toCharArray());
        options.setMaxInflight(1_000);
        options.setServerURIs(new String[] {Entrance.address(port)});
        client.connect(options).waitForCompletion(PATIENCE_MS);
    }

    private interface Question {
        boolean isSo() throws Exception;
    }

    private static void waitFor(String what, Question question) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!question.isSo()) {
            if (System.currentTimeMillis() > end) {
                throw new AssertionError("waited for " + what);
            }
            Thread.sleep(5);
        }
    }

    private record Heard(List<Integer> messages) implements org.eclipse.paho.client.mqttv3.MqttCallback {
        @Override
        public void messageArrived(String topic, org.eclipse.paho.client.mqttv3.MqttMessage message) {
            messages.add(Integer.parseInt(new String(message.getPayload())));
        }

        @Override
        public void connectionLost(Throwable cause) {}

        @Override
        public void deliveryComplete(org.eclipse.paho.client.mqttv3.IMqttDeliveryToken token) {}
    }
}
