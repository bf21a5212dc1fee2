"""Questions and answers across protocols: each of STOMP, AMQP 0-9-1 and MQTT 5 asks, and each answers."""

import queue

import paho.mqtt.client as mqtt
import pika
import stomp
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho_client import Client as MqttClient
from ports import PATIENCE_S, PORTS, wait_for


class StompListener(stomp.ConnectionListener):
    def __init__(self):
        self.messages = queue.Queue()
        self.receipts = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame)


class Stomp:
    def __init__(self):
        self.connection = stomp.Connection12([("127.0.0.1", PORTS["stomp"])])
        self.listener = StompListener()
        self.connection.set_listener("", self.listener)
        self.connection.connect("guest", "guest", wait=True)

    def serve(self, name):
        self.connection.subscribe(f"/topic/rpc.{name}", id="server", ack="auto", headers={"receipt": "ready"})
        self.listener.receipts.get(timeout=PATIENCE_S)

    def answer(self):
        question = self.listener.messages.get(timeout=PATIENCE_S)
        headers = {"correlation-id": question.headers["correlation-id"]}
        self.connection.send(question.headers["reply-to"], f"stomp answers {question.body}", headers=headers)

    def ask(self, name):
        headers = {"reply-to": "/temp-queue/answers", "correlation-id": "from-stomp"}
        self.connection.send(f"/topic/rpc.{name}", "stomp", headers=headers)

    def hear(self):
        answer = self.listener.messages.get(timeout=PATIENCE_S)
        return answer.body, answer.headers["correlation-id"]

    def close(self):
        self.connection.disconnect()


class Amqp:
    def __init__(self):
        self.connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"]))
        self.channel = self.connection.channel()

    def serve(self, name):
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.queue, "amq.topic", f"rpc.{name}")

    def take(self, name):
        def got():
            method, properties, body = self.channel.basic_get(name, auto_ack=True)
            return method and (properties, body)
        return wait_for("a message", got)

    def answer(self):
        properties, body = self.take(self.queue)
        self.channel.basic_publish("", properties.reply_to, f"amqp answers {body.decode()}",
                                   pika.BasicProperties(correlation_id=properties.correlation_id))

    def ask(self, name):
        self.answers = self.channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(reply_to=self.answers, correlation_id="from-amqp")
        self.channel.basic_publish("amq.topic", f"rpc.{name}", "amqp", properties)

    def hear(self):
        properties, body = self.take(self.answers)
        return body.decode(), properties.correlation_id

    def close(self):
        self.connection.close()


class Mqtt:
    names = 0

    def __init__(self):
        Mqtt.names += 1
        self.client = MqttClient(f"rpc-{Mqtt.names}", mqtt.MQTTv5)

    def listen(self, topic):
        self.client.paho.subscribe(topic, qos=1)
        self.client.granted.get(timeout=PATIENCE_S)

    def serve(self, name):
        self.listen(f"rpc/{name}")

    def answer(self):
        question = self.client.messages.get(timeout=PATIENCE_S)
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = question.properties.CorrelationData
        self.client.paho.publish(question.properties.ResponseTopic, f"mqtt answers {question.payload.decode()}", 1, properties=properties)

    def ask(self, name):
        self.listen("answers/of.mqtt")
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "answers/of.mqtt"
        properties.CorrelationData = b"from-mqtt"
        self.client.paho.publish(f"rpc/{name}", "mqtt", 1, properties=properties)

    def hear(self):
        answer = self.client.messages.get(timeout=PATIENCE_S)
        return answer.payload.decode(), answer.properties.CorrelationData.decode()

    def close(self):
        self.client.paho.disconnect()
        self.client.paho.loop_stop()


if __name__ == "__main__":
    KINDS = {"stomp": Stomp, "amqp": Amqp, "mqtt": Mqtt}
    for asking, Asks in KINDS.items():
        for answering, Answers in KINDS.items():
            asks, answers = Asks(), Answers()
            name = f"{asking}-{answering}"
            answers.serve(name)
            asks.ask(name)
            answers.answer()
            heard = asks.hear()
            assert heard == (f"{answering} answers {asking}", f"from-{asking}"), (name, heard)
            asks.close()
            answers.close()
