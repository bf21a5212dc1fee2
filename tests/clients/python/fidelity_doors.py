"""The doors, each opened by a client of its own making.

A message is a dictionary from addresses to values, the same for sending and for what was received, so what a client got can be
sent again as it is. `body` is bytes everywhere; the other addresses are the client's own words:

| door | addresses |
|---|---|
| AMQP | the names of pika's properties; `header NAME` |
| MQTT 5 | the names of paho's properties; `user NAME` (a list if the name repeats), or `pairs` in their order if other names stand between; `qos`; `retain` |
| MQTT 3.1.1 | `qos`; `retain` |
| STOMP | the header's name |
| SQS, SNS | `attribute NAME` (type and value), `MessageGroupId`, `Subject`, `AWSTraceHeader` |
"""

import json
import time
import uuid
from itertools import groupby

import boto3
import paho.mqtt.client as mqtt
import pika
import stomp
from botocore.config import Config
from paho_client import Client as MqttClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pika_client import connect as amqp_connect
from ports import PATIENCE_S, PORTS, wait_for
from stomp_client import connect as stomp_connect

TOPIC, KEY, HUB = "fidelity/x", "fidelity.x", "fidelity"
# A queue without room: everything goes on to MQTT, which has no other way to read a queue of SQS or a topic of SNS.
TO_MQTT, MQTT_TOPIC, MQTT_KEY = "fidelity-to-mqtt", "fidelity-mqtt/x", "fidelity-mqtt.x"
# Of the MQTT 5 reader's subscription.
IDENTIFIER = 268_435_455
TRACE = "AWSTraceHeader"
AMQP_NAMES = (
    "content_type content_encoding delivery_mode priority correlation_id reply_to expiration message_id timestamp type "
    "user_id app_id cluster_id"
).split()
MQTT_NAMES = "PayloadFormatIndicator MessageExpiryInterval ContentType ResponseTopic CorrelationData".split()
OF_THE_DELIVERY = ("destination", "message-id", "subscription", "ack", "redelivered", "content-length")


def is_mixed(names):
    """A name comes again behind others: a list for each name would not tell the order."""
    return len([name for name, _ in groupby(names)]) > len(set(names))


def under(prefix, message):
    """What has the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in message.items() if name.startswith(prefix)}



class Amqp:
    """Publishes to `amq.topic`, reads its own queue on the hub exchange."""

    queue = "fidelity-amqp"

    def __init__(self):
        self.channel = amqp_connect().channel()
        self.channel.confirm_delivery()

    def build(self, queues):
        """The hub exchange behind `amq.topic`, a queue for each reader, and the way to MQTT."""
        self.channel.exchange_declare(HUB, "fanout", durable=True)
        self.channel.exchange_bind(HUB, "amq.topic", "fidelity.#")
        for queue in queues:
            self.channel.queue_declare(queue, durable=True)
            self.channel.queue_bind(queue, HUB)
        on = {"x-max-length": 0, "x-dead-letter-exchange": "amq.topic", "x-dead-letter-routing-key": MQTT_KEY}
        self.channel.exchange_declare(TO_MQTT, "fanout", durable=True)
        self.channel.queue_declare(TO_MQTT, durable=True, arguments=on)
        self.channel.queue_bind(TO_MQTT, TO_MQTT)

    def send(self, message):
        headers = under("header ", message)
        more = {name: message[name] for name in AMQP_NAMES if name in message}
        properties = pika.BasicProperties(headers=headers or None, **more)
        self.channel.basic_publish("amq.topic", KEY, message["body"], properties)

    def receive(self):
        _, properties, body = wait_for("AMQP", lambda: self.get())
        given = {name: getattr(properties, name) for name in AMQP_NAMES if getattr(properties, name) is not None}
        return {"body": body} | given | {f"header {name}": value for name, value in (properties.headers or {}).items()}

    def get(self):
        got = self.channel.basic_get(self.queue, auto_ack=True)
        return got if got[0] else None


class Mqtt:
    """Publishes and reads topics, with QoS 1 if nothing else is said."""

    def __init__(self, version, name):
        self.version = version
        self.client = MqttClient(f"fidelity-{name}", version)
        self.client.subscribe([(TOPIC, 2), (MQTT_TOPIC, 2)], 0) if version == mqtt.MQTTv311 else self.subscribe_5()

    def subscribe_5(self):
        options = mqtt.SubscribeOptions(qos=2, retainAsPublished=True)
        properties = Properties(PacketTypes.SUBSCRIBE)
        properties.SubscriptionIdentifier = IDENTIFIER
        self.client.paho.subscribe([(TOPIC, options), (MQTT_TOPIC, options)], properties=properties)
        self.client.granted.get(timeout=PATIENCE_S)

    def send(self, message):
        properties = self.properties(message) if self.version == mqtt.MQTTv5 else None
        self.client.publish(TOPIC, message["body"], message.get("qos", 1), retain="retain" in message, properties=properties)

    def properties(self, message):
        properties = Properties(PacketTypes.PUBLISH)
        # What is between this client and the broker only: nobody else may ever see it.
        properties.TopicAlias = 1
        for name in MQTT_NAMES:
            if name in message:
                setattr(properties, name, message[name])
        for name, value in under("user ", message).items():
            for one in value if isinstance(value, list) else [value]:
                properties.UserProperty = (name, one)
        for pair in message.get("pairs", []):
            properties.UserProperty = tuple(pair)
        return properties

    def receive(self):
        got = self.client.message()
        message = {"body": got.payload, "qos": got.qos} | ({"retain": True} if got.retain else {})
        if self.version == mqtt.MQTTv311:
            return message
        message |= {name: getattr(got.properties, name) for name in MQTT_NAMES if hasattr(got.properties, name)}
        assert got.properties.SubscriptionIdentifier == [IDENTIFIER], got.properties
        assert not hasattr(got.properties, "TopicAlias"), got.properties
        pairs = getattr(got.properties, "UserProperty", [])
        own = [list(pair) for pair in pairs if not pair[0].startswith("crossdock.")]
        if is_mixed([name for name, _ in own]):
            message["pairs"] = own
            pairs = [pair for pair in pairs if list(pair) not in own]
        for name in dict(pairs):
            values = [value for other, value in pairs if other == name]
            message[f"user {name}"] = values if len(values) > 1 else values[0]
        return message


class Late:
    """A session of MQTT 5 that is there now and then."""

    def connect(self):
        return MqttClient("fidelity-late", mqtt.MQTTv5, clean=False, expiry_s=600)

    def leave(self):
        client = self.connect()
        client.subscribe([(topic, mqtt.SubscribeOptions(qos=1, retainHandling=2)) for topic in (TOPIC, MQTT_TOPIC)], 0)
        client.close()

    def left_s(self):
        client = self.connect()
        left = client.message().properties.MessageExpiryInterval
        client.paho.unsubscribe([TOPIC, MQTT_TOPIC])
        client.close()
        return left


class Stomp:
    """Sends to `/topic`, reads its own queue on the hub exchange."""

    queue = "fidelity-stomp"

    def __init__(self):
        self.connection, self.listener = stomp_connect(stomp.Connection12, auto_decode=False)

    def subscribe(self):
        self.connection.subscribe(f"/amq/queue/{self.queue}", id="1", ack="auto", headers={"receipt": "subscribed"})
        assert self.listener.receipt() == "subscribed"

    def send(self, message):
        headers = {name: value for name, value in message.items() if name != "body"}
        receipt = str(uuid.uuid4())
        self.connection.send(f"/topic/{KEY}", message["body"], headers=headers, receipt=receipt)
        assert self.listener.receipt() == receipt

    def receive(self):
        frame = self.listener.message()
        message = {name: value for name, value in frame.headers.items() if name not in OF_THE_DELIVERY}
        return {"body": frame.body} | message


def not_at_a_whole_second():
    """SQS's time of sending looks different to AMQP and STOMP if it has no milliseconds; so not then."""
    while not 0.02 < time.time() % 1 < 0.95:
        time.sleep(0.01)


