"""All doors open, with the queues and bindings between them; and what it means that a message arrived as it should."""

import json

import paho.mqtt.client as mqtt
from fidelity_doors import TO_MQTT, Amqp, Envelope, Mqtt, Sns, Sqs, Stomp
from fidelity_table import AMQP, ENVELOPED, MQTT3, MQTT5, RAW, RECEIVERS, SNS, SQS, STOMP, Any
from ports import PORTS

QUEUES = {SQS: "fidelity-sqs", RAW: "fidelity-sns-raw", ENVELOPED: "fidelity-sns-enveloped"}
DEFAULT = {"body": b"plain"}


def open_doors():
    """Every door's client."""
    amqp, stomp = Amqp(), Stomp()
    amqp.build([Amqp.queue, Stomp.queue, QUEUES[SQS]])
    stomp.subscribe()
    doors = {AMQP: amqp, STOMP: stomp, MQTT5: Mqtt(mqtt.MQTTv5, "5"), MQTT3: Mqtt(mqtt.MQTTv311, "3")}
    return doors | open_aws() if "aws" in PORTS else doors


def open_aws():
    sns = Sns()
    for door in (RAW, ENVELOPED):
        sns.subscribe(QUEUES[door], door == RAW)
    sqs = Sqs(QUEUES[SQS], [Amqp.queue, Stomp.queue, QUEUES[SQS], TO_MQTT])
    return {SQS: sqs, SNS: sns, RAW: Sqs(QUEUES[RAW]), ENVELOPED: Envelope(QUEUES[ENVELOPED])}


def send_and_receive(doors, sender, message):
    """What every receiver gets of a message."""
    doors[sender].send(DEFAULT | message)
    return {r: doors[r].receive() for r in RECEIVERS if r in doors and not (sender == SQS and r in (RAW, ENVELOPED))}


def difference(got, wanted, plain):
    """What is not as wanted. Whatever a plain message has not must be wanted."""
    wanted, plain = explode(DEFAULT | wanted), explode(plain)
    extra = {name: value for name, value in explode(got).items() if name in wanted or name not in plain}
    return None if is_same(extra, wanted) else f"\n    wanted {wanted}\n    got    {extra}"


def explode(message):
    """Headers that are lists of entries, entry by entry: some entries are of every message."""
    exploded = {}
    for name, value in message.items():
        text = value[1] if isinstance(value, tuple) else value
        if name.endswith("crossdock.types"):
            exploded |= {f"{name} {header}": code for header, code in (entry.split("=") for entry in text.split(","))}
        elif name.endswith("crossdock.headers"):
            for header, code, content in json.loads(text):
                exploded.setdefault(f"attribute {header}", []).append((code, content))
        else:
            exploded[name] = value
    return exploded


def is_same(got, wanted):
    """Equal with the types: True is not 1."""
    return got == wanted and all(isinstance(v, Any) or type(v) is type(got[n]) for n, v in wanted.items())
