"""A stream through pika, over a kill of the broker: says "kill", and is told the new port. What was confirmed is read twice, whole."""

import sys

import pika
from ports import PORTS

COUNT = 200_000
BODY_BYTES = 100
STREAM = {"x-queue-type": "stream"}


def connect(port):
    credentials = pika.PlainCredentials("guest", "guest")
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, "/", credentials))


def publish(port):
    """Publishes, and waits until everything is confirmed."""
    confirmed = bytearray(COUNT + 1)
    confirmed[0] = 1
    oldest = 1

    def opened(channel):
        def settled(frame):
            nonlocal oldest
            method = frame.method
            assert method.NAME == "Basic.Ack", method
            for tag in range(oldest if method.multiple else method.delivery_tag, method.delivery_tag + 1):
                confirmed[tag] = 1
            while oldest <= COUNT and confirmed[oldest]:
                oldest += 1
            if oldest > COUNT:
                connection.close()

        channel.queue_declare("kept", durable=True, arguments=STREAM)
        channel.confirm_delivery(settled)
        properties = [pika.BasicProperties(headers={"x-stream-filter-value": value}) for value in ("even", "odd")]
        for number in range(COUNT):
            channel.basic_publish("", "kept", body_of(number), properties[number % 2])

    credentials = pika.PlainCredentials("guest", "guest")
    parameters = pika.ConnectionParameters("127.0.0.1", port, "/", credentials)
    connection = pika.SelectConnection(
        parameters,
        lambda connection: connection.channel(on_open_callback=opened),
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    assert all(confirmed), f"{confirmed.count(0)} are not confirmed"


def body_of(number):
    return f"{number}".encode().ljust(BODY_BYTES, b".")


def read(port, first, step, count, **arguments):
    """Reads so many messages and checks that each is the next one."""
    connection = connect(port)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1_000)
    arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
    number = first
    for method, properties, body in channel.consume("kept", arguments=arguments, inactivity_timeout=20):
        assert method is not None, f"nothing comes behind {number}"
        assert properties.headers["x-stream-offset"] == number, (properties.headers, number)
        assert body == body_of(number) and not method.redelivered
        number += step
        done = number >= first + step * count
        if done or method.delivery_tag % 500 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if done:
            break
    connection.close()


def main():
    publish(PORTS["amqp"])
    print("kill", flush=True)
    port = int(sys.stdin.readline())
    for _ in range(2):
        read(port, 0, 1, COUNT, x_stream_offset="first")
    read(port, 150_000, 1, 100, x_stream_offset=150_000)
    read(port, COUNT - 1, 1, 1, x_stream_offset="last")
    read(port, 0, 1, 100, x_stream_offset="1h")
    read(port, 100_001, 2, 1_000, x_stream_offset=100_000, x_stream_filter="odd")


main()
