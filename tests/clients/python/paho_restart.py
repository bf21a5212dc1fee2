"""QoS 2 through paho while the broker is killed: says "kill" when it likes, and is told the new port."""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from ports import PORTS, wait_for

KILLS = 5
MESSAGES_BETWEEN = 100


class Client:
    """A client with a session that stays, and that paho keeps its part of."""

    def __init__(self, name, version):
        # paho's own second attempt would publish what has had its PUBREC again, as new: it forgets what it waits for.
        kinds = {"reconnect_on_failure": False}
        if version != mqtt.MQTTv5:
            kinds["clean_session"] = False
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, **kinds)
        self.paho.username_pw_set("guest", "guest")
        self.version = version
        self.bodies = []
        self.connected = threading.Event()
        self.granted = threading.Event()
        self.paho.on_message = lambda *arguments: self.bodies.append(int(arguments[2].payload))
        self.paho.on_connect = lambda *_: self.connected.set()
        self.paho.on_subscribe = lambda *_: self.granted.set()
        self.connect()

    def connect(self):
        self.connected.clear()
        more = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
            more = {"clean_start": False, "properties": properties}
        self.paho.connect("127.0.0.1", PORTS["mqtt"], **more)
        self.paho.loop_start()
        assert self.connected.wait(30)


def killed(clients):
    """The broker is killed and comes back on another port."""
    print("kill", flush=True)
    PORTS["mqtt"] = int(sys.stdin.readline())
    for client in clients:
        client.paho.loop_stop()
        client.connect()


for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    topic = f"restart/{version}"
    reader, writer = Client(f"reader{version}", version), Client(f"writer{version}", version)
    reader.paho.subscribe(topic, qos=2)
    assert reader.granted.wait(30)
    sent = []
    for _ in range(KILLS):
        for _ in range(MESSAGES_BETWEEN):
            sent.append(writer.paho.publish(topic, str(len(sent)), qos=2))
        # Some are through, some are under way.
        wait_for("some messages", lambda: sent[-MESSAGES_BETWEEN // 2].is_published())
        killed([reader, writer])
    for info in sent:
        info.wait_for_publish(30)
        assert info.is_published()
    wait_for("all messages", lambda: len(reader.bodies) >= len(sent))
    reader.paho.disconnect()
    writer.paho.disconnect()
    assert reader.bodies == list(range(len(sent))), reader.bodies
