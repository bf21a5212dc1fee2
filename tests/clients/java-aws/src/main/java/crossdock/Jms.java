package crossdock;

import com.amazon.sqs.javamessaging.AmazonSQSMessagingClientWrapper;
import com.amazon.sqs.javamessaging.ProviderConfiguration;
import com.amazon.sqs.javamessaging.SQSConnection;
import com.amazon.sqs.javamessaging.SQSConnectionFactory;
import com.amazon.sqs.javamessaging.SQSSession;
import jakarta.jms.BytesMessage;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.sqs.SqsClient;

/** Amazon's JMS library: sends and receives, acknowledges, listens, replies, and FIFO queues. */
public final class Jms {
    private static final long PATIENCE = 10_000;

    public static void main(String[] arguments) {
        int status = 1;
        try {
            run();
            status = 0;
        } catch (Exception | AssertionError error) {
            error.printStackTrace();
        }
        // Threads of the library would keep a failed program alive.
        System.exit(status);
    }

    private static void run() throws Exception {
        SqsClient sqs = SqsClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder()).build();
        SQSConnection connection = new SQSConnectionFactory(new ProviderConfiguration().withNumberOfMessagesToPrefetch(0), sqs).createConnection();
        AmazonSQSMessagingClientWrapper client = connection.getWrappedAmazonSQSClient();
        for (String name : List.of("jms", "jms-replies")) client.createQueue(name);
        client.createQueue(software.amazon.awssdk.services.sqs.model.CreateQueueRequest.builder().queueName("jms.fifo")
            .attributesWithStrings(Map.of("FifoQueue", "true", "ContentBasedDeduplication", "true")).build());
        Sdk.expect(client.queueExists("jms") && !client.queueExists("nowhere"), "which queues exist");
        connection.start();
        kinds(connection.createSession(false, Session.AUTO_ACKNOWLEDGE));
        acknowledgements(connection);
        replies(connection);
        groups(connection.createSession(false, Session.AUTO_ACKNOWLEDGE));
        missing(connection.createSession(false, Session.AUTO_ACKNOWLEDGE));
        // Listeners are in long polls: closing them would wait for 20 s.
        System.out.println("good");
    }

    private static void kinds(Session session) throws Exception {
        Queue queue = session.createQueue("jms");
        TextMessage text = session.createTextMessage("grüße <&>");
        text.setStringProperty("name", "value");
        text.setIntProperty("number", 7);
        text.setBooleanProperty("truth", true);
        text.setJMSCorrelationID("correlation");
        BytesMessage bytes = session.createBytesMessage();
        bytes.writeBytes(new byte[] {0, -1, 10});
        MessageProducer producer = session.createProducer(queue);
        for (Message message : List.of(text, bytes, session.createObjectMessage("an object"))) producer.send(message);
        MessageConsumer consumer = session.createConsumer(queue);
        for (int n = 0; n < 3; n++) {
            Message message = consumer.receive(PATIENCE);
            if (message instanceof TextMessage got) {
                Sdk.expect(got.getText().equals("grüße <&>") && got.getStringProperty("name").equals("value"), got);
                Sdk.expect(got.getIntProperty("number") == 7 && got.getBooleanProperty("truth"), got);
                Sdk.expect(got.getJMSCorrelationID().equals("correlation") && got.getJMSMessageID().equals(text.getJMSMessageID()), got);
            } else if (message instanceof BytesMessage got) {
                Sdk.expect(got.getBodyLength() == 3, got);
            } else {
                Sdk.expect(((jakarta.jms.ObjectMessage) message).getObject().equals("an object"), message);
            }
        }
        Sdk.expect(consumer.receiveNoWait() == null, "more than was sent");
        session.close();
    }

    private static void acknowledgements(SQSConnection connection) throws Exception {
        Session session = connection.createSession(false, SQSSession.UNORDERED_ACKNOWLEDGE);
        Queue queue = session.createQueue("jms");
        session.createProducer(queue).send(session.createTextMessage("twice"));
        MessageConsumer consumer = session.createConsumer(queue);
        Sdk.expect(!consumer.receive(PATIENCE).getJMSRedelivered(), "first");
        session.recover();
        session.close();
        Session second = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        Message again = second.createConsumer(queue).receive(4 * PATIENCE);
        Sdk.expect(again.getJMSRedelivered() && again.getIntProperty("JMSXDeliveryCount") == 2, again.getIntProperty("JMSXDeliveryCount"));
        again.acknowledge();
        second.close();
    }

    private static void replies(SQSConnection connection) throws Exception {
        Session server = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        server.createConsumer(server.createQueue("jms")).setMessageListener(question -> {
            try {
                TextMessage answer = server.createTextMessage("answer to " + ((TextMessage) question).getText());
                answer.setJMSCorrelationID(question.getJMSMessageID());
                server.createProducer(question.getJMSReplyTo()).send(answer);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
        Session client = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        LinkedBlockingQueue<Message> answers = new LinkedBlockingQueue<>();
        client.createConsumer(client.createQueue("jms-replies")).setMessageListener(answers::add);
        TextMessage question = client.createTextMessage("a question");
        question.setJMSReplyTo(client.createQueue("jms-replies"));
        client.createProducer(client.createQueue("jms")).send(question);
        Message answer = answers.poll(PATIENCE, TimeUnit.MILLISECONDS);
        Sdk.expect(((TextMessage) answer).getText().equals("answer to a question"), answer);
        Sdk.expect(answer.getJMSCorrelationID().equals(question.getJMSMessageID()), answer);
    }

    private static void groups(Session session) throws Exception {
        Queue queue = session.createQueue("jms.fifo");
        MessageProducer producer = session.createProducer(queue);
        for (String text : List.of("a1", "a2", "b1")) {
            TextMessage message = session.createTextMessage(text);
            message.setStringProperty("JMSXGroupID", text.substring(0, 1));
            producer.send(message);
            Sdk.expect(message.getStringProperty("JMS_SQS_SequenceNumber").length() == 20, message);
        }
        MessageConsumer consumer = session.createConsumer(queue);
        for (String text : List.of("a1", "a2", "b1")) {
            TextMessage got = (TextMessage) consumer.receive(PATIENCE);
            Sdk.expect(got.getText().equals(text) && got.getStringProperty("JMSXGroupID").equals(text.substring(0, 1)), got);
        }
        session.close();
    }

    private static void missing(Session session) throws Exception {
        try {
            session.createQueue("nowhere");
        } catch (InvalidDestinationException expected) {
            session.close();
            return;
        }
        throw new AssertionError("there is no such queue");
    }
}
