package crossdock;

import java.lang.reflect.Type;
import java.security.Principal;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.event.EventListener;
import org.springframework.http.server.ServerHttpRequest;
import org.springframework.messaging.converter.StringMessageConverter;
import org.springframework.messaging.handler.annotation.MessageMapping;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.annotation.SendToUser;
import org.springframework.messaging.simp.broker.BrokerAvailabilityEvent;
import org.springframework.messaging.simp.config.MessageBrokerRegistry;
import org.springframework.messaging.simp.stomp.ReactorNettyTcpStompClient;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandlerAdapter;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.stereotype.Controller;
import org.springframework.web.socket.WebSocketHandler;
import org.springframework.web.socket.WebSocketHttpHeaders;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.config.annotation.EnableWebSocketMessageBroker;
import org.springframework.web.socket.config.annotation.StompEndpointRegistry;
import org.springframework.web.socket.config.annotation.WebSocketMessageBrokerConfigurer;
import org.springframework.web.socket.messaging.WebSocketStompClient;
import org.springframework.web.socket.server.support.DefaultHandshakeHandler;

/**
 * A Spring Boot application whose STOMP broker relay leads to the broker, with clients of Spring's on its WebSocket, and Spring's TCP
 * client directly at the broker.
 */
@SpringBootApplication
@EnableWebSocketMessageBroker
public class Relay implements WebSocketMessageBrokerConfigurer {
  static final CountDownLatch AVAILABLE = new CountDownLatch(1);
  static final long PATIENCE_S = 20;

  @Override
  public void configureMessageBroker(MessageBrokerRegistry registry) {
    registry
        .enableStompBrokerRelay("/topic", "/queue", "/exchange", "/amq/queue")
        .setRelayHost("127.0.0.1")
        .setRelayPort(Ports.of("stomp"))
        .setSystemHeartbeatSendInterval(1_000)
        .setSystemHeartbeatReceiveInterval(1_000)
        .setUserDestinationBroadcast("/topic/unresolved-users")
        .setUserRegistryBroadcast("/topic/users");
    registry.setApplicationDestinationPrefixes("/app");
    // Otherwise Spring's own threads mix up what the broker sends in order.
    registry.setPreservePublishOrder(true);
  }

  @Override
  public void registerStompEndpoints(StompEndpointRegistry registry) {
    registry.addEndpoint("/stomp").setHandshakeHandler(new DefaultHandshakeHandler() {
      @Override
      protected Principal determineUser(ServerHttpRequest request, WebSocketHandler handler, Map<String, Object> attributes) {
        String name = request.getURI().getQuery();
        return () -> name;
      }
    });
  }

  /** What the application answers by itself. */
  @Controller
  static class Answers {
    @MessageMapping("/ask")
    @SendToUser("/exchange/amq.direct/answers")
    String answer(String question) {
      return "answer to " + question;
    }
  }

  @Bean
  Object availability() {
    return new Object() {
      @EventListener
      void changed(BrokerAvailabilityEvent event) {
        if (event.isBrokerAvailable()) AVAILABLE.countDown();
      }
    };
  }

  /** A client, and what it has heard. */
  static class Client extends StompSessionHandlerAdapter {
    final BlockingQueue<String> heard = new LinkedBlockingQueue<>();
    final CompletableFuture<Throwable> failure = new CompletableFuture<>();
    StompSession session;

    @Override
    public Type getPayloadType(StompHeaders headers) {
      return String.class;
    }

    @Override
    public void handleFrame(StompHeaders headers, Object payload) {
      heard.add(String.valueOf(payload));
    }

    @Override
    public void handleException(StompSession session, StompCommand command, StompHeaders headers, byte[] payload, Throwable exception) {
      failure.complete(exception);
    }

    @Override
    public void handleTransportError(StompSession session, Throwable exception) {
      failure.complete(exception);
    }

    String next() throws Exception {
      String body = heard.poll(PATIENCE_S, TimeUnit.SECONDS);
      if (body == null) throw new AssertionError("nothing came; " + failure.getNow(null));
      return body;
    }

    void expect(String body) throws Exception {
      String found = next();
      if (!found.equals(body)) throw new AssertionError(found + " instead of " + body);
    }

    /** Subscribes, and waits until that has happened at the broker. */
    StompSession.Subscription subscribe(String destination) throws Exception {
      CountDownLatch done = new CountDownLatch(1);
      StompSession.Subscription subscription = session.subscribe(destination, this);
      subscription.addReceiptTask(done::countDown);
      if (!done.await(PATIENCE_S, TimeUnit.SECONDS)) throw new AssertionError("no receipt of " + destination);
      return subscription;
    }

    void send(String destination, String body) throws Exception {
      CountDownLatch done = new CountDownLatch(1);
      session.send(destination, body).addReceiptTask(done::countDown);
      if (!done.await(PATIENCE_S, TimeUnit.SECONDS)) throw new AssertionError("no receipt of a message to " + destination);
    }
  }

  static ThreadPoolTaskScheduler scheduler() {
    ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
    scheduler.setDaemon(true);
    scheduler.initialize();
    return scheduler;
  }

