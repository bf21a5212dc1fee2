package crossdock;

import com.hivemq.client.mqtt.MqttClientTransportConfig;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt3.Mqtt3BlockingClient;
import com.hivemq.client.mqtt.mqtt3.Mqtt3Client;
import com.hivemq.client.mqtt.mqtt5.Mqtt5BlockingClient;
import com.hivemq.client.mqtt.mqtt5.Mqtt5Client;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;

/** MQTT 3.1.1 and 5 through Eclipse Paho's and HiveMQ's clients, over TCP, TLS or WebSocket. */
public final class Mqtt {
    private static final int PATIENCE_S = 60;

    public static void main(String[] arguments) throws Exception {
        int port = Entrance.port();
        paho3(port, MqttConnectOptions.MQTT_VERSION_3_1);
        paho3(port, MqttConnectOptions.MQTT_VERSION_3_1_1);
        paho5(port);
        hivemq3(port);
        hivemq5(port);
        System.exit(0);
    }

    private static void expect(boolean good, String what) {
        if (!good) {
            throw new AssertionError(what);
        }
    }

    private static <T> T next(BlockingQueue<T> from) throws InterruptedException {
        T value = from.poll(PATIENCE_S, TimeUnit.SECONDS);
        expect(value != null, "nothing came");
        return value;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void paho3(int port, int version) throws Exception {
        var store = new org.eclipse.paho.client.mqttv3.persist.MemoryPersistence();
        var client = new org.eclipse.paho.client.mqttv3.MqttClient(Entrance.address(port), "paho3-" + version, store);
        var options = new MqttConnectOptions();
        options.setMqttVersion(version);
        if (Entrance.HAS_PASSWORD) {
            options.setUserName("guest");
            options.setPassword("guest".toCharArray());
        }
        if (Entrance.AUTHORITY != null) {
            options.setSocketFactory(Entrance.context().getSocketFactory());
        }
        options.setWill("java/will", bytes("gone"), 1, false);
        client.connect(options);
        var heard = new LinkedBlockingQueue<org.eclipse.paho.client.mqttv3.MqttMessage>();
        client.subscribe("java3/+", 2, (topic, message) -> heard.add(message));
        for (int qos = 0; qos < 3; qos++) {
            client.publish("java3/" + qos, bytes("m" + qos), qos, false);
            var message = next(heard);
            expect(message.getQos() == qos && new String(message.getPayload()).equals("m" + qos), message.toString());
        }
        client.unsubscribe("java3/+");
        client.disconnect();
        client.close();
    }

    private static void paho5(int port) throws Exception {
        var store = new org.eclipse.paho.mqttv5.client.persist.MemoryPersistence();
        var client = new org.eclipse.paho.mqttv5.client.MqttClient(Entrance.address(port), "paho5", store);
        var options = new MqttConnectionOptions();
        if (Entrance.HAS_PASSWORD) {
            options.setUserName("guest");
            options.setPassword(bytes("guest"));
        }
        if (Entrance.AUTHORITY != null) {
            options.setSocketFactory(Entrance.context().getSocketFactory());
        }
        options.setTopicAliasMaximum(10);
        options.setReceiveMaximum(5);
        client.connect(options);
        var heard = new LinkedBlockingQueue<org.eclipse.paho.mqttv5.common.MqttMessage>();
        client.setCallback(new Heard(heard));
        client.subscribe("java5/+", 2);
        for (int round = 0; round < 2; round++) {
            for (int qos = 0; qos < 3; qos++) {
                var message = new org.eclipse.paho.mqttv5.common.MqttMessage(bytes("m" + qos), qos, false, new MqttProperties());
                message.getProperties().setContentType("text/plain");
                message.getProperties().getUserProperties().add(new UserProperty("k", "v"));
                client.publish("java5/" + qos, message);
                var got = next(heard);
                expect(got.getQos() == qos && got.getProperties().getContentType().equals("text/plain"), got.toString());
                expect(got.getProperties().getUserProperties().get(0).getValue().equals("v"), "user property");
            }
        }
        client.disconnect();
        client.close();
    }

    private record Heard(BlockingQueue<org.eclipse.paho.mqttv5.common.MqttMessage> messages)
            implements org.eclipse.paho.mqttv5.client.MqttCallback {
        @Override
        public void messageArrived(String topic, org.eclipse.paho.mqttv5.common.MqttMessage message) {
            messages.add(message);
        }

        @Override
        public void disconnected(org.eclipse.paho.mqttv5.client.MqttDisconnectResponse response) {}

        @Override
        public void mqttErrorOccurred(org.eclipse.paho.mqttv5.common.MqttException error) {}

        @Override
        public void deliveryComplete(org.eclipse.paho.mqttv5.client.IMqttToken token) {}

        @Override
        public void connectComplete(boolean again, String address) {}

        @Override
        public void authPacketArrived(int reason, MqttProperties properties) {}
    }

    private static MqttClientTransportConfig transport(int port) throws Exception {
        var transport = MqttClientTransportConfig.builder().serverHost(Entrance.HOST).serverPort(port);
        if (Entrance.AUTHORITY != null) {
            transport = transport.sslConfig().trustManagerFactory(Entrance.trust()).keyManagerFactory(Entrance.keys()).applySslConfig();
        }
        if (Entrance.IS_WEBSOCKET) {
            transport = transport.webSocketConfig().serverPath("mqtt").applyWebSocketConfig();
        }
        return transport.build();
    }

    private static void hivemq3(int port) throws Exception {
        var builder = Mqtt3Client.builder().identifier("hive3").transportConfig(transport(port));
        if (Entrance.HAS_PASSWORD) {
            builder = builder.simpleAuth().username("guest").password(bytes("guest")).applySimpleAuth();
        }
        Mqtt3BlockingClient client = builder.buildBlocking();
        client.connect();
        try (var publishes = client.publishes(MqttGlobalPublishFilter.ALL)) {
            client.subscribeWith().topicFilter("hive3/#").qos(MqttQos.EXACTLY_ONCE).send();
            for (MqttQos qos : MqttQos.values()) {
                client.publishWith().topic("hive3/x").qos(qos).payload(bytes("m")).send();
                var got = publishes.receive(PATIENCE_S, TimeUnit.SECONDS).orElseThrow();
                expect(got.getQos() == qos, got.toString());
            }
        }
        client.disconnect();
    }

    private static void hivemq5(int port) throws Exception {
        var builder = Mqtt5Client.builder().identifier("hive5").transportConfig(transport(port));
        if (Entrance.HAS_PASSWORD) {
            builder = builder.simpleAuth().username("guest").password(bytes("guest")).applySimpleAuth();
        }
        Mqtt5BlockingClient client = builder.buildBlocking();
        client.connectWith().restrictions().receiveMaximum(10).topicAliasMaximum(5).maximumPacketSize(10_000).applyRestrictions()
                .willPublish().topic("hive5/will").payload(bytes("gone")).delayInterval(1).applyWillPublish()
                .sessionExpiryInterval(60).send();
        try (var publishes = client.publishes(MqttGlobalPublishFilter.ALL)) {
            client.subscribeWith().topicFilter("hive5/#").qos(MqttQos.EXACTLY_ONCE).retainAsPublished(true).send();
            for (MqttQos qos : MqttQos.values()) {
                for (int round = 0; round < 3; round++) {
                    client.publishWith().topic("hive5/x").qos(qos).payload(bytes("m")).contentType("text/plain")
                            .responseTopic("answers").correlationData(new byte[] {0, 1}).messageExpiryInterval(1000)
                            .userProperties().add("k", "1").add("k", "2").applyUserProperties().send();
                    Mqtt5Publish got = publishes.receive(PATIENCE_S, TimeUnit.SECONDS).orElseThrow();
                    expect(got.getQos() == qos && got.getUserProperties().asList().size() == 2, got.toString());
                    expect(got.getContentType().orElseThrow().toString().equals("text/plain"), "content type");
                }
            }
        }
        client.disconnect();
    }
}
