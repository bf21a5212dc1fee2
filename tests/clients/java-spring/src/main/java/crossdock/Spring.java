package crossdock;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.ReturnedMessage;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.annotation.EnableRabbit;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Spring AMQP as applications use it: declared topology, listeners, confirms and returns, request and reply, dead letters. */
public final class Spring {
  static final CountDownLatch ORDERS = new CountDownLatch(200);
  static final List<Integer> SEEN = Collections.synchronizedList(new ArrayList<>());
  static final CompletableFuture<Message> DEAD = new CompletableFuture<>();

  @Configuration
  @EnableRabbit
  static class Settings {
    @Bean
    ConnectionFactory connectionFactory() {
      Matcher port = Pattern.compile("\"amqp\":(\\d+)").matcher(System.getenv("CROSSDOCK_PORTS"));
      check(port.find(), "no port");
      var factory = new CachingConnectionFactory("127.0.0.1", Integer.parseInt(port.group(1)));
      factory.setUsername("guest");
      factory.setPassword("guest");
      factory.setPublisherConfirmType(CachingConnectionFactory.ConfirmType.CORRELATED);
      factory.setPublisherReturns(true);
      return factory;
    }

    @Bean
    RabbitAdmin admin(ConnectionFactory factory) {
      return new RabbitAdmin(factory);
    }

    @Bean
    RabbitTemplate template(ConnectionFactory factory) {
      var template = new RabbitTemplate(factory);
      template.setMandatory(true);
      template.setReplyTimeout(20_000);
      return template;
    }

    @Bean
    SimpleRabbitListenerContainerFactory rabbitListenerContainerFactory(ConnectionFactory factory) {
      var containers = new SimpleRabbitListenerContainerFactory();
      containers.setConnectionFactory(factory);
      containers.setPrefetchCount(20);
      return containers;
    }

    @Bean
    Declarables topology() {
      var exchange = new TopicExchange("spring");
      var orders = QueueBuilder.durable("spring.orders").deadLetterExchange("").deadLetterRoutingKey("spring.dead").build();
      var dead = new Queue("spring.dead");
      var questions = QueueBuilder.durable("spring.questions").quorum().build();
      Binding binding = BindingBuilder.bind(orders).to(exchange).with("order.#");
      return new Declarables(exchange, orders, dead, questions, binding);
    }

    @RabbitListener(queues = "spring.orders")
    void order(Message message) {
      String body = new String(message.getBody());
      if (body.equals("poison")) {
        throw new AmqpRejectAndDontRequeueException("not wanted");
      }
      SEEN.add(Integer.parseInt(body));
      ORDERS.countDown();
    }

    @RabbitListener(queues = "spring.dead")
    void dead(Message message) {
      DEAD.complete(message);
    }

    @RabbitListener(queues = "spring.questions")
    String answer(String question) {
      return question.toUpperCase();
    }
  }

  static void check(boolean good, String what) {
    if (!good) {
      throw new AssertionError(what);
    }
  }

  static void confirmsAndListeners(RabbitTemplate template) throws Exception {
    var confirms = new ArrayList<CorrelationData>();
    for (int number = 0; number < 200; number++) {
      var confirm = new CorrelationData("" + number);
      confirms.add(confirm);
      template.convertAndSend("spring", "order.new", "" + number, confirm);
    }
    for (var confirm : confirms) {
      check(confirm.getFuture().get(20, TimeUnit.SECONDS).ack(), "not confirmed: " + confirm.getId());
    }
    check(ORDERS.await(20, TimeUnit.SECONDS), "orders are missing: " + ORDERS.getCount());
    for (int number = 0; number < 200; number++) {
      check(SEEN.get(number) == number, number + " is " + SEEN.get(number));
    }
  }

  static void returnsComeBeforeConfirms(RabbitTemplate template) throws Exception {
    var confirm = new CorrelationData("returned");
    template.convertAndSend("spring", "nowhere", "x", confirm);
    check(confirm.getFuture().get(20, TimeUnit.SECONDS).ack(), "not confirmed");
    ReturnedMessage returned = confirm.getReturned();
    check(returned != null && returned.getReplyCode() == 312, "not returned");
  }

  static void deadLetters(RabbitTemplate template) throws Exception {
    template.convertAndSend("spring", "order.new", "poison");
    Map<String, ?> death = DEAD.get(20, TimeUnit.SECONDS).getMessageProperties().getXDeathHeader().get(0);
    check("rejected".equals("" + death.get("reason")) && "spring.orders".equals("" + death.get("queue")), "x-death: " + death);
  }

  static void requestAndReply(RabbitTemplate template) {
    for (int number = 0; number < 20; number++) {
      Object answer = template.convertSendAndReceive("", "spring.questions", "question " + number);
      check(("QUESTION " + number).equals(answer), "answer: " + answer);
    }
  }

  static void administration(RabbitAdmin admin, RabbitTemplate template) {
    var properties = new HashMap<>(admin.getQueueProperties("spring.orders"));
    check(properties.get(RabbitAdmin.QUEUE_CONSUMER_COUNT).toString().equals("1"), "properties: " + properties);
    String name = admin.declareQueue().getActualName();
    template.convertAndSend("", name, "to be purged");
    template.invoke(operations -> operations.execute(channel -> channel.queueDeclarePassive(name)));
    check(admin.deleteQueue(name), "not deleted");
    check(admin.getQueueProperties(name) == null, "still there");
  }

  public static void main(String[] arguments) throws Exception {
    try (var context = new AnnotationConfigApplicationContext(Settings.class)) {
      var template = context.getBean(RabbitTemplate.class);
      confirmsAndListeners(template);
      returnsComeBeforeConfirms(template);
      deadLetters(template);
      requestAndReply(template);
      administration(context.getBean(RabbitAdmin.class), template);
    }
  }
}
