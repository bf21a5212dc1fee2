"""MQTT 3.1.1 and 5 through paho, over TCP, TLS or WebSocket."""

import queue
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from entrance import HOST, TRANSPORT, port, prepare
from ports import PATIENCE_S, wait_for

VERSIONS = (mqtt.MQTTv311, mqtt.MQTTv5)


class Client:
    """A client whose callbacks end in queues."""

    def __init__(self, name, version, clean=True, expiry_s=0, will=None):
        kinds = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, transport=TRANSPORT, **kinds)
        prepare(self.paho)
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.granted = queue.Queue()
        self.gone = threading.Event()
        self.paho.on_message = lambda *arguments: self.messages.put(arguments[2])
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.connected.put((flags.session_present, reason))
        self.paho.on_subscribe = lambda _c, _u, _mid, reasons, _p: self.granted.put([r.value for r in reasons])
        self.paho.on_disconnect = lambda *_: self.gone.set()
        if will:
            self.paho.will_set(*will)
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry_s
            self.paho.connect(HOST, port(), clean_start=clean, properties=properties)
        else:
            self.paho.connect(HOST, port())
        self.paho.loop_start()
        self.present, reason = self.connected.get(timeout=PATIENCE_S)
        assert not reason.is_failure, reason

    def subscribe(self, topic, qos, **more):
        self.paho.subscribe(topic, qos=qos, **more) if not more else self.paho.subscribe(topic, **more)
        return self.granted.get(timeout=PATIENCE_S)

    def publish(self, topic, payload, qos, **more):
        info = self.paho.publish(topic, payload, qos, **more)
        info.wait_for_publish(PATIENCE_S)
        assert info.is_published()

    def message(self):
        return self.messages.get(timeout=PATIENCE_S)

    def close(self):
        self.paho.disconnect()
        self.gone.wait(PATIENCE_S)
        self.paho.loop_stop()

    def vanish(self):
        """Ends without a goodbye."""
        self.paho.loop_stop()
        self.paho.socket().close()


def every_qos_both_ways(version):
    reader, writer = Client(f"r{version}", version), Client(f"w{version}", version)
    assert reader.subscribe("qos/+/#", 2) == [2]
    for qos in (0, 1, 2):
        for n in range(50):
            writer.publish(f"qos/{qos}/x", f"{qos}-{n}", qos)
    got = [reader.message() for _ in range(150)]
    assert [m.payload.decode() for m in got] == [f"{qos}-{n}" for qos in (0, 1, 2) for n in range(50)]
    assert [m.qos for m in got] == [0] * 50 + [1] * 50 + [2] * 50
    assert all(m.topic == f"qos/{m.qos}/x" and not m.retain for m in got)
    reader.close()
    writer.close()


def retained(version):
    writer = Client(f"rw{version}", version)
    writer.publish(f"keep/{version}.1/a", "old", 1, retain=True)
    writer.publish(f"keep/{version}.1/a", "new", 1, retain=True)
    writer.publish(f"keep/{version}.1/b", "gone", 1, retain=True)
    writer.publish(f"keep/{version}.1/b", "", 1, retain=True)
    reader = Client(f"rr{version}", version)
    reader.subscribe(f"keep/{version}.1/#", 1)
    message = reader.message()
    assert (message.payload, message.retain, message.topic) == (b"new", True, f"keep/{version}.1/a")
    writer.publish(f"keep/{version}.1/a", "live", 1, retain=True)
    message = reader.message()
    assert (message.payload, message.retain) == (b"live", False)
    writer.close()
    reader.close()


def a_session_waits(version):
    name = f"s{version}"
    session = Client(name, version, clean=False, expiry_s=600)
    session.subscribe(f"session/{version}", 2)
    session.close()
    writer = Client(f"sw{version}", version)
    for n in range(20):
        writer.publish(f"session/{version}", str(n), 1 + n % 2)
    session = Client(name, version, clean=False, expiry_s=600)
    assert session.present
    numbers = [int(session.message().payload) for _ in range(20)]
    # The order holds within each QoS: a QoS 2 message is delivered only when its handshake is through.
    for qos in (1, 2):
        of_qos = [n for n in range(20) if 1 + n % 2 == qos]
        assert [n for n in numbers if n in of_qos] == of_qos, numbers
    session.close()
    session = Client(name, version, clean=True)
    assert not session.present
    session.close()
    writer.close()


def a_will_is_sent_or_not(version):
    watcher = Client(f"ww{version}", version)
    watcher.subscribe(f"will/{version}", 1)
    polite = Client(f"wp{version}", version, will=(f"will/{version}", "never", 1))
    polite.close()
    rude = Client(f"wr{version}", version, will=(f"will/{version}", "goodbye", 1))
    rude.vanish()
    assert watcher.message().payload == b"goodbye"
    watcher.close()


def taking_over(version):
    first = Client(f"t{version}", version)
    second = Client(f"t{version}", version)
    assert first.gone.wait(PATIENCE_S)
    first.paho.loop_stop()
    second.close()


def properties_of_version_5():
    reader, writer = Client("p5r", mqtt.MQTTv5), Client("p5w", mqtt.MQTTv5)
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    reader.subscribe("props/#", 1, options=options)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answers/1"
    properties.CorrelationData = b"\x00\xff"
    properties.MessageExpiryInterval = 60
    properties.PayloadFormatIndicator = 1
    properties.UserProperty = [("a", "1"), ("a", "2"), ("b", "")]
    writer.publish("props/x", "m", 1, properties=properties)
    got = reader.message().properties
    assert got.ContentType == "text/plain" and got.ResponseTopic == "answers/1"
    assert got.CorrelationData == b"\x00\xff" and got.PayloadFormatIndicator == 1
    assert 0 < got.MessageExpiryInterval <= 60
    assert got.UserProperty == [("a", "1"), ("a", "2"), ("b", "")]
    reader.publish("props/x", "own", 1)
    writer.publish("props/x", "other", 1)
    assert reader.message().payload == b"other", "no-local"
    reader.close()
    writer.close()


def a_shared_subscription_gives_each_message_to_one():
    members = [Client(f"member{n}", mqtt.MQTTv5) for n in range(2)]
    for member in members:
        assert member.subscribe("$share/group/shared/#", 1) == [1]
    writer = Client("shared-writer", mqtt.MQTTv5)
    for n in range(20):
        writer.publish(f"shared/{n}", str(n), 1)
    wait_for("all messages", lambda: sum(m.messages.qsize() for m in members) == 20)
    got = [int(m.message().payload) for m in members for _ in range(m.messages.qsize())]
    assert sorted(got) == list(range(20)), got
    for client in (*members, writer):
        client.close()


def wrong_filters_end_the_connection():
    client = Client("filters", mqtt.MQTTv5)
    assert client.subscribe("a/#", 1) == [1]
    client.paho.subscribe("$share//x", 1)
    assert client.gone.wait(PATIENCE_S)
    client.paho.loop_stop()


if __name__ == "__main__":
    for version in VERSIONS:
        every_qos_both_ways(version)
        retained(version)
        a_session_waits(version)
        a_will_is_sent_or_not(version)
        taking_over(version)
    properties_of_version_5()
    a_shared_subscription_gives_each_message_to_one()
    wrong_filters_end_the_connection()
