package crossdock;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** AMQP 0-9-1 through RabbitMQ's own Java client. */
public final class Client {
    private static final long PATIENCE_MS = 30_000;

    public static void main(String[] arguments) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost("127.0.0.1");
        factory.setPort(port("amqp"));
        try (Connection connection = factory.newConnection()) {
            confirmsAndReturns(connection);
            consuming(connection);
            transactions(connection);
            errors(connection);
            deadLetters(connection);
        }
    }

    private static int port(String listener) {
        Matcher matcher = Pattern.compile('"' + listener + "\":(\\d+)").matcher(System.getenv("CROSSDOCK_PORTS"));
        expect(matcher.find(), "a port");
        return Integer.parseInt(matcher.group(1));
    }

    private static void confirmsAndReturns(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        channel.queueDeclare("java", true, false, false, Map.of("x-max-length", 1000));
        channel.confirmSelect();
        for (int n = 0; n < 200; n++) {
            channel.basicPublish("", "java", MessageProperties.PERSISTENT_BASIC, String.valueOf(n).getBytes());
        }
        channel.waitForConfirmsOrDie(PATIENCE_MS);
        BlockingQueue<Integer> returned = new LinkedBlockingQueue<>();
        channel.addReturnListener(message -> returned.add(message.getReplyCode()));
        channel.basicPublish("amq.topic", "nowhere", true, null, new byte[0]);
        expect(Integer.valueOf(312).equals(returned.poll(PATIENCE_MS, TimeUnit.MILLISECONDS)), "a return");
        channel.close();
    }

    private static void consuming(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        channel.basicQos(10);
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        String tag = channel.basicConsume("java", false, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
                    throws IOException {
                bodies.add(new String(body));
                channel.basicAck(envelope.getDeliveryTag(), false);
            }
        });
        for (int n = 0; n < 200; n++) {
            expect(String.valueOf(n).equals(bodies.poll(PATIENCE_MS, TimeUnit.MILLISECONDS)), "message " + n);
        }
        channel.basicCancel(tag);
        expect(channel.messageCount("java") == 0, "an empty queue");
        channel.close();
    }

    private static void transactions(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        channel.queueDeclare("java-tx", true, false, false, null);
        channel.txSelect();
        channel.basicPublish("", "java-tx", MessageProperties.PERSISTENT_BASIC, "rolled back".getBytes());
        channel.txRollback();
        channel.basicPublish("", "java-tx", MessageProperties.PERSISTENT_BASIC, "committed".getBytes());
        expect(channel.messageCount("java-tx") == 0, "nothing before the commit");
        channel.txCommit();
        expect("committed".equals(new String(channel.basicGet("java-tx", true).getBody())), "what was committed");
        channel.txCommit();
        channel.close();
    }

    private static void errors(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        try {
            channel.exchangeDeclarePassive("absent");
            throw new AssertionError("an exchange that is absent");
        } catch (IOException error) {
            AMQP.Channel.Close close = (AMQP.Channel.Close) ((ShutdownSignalException) error.getCause()).getReason();
            expect(close.getReplyCode() == 404, close.toString());
            expect("NOT_FOUND - no exchange 'absent' in vhost '/'".equals(close.getReplyText()), close.toString());
        }
    }

    private static void deadLetters(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        channel.queueDeclare("java-letters", true, false, false, null);
        Map<String, Object> rules = Map.of(
                "x-dead-letter-exchange", "", "x-dead-letter-routing-key", "java-letters", "x-message-ttl", 50);
        channel.queueDeclare("java-short", true, false, false, rules);
        channel.basicPublish("", "java-short", MessageProperties.PERSISTENT_BASIC, "m".getBytes());
        long end = System.currentTimeMillis() + PATIENCE_MS;
        var letter = channel.basicGet("java-letters", true);
        while (letter == null && System.currentTimeMillis() < end) {
            Thread.sleep(10);
            letter = channel.basicGet("java-letters", true);
        }
        Map<?, ?> death = (Map<?, ?>) ((List<?>) letter.getProps().getHeaders().get("x-death")).get(0);
        expect("expired".equals(death.get("reason").toString()), death.toString());
        expect(Long.valueOf(1).equals(death.get("count")), death.toString());
        channel.close();
    }

    private static void expect(boolean good, String what) {
        if (!good) {
            throw new AssertionError(what);
        }
    }
}
