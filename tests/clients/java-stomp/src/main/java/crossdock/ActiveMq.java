package crossdock;

import java.util.HashMap;
import java.util.Map;
import org.apache.activemq.transport.stomp.StompConnection;
import org.apache.activemq.transport.stomp.StompFrame;

/** ActiveMQ's own STOMP client: receipts, acknowledgements, transactions, selectors and browsers, in 1.0 and 1.2. */
public final class ActiveMq {
  public static void main(String[] arguments) throws Exception {
    sendsAndReceives();
    acknowledgesOneByOne();
    commitsAndAborts();
    selectsAndBrowses();
    comesBackToADurableSubscription();
  }

  static StompConnection connected(String version, String client) throws Exception {
    StompConnection connection = new StompConnection();
    connection.open("127.0.0.1", Ports.of("stomp"));
    HashMap<String, String> headers = headers("login", "guest", "passcode", "guest", "accept-version", version, "host", "/");
    if (client != null) headers.put("client-id", client);
    connection.connect(headers);
    connection.setVersion(version);
    return connection;
  }

  static HashMap<String, String> headers(String... pairs) {
    HashMap<String, String> headers = new HashMap<>();
    for (int index = 0; index < pairs.length; index += 2) headers.put(pairs[index], pairs[index + 1]);
    return headers;
  }

  static void frame(StompConnection connection, String command, String... pairs) throws Exception {
    connection.sendFrame(new StompFrame(command, headers(pairs)).format());
  }

  static void receipt(StompConnection connection, String id) throws Exception {
    StompFrame frame = connection.receive();
    check(frame.getAction().equals("RECEIPT") && frame.getHeaders().get("receipt-id").equals(id), frame);
  }

  static StompFrame message(StompConnection connection, String body) throws Exception {
    StompFrame frame = connection.receive();
    check(frame.getAction().equals("MESSAGE") && frame.getBody().equals(body), frame);
    return frame;
  }

  static void check(boolean isSo, Object what) {
    if (!isSo) throw new AssertionError(String.valueOf(what));
  }

  static void sendsAndReceives() throws Exception {
    for (String version : new String[] {"1.0", "1.1", "1.2"}) {
      StompConnection connection = connected(version, null);
      String queue = "/queue/java." + version;
      connection.send(queue, "héllo\n" + version, null, headers("receipt", "sent", "kind", "a:b"));
      receipt(connection, "sent");
      connection.subscribe(queue, "auto", headers("id", "1"));
      Map<String, String> headers = message(connection, "héllo\n" + version).getHeaders();
      check(headers.get("kind").equals("a:b"), headers);
      connection.unsubscribe(queue, headers("id", "1", "receipt", "over"));
      receipt(connection, "over");
      connection.disconnect("bye");
      receipt(connection, "bye");
      connection.close();
    }
  }

  static void acknowledgesOneByOne() throws Exception {
    StompConnection connection = connected("1.2", null);
    connection.subscribe("/queue/java.acks", "client-individual", headers("id", "1"));
    connection.send("/queue/java.acks", "kept");
    connection.send("/queue/java.acks", "done");
    message(connection, "kept");
    StompFrame done = message(connection, "done");
    frame(connection, "ACK", "id", done.getHeaders().get("ack"), "receipt", "acked");
    receipt(connection, "acked");
    connection.disconnect();
    connection.close();
    connection = connected("1.2", null);
    connection.subscribe("/queue/java.acks", "auto", headers("id", "1"));
    check(message(connection, "kept").getHeaders().get("redelivered").equals("true"), "what was not acknowledged comes again");
    connection.close();
  }

  static void commitsAndAborts() throws Exception {
    StompConnection connection = connected("1.2", null);
    connection.subscribe("/queue/java.transactions", "auto", headers("id", "1"));
    for (String end : new String[] {"abort", "commit"}) {
      connection.begin(end);
      for (int number = 0; number < 3; number++) connection.send("/queue/java.transactions", end + number, end, null);
      if (end.equals("abort")) connection.abort(end);
      else connection.commit(end);
    }
    for (int number = 0; number < 3; number++) message(connection, "commit" + number);
    connection.close();
  }

  static void selectsAndBrowses() throws Exception {
    StompConnection connection = connected("1.2", null);
    for (int number = 0; number < 6; number++) {
      connection.send("/queue/java.browsed", "" + number, null, headers("color", number % 2 == 0 ? "red" : "blue"));
    }
    for (String selector : new String[] {"color = 'red'", "TRUE = TRUE"}) {
      connection.subscribe("/queue/java.browsed", "auto", headers("id", "b", "browser", "true", "selector", selector));
      for (int number = 0; number < 6; number += selector.startsWith("color") ? 2 : 1) message(connection, "" + number);
      Map<String, String> end = message(connection, "").getHeaders();
      check("end".equals(end.get("browser")) && "b".equals(end.get("subscription")), end);
      connection.unsubscribe("/queue/java.browsed", headers("id", "b"));
    }
    connection.subscribe("/queue/java.browsed", "auto", headers("id", "c", "selector", "color = 'blue'"));
    for (int number = 1; number < 6; number += 2) message(connection, "" + number);
    connection.close();
  }

  static void comesBackToADurableSubscription() throws Exception {
    for (int round = 0; round < 2; round++) {
      StompConnection connection = connected("1.1", "java");
      HashMap<String, String> durable = headers("id", "1", "activemq.subscriptionName", "news", "receipt", "subscribed");
      connection.subscribe("/topic/java.news", "auto", durable);
      receipt(connection, "subscribed");
      if (round == 1) message(connection, "while away");
      connection.disconnect("bye");
      receipt(connection, "bye");
      connection.close();
      StompConnection publisher = connected("1.1", null);
      publisher.send("/topic/java.news", "while away", null, headers("receipt", "sent"));
      receipt(publisher, "sent");
      publisher.close();
    }
  }

  private ActiveMq() {}
}
