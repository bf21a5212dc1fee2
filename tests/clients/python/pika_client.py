"""RabbitMQ's documented behaviour through pika."""

import pika
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)
from ports import PORTS, wait_for

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect(vhost="%2f", user="guest", **more):
    url = f"amqp://{user}:guest@127.0.0.1:{PORTS['amqp']}/{vhost}"
    parameters = pika.URLParameters(url)
    for name, value in more.items():
        setattr(parameters, name, value)
    return pika.BlockingConnection(parameters)


def closed(code, text, act):
    """The broker closes the channel (or connection) with that code and text."""
    connection = connect()
    channel = connection.channel()
    try:
        act(channel)
    except (ChannelClosedByBroker, ConnectionClosedByBroker) as error:
        assert (error.reply_code, error.reply_text) == (code, text), error
    else:
        raise AssertionError(f"not closed: {text}")
    finally:
        if connection.is_open:
            connection.close()


def confirms_returns_and_order():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("confirms", durable=True)
    channel.confirm_delivery()
    for n in range(200):
        channel.basic_publish("", "confirms", str(n).encode(), PERSISTENT, mandatory=True)
    try:
        channel.basic_publish("", "no such queue", b"x", mandatory=True)
        raise AssertionError("a mandatory message without a queue comes back")
    except UnroutableError as error:
        returned = error.messages[0]
        assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    channel.basic_qos(prefetch_count=10)
    bodies = []
    for method, _, body in channel.consume("confirms", inactivity_timeout=10):
        bodies.append(int(body))
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == 200:
            break
    assert bodies == list(range(200))
    channel.cancel()
    connection.close()