  static Client throughTheApplication(int port, String user) throws Exception {
    WebSocketStompClient stomp = new WebSocketStompClient(new StandardWebSocketClient());
    stomp.setMessageConverter(new StringMessageConverter());
    stomp.setTaskScheduler(scheduler());
    stomp.setDefaultHeartbeat(new long[] {1_000, 1_000});
    Client client = new Client();
    String url = "ws://127.0.0.1:" + port + "/stomp?" + user;
    StompHeaders connect = new StompHeaders();
    connect.setLogin("guest");
    connect.setPasscode("guest");
    client.session = stomp.connectAsync(url, new WebSocketHttpHeaders(), connect, client).get(PATIENCE_S, TimeUnit.SECONDS);
    client.session.setAutoReceipt(true);
    return client;
  }

  static Client atTheBroker() throws Exception {
    ReactorNettyTcpStompClient stomp = new ReactorNettyTcpStompClient("127.0.0.1", Ports.of("stomp"));
    stomp.setMessageConverter(new StringMessageConverter());
    stomp.setTaskScheduler(scheduler());
    stomp.setDefaultHeartbeat(new long[] {1_000, 1_000});
    StompHeaders connect = new StompHeaders();
    connect.setHost("/");
    connect.setLogin("guest");
    connect.setPasscode("guest");
    Client client = new Client();
    client.session = stomp.connectAsync(connect, client).get(PATIENCE_S, TimeUnit.SECONDS);
    client.session.setAutoReceipt(true);
    return client;
  }

  public static void main(String[] arguments) {
    try {
      run();
      System.exit(0);
    } catch (Throwable failure) {
      // The application's threads would go on.
      failure.printStackTrace();
      System.exit(1);
    }
  }

  static void run() throws Exception {
    SpringApplication application = new SpringApplication(Relay.class);
    application.setDefaultProperties(Map.of("server.port", "0", "spring.main.banner-mode", "off", "logging.level.root", "warn"));
    ConfigurableApplicationContext context = application.run();
    if (!AVAILABLE.await(PATIENCE_S, TimeUnit.SECONDS)) throw new AssertionError("the relay did not reach the broker");
    int port = ((ServletWebServerApplicationContext) context).getWebServer().getPort();
    Client alice = throughTheApplication(port, "alice");
    Client bob = throughTheApplication(port, "bob");
    Client direct = atTheBroker();

    topicsReachEverybody(alice, bob, direct);
    answersReachWhoAsked(alice, bob);
    messagesReachAUser(context.getBean(SimpMessagingTemplate.class), alice, bob);
    queuesGoToOne(alice, direct);
    heartBeatsKeepIdleClients(alice, direct);

    direct.session.disconnect();
    alice.session.disconnect();
    bob.session.disconnect();
    context.close();
  }

  static void topicsReachEverybody(Client alice, Client bob, Client direct) throws Exception {
    for (Client client : new Client[] {alice, bob, direct}) client.subscribe("/topic/prices.*");
    alice.send("/topic/prices.tin", "through the application");
    direct.send("/topic/prices.tin", "at the broker");
    for (Client client : new Client[] {alice, bob, direct}) {
      client.expect("through the application");
      client.expect("at the broker");
    }
  }

  /** A controller answers through the broker, and nobody but who asked hears it. */
  static void answersReachWhoAsked(Client alice, Client bob) throws Exception {
    alice.subscribe("/user/exchange/amq.direct/answers");
    bob.subscribe("/user/exchange/amq.direct/answers");
    alice.session.send("/app/ask", "one");
    alice.expect("answer to one");
    bob.session.send("/app/ask", "two");
    bob.expect("answer to two");
  }

  static void messagesReachAUser(SimpMessagingTemplate template, Client alice, Client bob) throws Exception {
    StompSession.Subscription subscription = alice.subscribe("/user/queue/news");
    bob.subscribe("/user/queue/news");
    template.convertAndSendToUser("alice", "/queue/news", "for alice");
    template.convertAndSendToUser("bob", "/queue/news", "for bob");
    alice.expect("for alice");
    bob.expect("for bob");
    subscription.unsubscribe();
  }

  static void queuesGoToOne(Client alice, Client direct) throws Exception {
    StompSession.Subscription subscription = alice.subscribe("/queue/relayed");
    for (int number = 0; number < 100; number++) direct.session.send("/queue/relayed", "" + number);
    for (int number = 0; number < 100; number++) alice.expect("" + number);
    subscription.unsubscribe();
  }

  /** Idle for longer than what the heart-beats that were agreed on allow without any. */
  static void heartBeatsKeepIdleClients(Client alice, Client direct) throws Exception {
    Thread.sleep(4_500);
    direct.send("/topic/prices.idle", "still here");
    alice.expect("still here");
    direct.expect("still here");
    if (alice.failure.isDone() || direct.failure.isDone()) {
      throw new AssertionError(alice.failure.getNow(null) + ", " + direct.failure.getNow(null));
    }
  }
}