def more_of(message):
    more = {name: message[name] for name in ("MessageGroupId", "Subject") if name in message}
    if trace := message.get(TRACE):
        more["MessageSystemAttributes"] = {TRACE: {"DataType": "String", "StringValue": trace}}
    return more


def aws(service):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{PORTS['aws']}",
        region_name="us-east-1",
        aws_access_key_id="guest",
        aws_secret_access_key="guest",
        config=Config(retries={"max_attempts": 1}),
    )


def to_attributes(message):
    """Addresses to what SendMessage and Publish take."""
    key = {"Binary": "BinaryValue"}
    attributes = under("attribute ", message).items()
    return {name: {"DataType": kind, key.get(kind, "StringValue"): value} for name, (kind, value) in attributes}


class Sqs:
    """SendMessage goes to one queue: a copy to each reader's. Reads its own."""

    def __init__(self, queue, targets=()):
        self.sqs = aws("sqs")
        self.url, *self.targets = [self.sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (queue, *targets)]

    def send(self, message):
        not_at_a_whole_second()
        for url in self.targets:
            body, attributes = message["body"].decode(), to_attributes(message)
            self.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes, **more_of(message))

    def receive(self):
        got = wait_for("SQS", self.get)
        attributes = got.get("MessageAttributes", {}).items()
        message = {f"attribute {n}": (a["DataType"], a.get("StringValue", a.get("BinaryValue"))) for n, a in attributes}
        own = {name: value for name, value in got["Attributes"].items() if name in ("MessageGroupId", TRACE)}
        return {"body": got["Body"].encode()} | own | message

    def get(self):
        every = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
        messages = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=1, **every).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return messages[0] if messages else None


class Sns:
    """Publishes to the hub, which is a topic too, and to the way to MQTT."""

    def __init__(self):
        self.sns = aws("sns")
        self.topics = [self.sns.create_topic(Name=name)["TopicArn"] for name in (HUB, TO_MQTT)]

    def subscribe(self, queue, raw):
        sqs = aws("sqs")
        url = sqs.create_queue(QueueName=queue)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RawMessageDelivery": "true"} if raw else {}
        self.sns.subscribe(TopicArn=self.topics[0], Protocol="sqs", Endpoint=arn, Attributes=attributes)

    def send(self, message):
        not_at_a_whole_second()
        for topic in self.topics:
            text = message["body"].decode()
            self.sns.publish(TopicArn=topic, Message=text, MessageAttributes=to_attributes(message), **more_of(message))


class Envelope(Sqs):
    """Reads a queue that SNS writes its envelope to."""

    def receive(self):
        outer = super().receive()
        inner = json.loads(outer.pop("body"))
        assert inner["Type"] == "Notification", inner
        message = outer | {"body": inner["Message"].encode()}
        if "Subject" in inner:
            message["Subject"] = inner["Subject"]
        attributes = inner.get("MessageAttributes", {}).items()
        return message | {f"attribute {name}": (a["Type"], a["Value"]) for name, a in attributes}
