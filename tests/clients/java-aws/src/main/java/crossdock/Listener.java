package crossdock;

import io.awspring.cloud.sqs.annotation.SqsListener;
import io.awspring.cloud.sqs.config.SqsBootstrapConfiguration;
import io.awspring.cloud.sqs.config.SqsMessageListenerContainerFactory;
import io.awspring.cloud.sqs.listener.QueueNotFoundStrategy;
import io.awspring.cloud.sqs.operations.SqsTemplate;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.support.MessageBuilder;
import software.amazon.awssdk.services.sqs.SqsAsyncClient;

/** Spring Cloud AWS: listeners by annotation, one at a time and in batches, on queues that Spring makes, and its template. */
public final class Listener {
    private static final LinkedBlockingQueue<String> HEARD = new LinkedBlockingQueue<>();
    private static final LinkedBlockingQueue<Integer> BATCHES = new LinkedBlockingQueue<>();

    public static void main(String[] arguments) throws Exception {
        try (var context = new AnnotationConfigApplicationContext(Application.class)) {
            SqsTemplate template = context.getBean(SqsTemplate.class);
            template.send("spring", MessageBuilder.withPayload("one ü").setHeader("kind", "good").build());
            hears("one ü good 1");
            // Its listener fails at first: the message comes again after its visibility timeout.
            template.send("spring", MessageBuilder.withPayload("stubborn").setHeader("kind", "bad").build());
            hears("stubborn bad 1");
            hears("stubborn bad 2");
            template.sendMany("spring-batches", IntStream.range(0, 10).mapToObj(n -> MessageBuilder.withPayload("m" + n).build()).toList());
            int count = 0;
            while (count < 10) count += BATCHES.poll(20, TimeUnit.SECONDS);
            Sdk.expect(count == 10, count);
            template.send(to -> to.queue("spring-pulled").payload("pulled").header("k", "v"));
            var pulled = template.receive("spring-pulled", String.class).orElseThrow();
            Sdk.expect(pulled.getPayload().equals("pulled") && pulled.getHeaders().get("k").equals("v"), pulled);
        }
        System.out.println("good");
    }

    private static void hears(String text) throws Exception {
        String heard = HEARD.poll(20, TimeUnit.SECONDS);
        Sdk.expect(text.equals(heard), heard);
    }

    @Configuration
    @Import(SqsBootstrapConfiguration.class)
    static class Application {
        @Bean
        SqsAsyncClient client() {
            return SqsAsyncClient.create();
        }

        @Bean
        SqsMessageListenerContainerFactory<Object> defaultSqsListenerContainerFactory(SqsAsyncClient client) {
            return SqsMessageListenerContainerFactory.builder().sqsAsyncClient(client)
                .configure(options -> options.queueNotFoundStrategy(QueueNotFoundStrategy.CREATE)).build();
        }

        @Bean
        SqsTemplate template(SqsAsyncClient client) {
            return SqsTemplate.newTemplate(client);
        }

        @Bean
        Ears ears() {
            return new Ears();
        }
    }

    static class Ears {
        @SqsListener(value = "spring", messageVisibilitySeconds = "1")
        void one(String body, @Header("kind") String kind, @Header("Sqs_Msa_ApproximateReceiveCount") String count) {
            HEARD.add(body + " " + kind + " " + count);
            if (kind.equals("bad") && count.equals("1")) throw new IllegalStateException("not yet");
        }

        @SqsListener("spring-batches")
        void many(List<String> bodies) {
            BATCHES.add(bodies.size());
        }
    }
}
