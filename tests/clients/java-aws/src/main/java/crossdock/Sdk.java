package crossdock;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.sns.SnsClient;
import software.amazon.awssdk.services.sns.model.NotFoundException;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

/** The AWS SDK for Java 2, which checks MD5 sums. */
public final class Sdk {
    private static SqsClient sqs;

    public static void main(String[] arguments) throws Exception {
        sqs = SqsClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder()).build();
        String url = queue("java", Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "60"));
        attributes(url);
        batches(url);
        waiting(url);
        fifo();
        pages();
        errors(url);
        topics(url);
        sqs.purgeQueue(request -> request.queueUrl(url));
        sqs.deleteQueue(request -> request.queueUrl(url));
        System.out.println("good");
    }

    static void expect(boolean holds, Object what) {
        if (!holds) throw new AssertionError(what);
    }

    private static void fails(Class<? extends Exception> expected, Runnable call) {
        try {
            call.run();
        } catch (Exception error) {
            expect(expected.isInstance(error), error);
            return;
        }
        throw new AssertionError(expected + " was expected");
    }

    private static String queue(String name, Map<QueueAttributeName, String> attributes) {
        return sqs.createQueue(request -> request.queueName(name).attributes(attributes)).queueUrl();
    }

    private static List<Message> receive(String url) {
        return sqs.receiveMessage(request -> request.queueUrl(url).waitTimeSeconds(5).maxNumberOfMessages(10)
            .messageAttributeNames("All").messageSystemAttributeNames(MessageSystemAttributeName.ALL)).messages();
    }

    private static List<String> bodies(List<Message> messages) {
        return messages.stream().map(Message::body).toList();
    }

    private static void delete(String url, Message message) {
        sqs.deleteMessage(request -> request.queueUrl(url).receiptHandle(message.receiptHandle()));
    }

    private static void attributes(String url) {
        Map<String, MessageAttributeValue> attributes = Map.of(
            "text", MessageAttributeValue.builder().dataType("String").stringValue("grüße <&>").build(),
            "number", MessageAttributeValue.builder().dataType("Number.int").stringValue("1.50").build(),
            "bytes", MessageAttributeValue.builder().dataType("Binary").binaryValue(SdkBytes.fromByteArray(new byte[] {0, -1, 10})).build());
        SendMessageResponse sent = sqs.sendMessage(request -> request.queueUrl(url).messageBody("hello ü €").messageAttributes(attributes));
        Message message = receive(url).get(0);
        expect(message.body().equals("hello ü €") && message.messageId().equals(sent.messageId()), message);
        expect(message.messageAttributes().equals(attributes), message);
        expect(message.md5OfMessageAttributes().equals(sent.md5OfMessageAttributes()), message);
        expect(message.attributes().get(MessageSystemAttributeName.APPROXIMATE_RECEIVE_COUNT).equals("1"), message);
        delete(url, message);
    }

    private static void batches(String url) {
        List<SendMessageBatchRequestEntry> entries = IntStream.range(0, 10)
            .mapToObj(n -> SendMessageBatchRequestEntry.builder().id("" + n).messageBody("m" + n).build()).toList();
        SendMessageBatchResponse sent = sqs.sendMessageBatch(request -> request.queueUrl(url).entries(entries));
        expect(sent.successful().size() == 10 && !sent.hasFailed(), sent);
        List<Message> messages = receive(url);
        expect(messages.size() == 10 && messages.get(9).body().equals("m9"), messages);
        List<ChangeMessageVisibilityBatchRequestEntry> longer = IntStream.range(0, 10).mapToObj(n -> ChangeMessageVisibilityBatchRequestEntry
            .builder().id("" + n).receiptHandle(messages.get(n).receiptHandle()).visibilityTimeout(60).build()).toList();
        expect(sqs.changeMessageVisibilityBatch(request -> request.queueUrl(url).entries(longer)).successful().size() == 10, longer);
        List<DeleteMessageBatchRequestEntry> handles = IntStream.range(0, 10).mapToObj(n -> DeleteMessageBatchRequestEntry
            .builder().id("" + n).receiptHandle(n == 9 ? "nonsense" : messages.get(n).receiptHandle()).build()).toList();
        DeleteMessageBatchResponse deleted = sqs.deleteMessageBatch(request -> request.queueUrl(url).entries(handles));
        expect(deleted.successful().size() == 9 && deleted.failed().get(0).code().equals("ReceiptHandleIsInvalid"), deleted);
        delete(url, messages.get(9));
    }

    private static void waiting(String url) throws Exception {
        long begun = System.nanoTime();
        CompletableFuture.delayedExecutor(300, TimeUnit.MILLISECONDS)
            .execute(() -> sqs.sendMessage(request -> request.queueUrl(url).messageBody("late")));
        Message message = receive(url).get(0);
        long milliseconds = (System.nanoTime() - begun) / 1_000_000;
        expect(milliseconds > 250 && milliseconds < 4_000, milliseconds);
        sqs.changeMessageVisibility(request -> request.queueUrl(url).receiptHandle(message.receiptHandle()).visibilityTimeout(0));
        Message again = receive(url).get(0);
        expect(again.attributes().get(MessageSystemAttributeName.APPROXIMATE_RECEIVE_COUNT).equals("2"), again);
        delete(url, again);
    }

    private static void fifo() {
        String url = queue("java.fifo", Map.of(QueueAttributeName.FIFO_QUEUE, "true", QueueAttributeName.CONTENT_BASED_DEDUPLICATION, "true"));
        for (String body : List.of("a1", "a1", "a2", "b1")) {
            String number = sqs.sendMessage(request -> request.queueUrl(url).messageBody(body).messageGroupId(body.substring(0, 1))).sequenceNumber();
            expect(number.length() == 20, number);
        }
        expect(bodies(receive(url)).equals(List.of("a1", "a2", "b1")), "FIFO");
        sqs.deleteQueue(request -> request.queueUrl(url));
    }

    private static void pages() {
        for (int n = 0; n < 5; n++) queue("java-page-" + n, Map.of());
        List<Integer> sizes = new ArrayList<>();
        sqs.listQueuesPaginator(request -> request.queueNamePrefix("java-page-").maxResults(2)).forEach(page -> sizes.add(page.queueUrls().size()));
        expect(sizes.equals(List.of(2, 2, 1)), sizes);
    }

    private static void errors(String url) {
        fails(QueueDoesNotExistException.class, () -> sqs.getQueueUrl(request -> request.queueName("nowhere")));
        fails(QueueDoesNotExistException.class, () -> sqs.sendMessage(request -> request.queueUrl(url + "-not").messageBody("m")));
        fails(InvalidMessageContentsException.class, () -> sqs.sendMessage(request -> request.queueUrl(url).messageBody("\u0001")));
        fails(EmptyBatchRequestException.class, () -> sqs.sendMessageBatch(request -> request.queueUrl(url).entries(List.of())));
        fails(ReceiptHandleIsInvalidException.class, () -> sqs.deleteMessage(request -> request.queueUrl(url).receiptHandle("nonsense")));
        fails(QueueNameExistsException.class, () -> queue("java", Map.of(QueueAttributeName.DELAY_SECONDS, "7")));
        try {
            queue("a.b", Map.of());
        } catch (SqsException error) {
            expect(error.awsErrorDetails().errorCode().equals("InvalidParameterValue") && error.statusCode() == 400, error);
            return;
        }
        throw new AssertionError("no such name");
    }

    private static void topics(String url) {
        SnsClient sns = SnsClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder()).build();
        String topic = sns.createTopic(request -> request.name("java-topic")).topicArn();
        String arn = sqs.getQueueAttributes(request -> request.queueUrl(url).attributeNames(QueueAttributeName.QUEUE_ARN))
            .attributes().get(QueueAttributeName.QUEUE_ARN);
        String subscription = sns.subscribe(request -> request.topicArn(topic).protocol("sqs").endpoint(arn).returnSubscriptionArn(true)
            .attributes(Map.of("RawMessageDelivery", "true", "FilterPolicy", "{\"kind\": [\"good\"]}"))).subscriptionArn();
        for (String kind : List.of("bad", "good")) {
            var value = software.amazon.awssdk.services.sns.model.MessageAttributeValue.builder().dataType("String").stringValue(kind).build();
            sns.publish(request -> request.topicArn(topic).message(kind + " news ü").messageAttributes(Map.of("kind", value)));
        }
        List<Message> messages = receive(url);
        expect(bodies(messages).equals(List.of("good news ü")), messages);
        expect(messages.get(0).messageAttributes().get("kind").stringValue().equals("good"), messages);
        delete(url, messages.get(0));
        sns.setSubscriptionAttributes(request -> request.subscriptionArn(subscription).attributeName("RawMessageDelivery").attributeValue("false"));
        sns.setSubscriptionAttributes(request -> request.subscriptionArn(subscription).attributeName("FilterPolicy").attributeValue("{}"));
        String id = sns.publish(request -> request.topicArn(topic).message("wrapped").subject("s")).messageId();
        Message wrapped = receive(url).get(0);
        expect(wrapped.body().contains("\"" + id + "\"") && wrapped.body().contains("\"wrapped\""), wrapped);
        delete(url, wrapped);
        expect(sns.listSubscriptionsByTopicPaginator(request -> request.topicArn(topic)).subscriptions().stream().count() == 1, topic);
        sns.unsubscribe(request -> request.subscriptionArn(subscription));
        fails(NotFoundException.class, () -> sns.publish(request -> request.topicArn(topic + "-not").message("m")));
        sns.deleteTopic(request -> request.topicArn(topic));
    }
}
