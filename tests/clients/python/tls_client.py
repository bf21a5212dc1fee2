"""Every protocol through TLS, with the certificates of `crossdock dev-certs`."""

import os
import queue
import ssl

import paho.mqtt.client as mqtt
import pika
import stomp
from ports import PATIENCE_S, PORTS

AUTHORITY = os.environ["CROSSDOCK_CA"]


def amqps():
    context = ssl.create_default_context(cafile=AUTHORITY)
    parameters = pika.ConnectionParameters(
        "localhost",
        PORTS["amqps"],
        ssl_options=pika.SSLOptions(context, "localhost"),
        credentials=pika.PlainCredentials("guest", "guest"),
    )
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare("tls", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "tls", b"x" * 300_000)
    assert channel.basic_get("tls", auto_ack=True)[2] == b"x" * 300_000
    connection.close()


def mqtts():
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "tls")
    client.username_pw_set("guest", "guest")
    client.tls_set(ca_certs=AUTHORITY)
    heard, granted = queue.Queue(), queue.Queue()
    client.on_message = lambda _c, _u, message: heard.put(message.payload)
    client.on_subscribe = lambda *_: granted.put(True)
    client.connect("localhost", PORTS["mqtts"])
    client.loop_start()
    client.subscribe("tls", 1)
    granted.get(timeout=PATIENCE_S)
    client.publish("tls", "hello", 1)
    assert heard.get(timeout=PATIENCE_S) == b"hello"
    client.disconnect()
    client.loop_stop()


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.messages = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame.body)


def stomps():
    address = ("localhost", PORTS["stomps"])
    connection = stomp.Connection12([address])
    connection.set_ssl([address], ca_certs=AUTHORITY)
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect("guest", "guest", wait=True)
    connection.subscribe("/queue/tls-stomp", id="1", ack="auto")
    connection.send("/queue/tls-stomp", "hello")
    assert listener.messages.get(timeout=PATIENCE_S) == "hello"
    connection.disconnect()


def a_stranger_is_not_trusted():
    context = ssl.create_default_context()
    parameters = pika.ConnectionParameters("localhost", PORTS["amqps"], ssl_options=pika.SSLOptions(context, "localhost"))
    try:
        pika.BlockingConnection(parameters)
        raise AssertionError("a certificate of an unknown authority")
    except (ssl.SSLCertVerificationError, pika.exceptions.AMQPConnectionError):
        pass


if __name__ == "__main__":
    amqps()
    mqtts()
    stomps()
    a_stranger_is_not_trusted()