def redelivery_reject_and_dead_letters():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("letters", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    channel.queue_declare("work", durable=True, arguments=arguments)
    channel.basic_publish("", "work", b"m", PERSISTENT)
    method, _, _ = wait_for("a message", lambda: present(channel.basic_get("work")))
    assert not method.redelivered
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, _, _ = wait_for("it again", lambda: present(channel.basic_get("work")))
    assert method.redelivered
    channel.basic_reject(method.delivery_tag, requeue=False)
    _, properties, body = wait_for("a dead letter", lambda: present(channel.basic_get("letters", auto_ack=True)))
    death = properties.headers["x-death"][0]
    assert body == b"m"
    assert (death["queue"], death["reason"], death["count"], death["exchange"]) == ("work", "rejected", 1, "")
    assert properties.headers["x-first-death-reason"] == "rejected"
    connection.close()


def present(got):
    return got if got[0] else None


def exchanges_and_headers():
    connection = connect()
    channel = connection.channel()
    for kind in ("direct", "fanout", "topic", "headers"):
        channel.exchange_declare(f"ex-{kind}", kind, durable=True)
        channel.queue_declare(f"q-{kind}")
    channel.queue_bind("q-direct", "ex-direct", "k")
    channel.queue_bind("q-fanout", "ex-fanout")
    channel.queue_bind("q-topic", "ex-topic", "a.*.#")
    channel.queue_bind("q-headers", "ex-headers", arguments={"x-match": "all", "n": 1, "t": "x"})
    channel.exchange_bind("ex-fanout", "ex-direct", "k")
    headers = pika.BasicProperties(headers={"n": 1, "t": "x", "more": [1, {"deep": True}, None, b"bytes"]})
    for exchange, key in (("ex-direct", "k"), ("ex-topic", "a.b.c.d"), ("ex-topic", "b.a"), ("ex-headers", "")):
        channel.basic_publish(exchange, key, b"m", headers)
    counts = {k: channel.queue_declare(f"q-{k}", passive=True).method.message_count for k in ("direct", "fanout", "topic", "headers")}
    assert counts == {"direct": 1, "fanout": 1, "topic": 1, "headers": 1}, counts
    _, properties, _ = channel.basic_get("q-headers", auto_ack=True)
    assert properties.headers["more"]== [1, {"deep": True}, None, b"bytes"], properties.headers
    connection.close()


def large_and_empty_bodies():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("bodies", durable=True)
    for size in (0, 1, 131_072 - 8, 131_072 - 7, 5_000_000):
        channel.basic_publish("", "bodies", bytes([7]) * size, PERSISTENT)
        _, _, body = channel.basic_get("bodies", auto_ack=True)
        assert body == bytes([7]) * size
    connection.close()


def errors_have_rabbitmqs_codes_and_texts():
    closed(404, "NOT_FOUND - no queue 'absent' in vhost '/'", lambda c: c.queue_declare("absent", passive=True))
    closed(404, "NOT_FOUND - no queue 'absent' in vhost '/'", lambda c: c.basic_get("absent"))
    closed(404, "NOT_FOUND - no exchange 'absent' in vhost '/'", lambda c: c.queue_bind(declared(c), "absent"))
    closed(
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'e-durable' in vhost '/': received 'false' but current is 'true'",
        lambda c: (c.queue_declare("e-durable", durable=True), c.queue_declare("e-durable")),
    )
    closed(
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
        lambda c: c.exchange_declare("amq.mine"),
    )
    closed(406, "PRECONDITION_FAILED - unknown delivery tag 1", lambda c: (c.basic_ack(1), c.queue_declare("")))
    exclusive = connect()
    exclusive.channel().queue_declare("e-exclusive", exclusive=True)
    closed(
        405,
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'e-exclusive' in vhost '/'. It could be originally "
        "declared on another connection or the exclusive property value does not match that of the original declaration.",
        lambda c: c.queue_declare("e-exclusive", passive=True),
    )
    exclusive.close()


def declared(channel):
    return channel.queue_declare("", exclusive=True).method.queue


def refused_publishes_are_nacked():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", "full", b"1")
    try:
        channel.basic_publish("", "full", b"2")
        raise AssertionError("a full queue that rejects says so")
    except NackError:
        pass
    connection.close()


def an_unknown_vhost_and_a_closed_door():
    try:
        connect(vhost="absent", connection_attempts=1)
        raise AssertionError("no such vhost")
    except (ProbableAccessDeniedError, ConnectionClosedByBroker, AMQPConnectionError) as error:
        assert "530" in repr(error) or "vhost absent not found" in repr(error), repr(error)


def expired_and_cancelled():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("ttl", arguments={"x-message-ttl": 50})
    channel.basic_publish("", "ttl", b"m")
    wait_for("the message to expire", lambda: channel.queue_declare("ttl", passive=True).method.message_count == 0)
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume("ttl", lambda *_: None)
    other = connect()
    other.channel().queue_delete("ttl")
    other.close()
    wait_for("the consumer to be cancelled", lambda: (connection.process_data_events(0.1), cancelled)[1])
    connection.close()


def priorities_and_a_single_active_consumer():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("ranked", arguments={"x-max-priority": 5})
    for priority in (1, 5, 3):
        channel.basic_publish("", "ranked", str(priority).encode(), pika.BasicProperties(priority=priority))
    assert [channel.basic_get("ranked", auto_ack=True)[2] for _ in range(3)] == [b"5", b"3", b"1"]
    channel.queue_declare("single", arguments={"x-single-active-consumer": True})
    heard = {"first": [], "second": []}
    for tag, bodies in heard.items():
        channel.basic_consume("single", lambda _c, _m, _p, b, bodies=bodies: bodies.append(b), auto_ack=True, consumer_tag=tag)
    channel.basic_publish("", "single", b"1")
    wait_for("the active consumer", lambda: (connection.process_data_events(0.1), heard["first"])[1])
    channel.basic_cancel("first")
    channel.basic_publish("", "single", b"2")
    wait_for("the next one", lambda: (connection.process_data_events(0.1), heard["second"])[1])
    assert heard == {"first": [b"1"], "second": [b"2"]}, heard
    connection.close()


if __name__ == "__main__":
    confirms_returns_and_order()
    redelivery_reject_and_dead_letters()
    exchanges_and_headers()
    large_and_empty_bodies()
    errors_have_rabbitmqs_codes_and_texts()
    refused_publishes_are_nacked()
    an_unknown_vhost_and_a_closed_door()
    expired_and_cancelled()
    priorities_and_a_single_active_consumer()
