"""Dead letters that nobody takes, through pika: kept with at-least-once and sent when there is a route, dropped with at-most-once."""

import base64
import json
import time
import urllib.request

import pika
from ports import PATIENCE_S, PORTS

CREDENTIALS = pika.PlainCredentials("guest", "guest")


def queue_shown(name):
    """What the management API says of a queue."""
    request = urllib.request.Request(f"http://127.0.0.1:{PORTS['management']}/api/queues/%2F/{name}")
    request.add_header("authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def reject_one(channel, strategy, overflow):
    """A quorum queue with this strategy, and a message in it that is rejected. Its letters go to a queue that is not there."""
    name = f"{strategy}.{overflow}"
    arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"letters.{name}",
        "x-dead-letter-strategy": strategy,
        "x-overflow": overflow,
    }
    channel.queue_declare(name, durable=True, arguments=arguments)
    channel.basic_publish("", name, name.encode(), pika.BasicProperties(delivery_mode=2))
    method, _, _ = channel.basic_get(name)
    channel.basic_reject(method.delivery_tag, requeue=False)
    return name


def letter(channel, name):
    """The letter, once it has come."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        method, properties, body = channel.basic_get(f"letters.{name}", auto_ack=True)
        if method:
            return properties, body
        time.sleep(0.1)
    raise AssertionError(f"the letter of {name} does not come")


connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], "/", CREDENTIALS))
channel = connection.channel()
channel.confirm_delivery()
kept = reject_one(channel, "at-least-once", "reject-publish")
dropped = [reject_one(channel, "at-most-once", "reject-publish"), reject_one(channel, "at-least-once", "drop-head")]
# What comes after the rejections on this channel is answered after them.
for name in [kept, *dropped]:
    channel.queue_declare(f"letters.{name}", durable=True)
shown = queue_shown(kept)
assert (shown["messages_dlx"], shown["message_bytes_dlx"], shown["messages_ready"]) == (1, len(kept), 0), shown
properties, body = letter(channel, kept)
death = properties.headers["x-death"][0]
assert (body, death["queue"], death["reason"], death["count"]) == (kept.encode(), kept, "rejected", 1), properties
assert queue_shown(kept)["messages_dlx"] == 0
for name in dropped:
    assert channel.basic_get(f"letters.{name}")[0] is None, f"{name} keeps letters"
    assert queue_shown(name)["messages_dlx"] == 0
connection.close()
