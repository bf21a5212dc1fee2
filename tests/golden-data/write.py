"""Writes a data directory with a bit of everything, by the given program: `write.py PROGRAM NAME` makes NAME-killed.tar.gz and
NAME-stopped.tar.gz here. Once for each released version; `tests/golden.rs` opens them. Needs pika and boto3."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

import boto3
import pika

HERE = pathlib.Path(__file__).parent
LISTENERS = ["amqp", "mqtt", "stomp", "aws", "management"]
# Longer than all that follows takes, so that the message is stored as a delayed one.
DELAY_SECONDS = 60


def start(program, folder):
    ports = folder / "ports.json"
    command = [program, "--dev", "--data-dir", str(folder / "data"), "--ports-file", str(ports)]
    for setting in ["core.shards=2", "limits.message_bytes_max=1MiB", "store.segment_bytes=4MiB"] + [f"listeners.{name}.port=0" for name in LISTENERS]:
        command += ["--set", setting]
    process = subprocess.Popen(command, cwd=folder)
    while True:
        try:
            return process, json.loads(ports.read_text())
        except (OSError, ValueError):
            assert process.poll() is None, "the broker ended"
            time.sleep(0.01)


def amqp(port):
    connection = pika.BlockingConnection(pika.ConnectionParameters(port=port))
    channel = connection.channel()
    channel.confirm_delivery()
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    queues = {"orders": {}, "ranked": {"x-max-priority": 5}, "unsettled": {}, "letters": {}, "rejecting": letters, "bound": {}, "once": {}}
    for name, arguments in queues.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    channel.exchange_declare("events", "fanout", durable=True)
    channel.queue_bind("bound", "events")
    channel.queue_bind("bound", "amq.topic", "a.#")
    channel.queue_bind("once", "amq.topic", "once")

    def publish(queue, body, exchange="", durable=True, **more):
        properties = pika.BasicProperties(delivery_mode=2 if durable else 1, **more)
        channel.basic_publish(exchange, queue, body, properties)

    for number in range(22):
        publish("orders", f"order {number}", content_type="text/plain", correlation_id=str(number), headers={"n": number})
    publish("orders", "gone with the process", durable=False)
    publish("orders", "large " * 20_000)
    for priority in [0, 3, 5, 1, 4, 2]:
        publish("ranked", f"rank {priority}", priority=priority)
    for number in range(3):
        publish("unsettled", f"held {number}")
    publish("rejecting", "letter")
    publish("", "event", exchange="events")
    for _ in range(2):
        method, _, _ = channel.basic_get("orders")
        channel.basic_ack(method.delivery_tag)
    method, _, _ = channel.basic_get("rejecting")
    channel.basic_nack(method.delivery_tag, requeue=False)
    channel.basic_get("unsettled")
    return connection


def churn(connection):
    """Enough traffic for a snapshot, and something behind it."""
    channel = connection.channel()
    channel.confirm_delivery()
    queues = [f"churn {number}" for number in range(6)]
    channel.exchange_declare("churn", "fanout", durable=True)
    for queue in queues:
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "churn")
    for _ in range(330):
        channel.basic_publish("churn", "", b"." * 900_000, pika.BasicProperties(delivery_mode=2))
        for queue in queues:
            channel.queue_purge(queue)
    channel.basic_publish("", "orders", b"behind the snapshot", pika.BasicProperties(delivery_mode=2))


def packet(first, body):
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def text(string):
    return len(string).to_bytes(2, "big") + string.encode()


def mqtt_connect(port, name):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(packet(0x10, text("MQTT") + bytes([4, 0xC0, 0, 60]) + text(name) + text("guest") + text("guest")))
    assert stream.recv(4)[0] == 0x20
    return stream


def mqtt(port):
    session = mqtt_connect(port, "kept")
    session.sendall(packet(0x82, b"\0\1" + text("a/+") + b"\1"))
    assert session.recv(5)[0] == 0x90
    session.sendall(packet(0xE0, b""))
    session.close()
    writer = mqtt_connect(port, "writer")
    for number in range(1, 4):
        writer.sendall(packet(0x32, text("a/b") + bytes([0, number]) + str(number).encode()))
        assert writer.recv(4)[0] == 0x40
    writer.sendall(packet(0x33, text("kept/value") + bytes([0, 9]) + b"last"))
    assert writer.recv(4)[0] == 0x40
    writer.close()
    once = mqtt_connect(port, "exactly")
    once.sendall(packet(0x34, text("once") + b"\0\7" + b"once"))
    assert once.recv(4)[0] == 0x50
    # Without PUBREL: the packet id stays with the session.
    once.close()


def sqs(port):
    client = boto3.client(
        "sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="job")
    client.send_message(QueueUrl=url, MessageBody="delayed job", DelaySeconds=DELAY_SECONDS)
    fifo = client.create_queue(QueueName="groups.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for body in ["a1", "a2", "b1", "a3"]:
        client.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId=body[0], MessageDeduplicationId=body)
    for message in client.receive_message(QueueUrl=fifo)["Messages"]:
        client.delete_message(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    return time.monotonic() + DELAY_SECONDS


def main(program, name):
    for how, end in [("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)]:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            process, ports = start(program, folder)
            connection = amqp(ports["amqp"])
            mqtt(ports["mqtt"])
            due = sqs(ports["aws"])
            churn(connection)
            process.send_signal(end)
            process.wait()
            del connection
            # A test that opens the directory would wait for the delayed message.
            time.sleep(max(0, due - time.monotonic()))
            # The reserve and spare segments are empty space.
            useful = lambda entry: None if entry.name.endswith(("reserve", "lock")) or "/spare-" in entry.name else entry
            with tarfile.open(HERE / f"{name}-{how}.tar.gz", "w:gz") as archive:
                archive.add(folder / "data", "data", filter=useful)


main(os.path.abspath(sys.argv[1]), sys.argv[2])
