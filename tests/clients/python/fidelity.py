"""The fidelity matrix: every property from every door to every door, there and back, as its table says.

`CROSSDOCK_WRITE_FIDELITY=1` writes `docs/fidelity.md`; otherwise it has to be what would be written.
"""

import os
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
from fidelity_doors import HUB, TO_MQTT, Amqp, Envelope, Mqtt, Sns, Sqs, Stomp
from fidelity_page import page
from fidelity_table import AMQP, Any, ENVELOPED, MQTT3, MQTT5, RAW, RECEIVERS, ROWS, SENDERS, SNS, SQS, STOMP
from fidelity_trips import there_and_back
from ports import PORTS

PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"
QUEUES = {SQS: "fidelity-sqs", RAW: "fidelity-sns-raw", ENVELOPED: "fidelity-sns-enveloped"}
DEFAULT = {"body": b"plain"}


def open_doors():
    """Every client, with the queues and bindings between them."""
    amqp, stomp = Amqp(), Stomp()
    amqp.build([Amqp.queue, Stomp.queue] + ([QUEUES[SQS]] if "aws" in PORTS else []))
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


def difference(row, sender, receiver, got, plain):
    """What is not as the table says; everything that a plain message has not must be in the table."""
    outcome = row.outcome(sender, receiver)
    if outcome is None:
        return f"the table says nothing: {got}"
    wanted = DEFAULT | outcome.got
    extra = {name: value for name, value in got.items() if name in wanted or name not in plain}
    return None if same(extra, wanted) else f"{outcome.how}\n    wanted {wanted}\n    got    {extra}"


def same(got, wanted):
    """Equal with the types: True is not 1."""
    return got == wanted and all(isinstance(v, Any) or type(v) is type(got[n]) for n, v in wanted.items())


def undeclared(sender, receiver, plain):
    """What a plain message has that no row speaks of."""
    outcomes = [row.outcome(sender, receiver) for row in ROWS if sender in row.sends]
    return set(plain) - {"body"} - {name for outcome in outcomes if outcome for name in outcome.got}


def matrix(doors):
    """Every sender × every receiver × every property; gives what is not as the table says."""
    for sender in (sender for sender in SENDERS if sender in doors):
        plain = send_and_receive(doors, sender, {})
        for receiver, message in plain.items():
            if names := undeclared(sender, receiver, message):
                yield f"{sender} → {receiver}: {names} in a plain message: {message}"
        for row in (row for row in ROWS if sender in row.sends):
            for receiver, got in send_and_receive(doors, sender, row.sends[sender]).items():
                if problem := difference(row, sender, receiver, got, plain[receiver]):
                    yield f"{row.name}: {sender} → {receiver}: {problem}"


def check_page():
    text = page()
    if os.environ.get("CROSSDOCK_WRITE_FIDELITY"):
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        yield f"{PAGE} is not what the table says: CROSSDOCK_WRITE_FIDELITY=1 writes it"


if __name__ == "__main__":
    opened = open_doors()
    problems = [*matrix(opened), *there_and_back(opened), *check_page()]
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
