"""What RabbitMQ's streams do: behaviours of `rabbit_behaviours.py`."""

import time

from pika import spec
from raw_peer import declare, table

BEHAVIOURS = {}


def behaviour(function):
    BEHAVIOURS[f"stream_{function.__name__}"] = function
    return function


def consume(queue, tag="c", no_ack=False, exclusive=False, **arguments):
    return spec.Basic.Consume(0, queue, tag, False, no_ack, exclusive, False, table(**arguments))


def stream(**more):
    """What a stream is declared with."""
    return {"durable": True, "arguments": table(x_queue_type="stream", **more)}


DECLARED = {
    "plain": stream(),
    "transient": {**stream(), "durable": False},
    "exclusive": {**stream(), "exclusive": True},
    "auto_delete": {**stream(), "auto_delete": True},
    "transient_and_exclusive": {**stream(), "durable": False, "exclusive": True},
    "max_age": stream(x_max_age="7D"),
    "max_age_unknown_unit": stream(x_max_age="7d"),
    "max_age_without_unit": stream(x_max_age="7"),
    "max_age_text": stream(x_max_age="long"),
    "max_age_empty": stream(x_max_age=""),
    "max_age_negative": stream(x_max_age="-1h"),
    "max_age_zero": stream(x_max_age="0s"),
    "max_age_number": stream(x_max_age=7),
    "max_length_bytes": stream(x_max_length_bytes=1_000_000),
    "max_length_bytes_negative": stream(x_max_length_bytes=-1),
    "max_length_bytes_text": stream(x_max_length_bytes="1"),
    "segment_size": stream(x_stream_max_segment_size_bytes=1_000_000),
    "segment_size_zero": stream(x_stream_max_segment_size_bytes=0),
    "segment_size_negative": stream(x_stream_max_segment_size_bytes=-1),
    "segment_size_text": stream(x_stream_max_segment_size_bytes="1"),
    "segment_size_too_large": stream(x_stream_max_segment_size_bytes=3_000_000_001),
    "filter_size": stream(x_stream_filter_size_bytes=32),
    "filter_size_too_small": stream(x_stream_filter_size_bytes=15),
    "filter_size_too_large": stream(x_stream_filter_size_bytes=256),
    "filter_size_text": stream(x_stream_filter_size_bytes="32"),
    "initial_cluster_size": stream(x_initial_cluster_size=1),
    "initial_cluster_size_zero": stream(x_initial_cluster_size=0),
    "initial_cluster_size_text": stream(x_initial_cluster_size="1"),
    "leader_locator": stream(x_queue_leader_locator="balanced"),
    "leader_locator_unknown": stream(x_queue_leader_locator="somewhere"),
    "max_length": stream(x_max_length=10),
    "message_ttl": stream(x_message_ttl=1000),
    "expires": stream(x_expires=100_000),
    "overflow": stream(x_overflow="drop-head"),
    "dead_letter_exchange": stream(x_dead_letter_exchange="amq.fanout"),
    "max_priority": stream(x_max_priority=5),
    "delivery_limit": stream(x_delivery_limit=5),
    "single_active_consumer": stream(x_single_active_consumer=True),
    "queue_mode": stream(x_queue_mode="lazy"),
    "queue_version": stream(x_queue_version=2),
    "consumer_timeout": stream(x_consumer_timeout=60_000),
    "unknown_argument": stream(x_of_mine=1),
    "classic_with_max_age": {"durable": True, "arguments": table(x_max_age="7D")},
    "classic_with_segment_size": {"durable": True, "arguments": table(x_stream_max_segment_size_bytes=1_000_000)},
    "quorum_with_max_age": {"durable": True, "arguments": table(x_queue_type="quorum", x_max_age="7D")},
}
for name, more in DECLARED.items():
    BEHAVIOURS[f"stream_declare_{name}"] = lambda peer, more=more: peer.say(peer.queue("q", **more))


AGAIN = {
    "as_classic": (stream(), {"durable": True}),
    "as_stream": ({"durable": True}, stream()),
    "max_age": (stream(x_max_age="7D"), stream(x_max_age="8D")),
    "max_age_missing": (stream(x_max_age="7D"), stream()),
    "max_length_bytes": (stream(x_max_length_bytes=1), stream(x_max_length_bytes=2)),
    "segment_size": (stream(x_stream_max_segment_size_bytes=1000), stream(x_stream_max_segment_size_bytes=2000)),
    "the_same": (stream(x_max_age="7D"), stream(x_max_age="7D")),
}
for name, (first, second) in AGAIN.items():
    def again(peer, first=first, second=second):
        peer.quietly(declare(peer.name("q"), durable=True, passive=False, arguments=first.get("arguments", {})))
        peer.names.append(("queue", peer.name("q")))
        peer.ask(declare(peer.name("q"), **second))
    BEHAVIOURS[f"stream_declare_again_{name}"] = again


@behaviour
def server_named(peer):
    peer.ask(declare("", **stream()))


def filled(peer, count=3, **more):
    """A stream with some messages, confirmed; and a prefetch. What is published on channel 2 is not confirmed."""
    peer.open(2)
    peer.queue("q", **stream(**more))
    peer.quietly(spec.Confirm.Select())
    for number in range(count):
        peer.publish("", peer.name("q"), f"{number}".encode())
        peer.line()
    peer.quietly(spec.Basic.Qos(0, 10))


@behaviour
def get(peer):
    filled(peer)
    peer.ask(spec.Basic.Get(0, peer.name("q"), False))


@behaviour
def get_without_ack(peer):
    filled(peer)
    peer.ask(spec.Basic.Get(0, peer.name("q"), True))


@behaviour
def purge(peer):
    filled(peer)
    peer.ask(spec.Queue.Purge(0, peer.name("q")))


@behaviour
def consume_without_prefetch(peer):
    peer.queue("q", **stream())
    peer.ask(consume(peer.name("q")))


@behaviour
def consume_with_prefetch_of_the_channel(peer):
    peer.queue("q", **stream())
    peer.ask(spec.Basic.Qos(0, 10, True))
    peer.ask(consume(peer.name("q")))


@behaviour
def consume_with_both_prefetches(peer):
    filled(peer)
    peer.ask(spec.Basic.Qos(0, 10, True))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()


@behaviour
def consume_without_ack(peer):
    filled(peer)
    peer.ask(consume(peer.name("q"), no_ack=True))


@behaviour
def consume_without_ack_and_prefetch(peer):
    peer.queue("q", **stream())
    peer.ask(consume(peer.name("q"), no_ack=True))


@behaviour
def consume_exclusive(peer):
    filled(peer)
    peer.ask(consume(peer.name("q"), exclusive=True))
    peer.ask(consume(peer.name("q"), "d"))


@behaviour
def consume_exclusive_beside_another(peer):
    filled(peer)
    peer.ask(consume(peer.name("q")))
    peer.ask(consume(peer.name("q"), "d", exclusive=True))


OFFSETS = {
    "first": "first",
    "number_zero": 0,
    "number": 2,
    "number_of_next": 3,
    "number_beyond": 100,
    "number_negative": -1,
    "next": "next",
    "none": None,
    "interval": "1h",
    "interval_of_days": "2D",
    "interval_unknown_unit": "5x",
    "interval_without_number": "m",
    "interval_without_unit": "5",
    "word": "sometimes",
    "empty": "",
    "true": True,
    "list": ["first"],
}
for name, offset in OFFSETS.items():
    def at_offset(peer, offset=offset):
        filled(peer)
        peer.ask(consume(peer.name("q"), x_stream_offset=offset))
        peer.silence()
        if not peer.over and "ConsumeOk" in peer.log[-1]:
            peer.publish("", peer.name("q"), b"later", channel=2)
            peer.silence()
    BEHAVIOURS[f"stream_offset_{name}"] = at_offset


@behaviour
def offset_of_nothing(peer):
    filled(peer)
    peer.ask(consume(peer.name("q")))
    peer.silence()
    peer.publish("", peer.name("q"), b"later", channel=2)
    peer.silence()


@behaviour
def offset_last_of_an_empty_stream(peer):
    filled(peer, 0)
    peer.ask(consume(peer.name("q"), x_stream_offset="last"))
    peer.publish("", peer.name("q"), b"later", channel=2)
    peer.silence()


@behaviour
def offset_first_of_an_empty_stream(peer):
    filled(peer, 0)
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.publish("", peer.name("q"), b"later", channel=2)
    peer.silence()


@behaviour
def consumed_twice(peer):
    filled(peer)
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()
    peer.ask(spec.Basic.Cancel("c"))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()


@behaviour
def prefetch(peer):
    filled(peer, 4)
    peer.quietly(spec.Basic.Qos(0, 2))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()
    peer.send(1, spec.Basic.Ack(1))
    peer.silence()


SETTLED = {
    "nack": spec.Basic.Nack(1, False, True),
    "nack_away": spec.Basic.Nack(1, False, False),
    "reject": spec.Basic.Reject(1, True),
    "reject_away": spec.Basic.Reject(1, False),
}
for name, method in SETTLED.items():
    def settled(peer, method=method):
        filled(peer)
        peer.quietly(spec.Basic.Qos(0, 1))
        peer.ask(consume(peer.name("q"), x_stream_offset="first"))
        peer.silence()
        peer.send(1, method)
        peer.silence()
    BEHAVIOURS[f"stream_{name}"] = settled


@behaviour
def recover(peer):
    filled(peer)
    peer.quietly(spec.Basic.Qos(0, 2))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()
    peer.send(1, spec.Basic.Recover(True))
    peer.silence()


@behaviour
def transient_message_with_headers(peer):
    filled(peer, 0)
    peer.publish("", peer.name("q"), b"m", delivery_mode=1, headers={"a": 1, "b": "text"}, priority=3)
    peer.line()
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()


@behaviour
def expiration_is_passed_over(peer):
    filled(peer, 0)
    peer.publish("", peer.name("q"), b"m", expiration="1")
    peer.line()
    time.sleep(0.1)
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()


@behaviour
def bound_to_an_exchange(peer):
    filled(peer, 0)
    peer.exchange("x", "topic")
    peer.bind("q", "x", "a.#")
    peer.publish(peer.name("x"), "a.b", b"routed")
    peer.line()
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()


@behaviour
def deleted_under_a_consumer(peer):
    filled(peer)
    peer.ask(consume(peer.name("q")))
    peer.send(1, spec.Queue.Delete(0, peer.name("q")))
    peer.log.extend(sorted(filter(None, [peer.line(), peer.line()]), key=lambda line: "Cancel" in line))


@behaviour
def deleted_if_unused(peer):
    filled(peer)
    peer.ask(spec.Queue.Delete(0, peer.name("q"), True, False))


@behaviour
def deleted_if_empty(peer):
    filled(peer)
    peer.ask(spec.Queue.Delete(0, peer.name("q"), False, True))


@behaviour
def offset_for_a_classic_queue(peer):
    peer.queue("q")
    peer.quietly(spec.Basic.Qos(0, 10))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))


@behaviour
def priority_of_a_consumer(peer):
    filled(peer)
    peer.ask(consume(peer.name("q"), "low", x_stream_offset="first", x_priority=1))
    peer.silence()


@behaviour
def published_in_a_transaction(peer):
    peer.queue("q", **stream())
    peer.quietly(spec.Tx.Select())
    peer.publish("", peer.name("q"), b"m")
    peer.ask(spec.Tx.Commit())
    peer.quietly(spec.Basic.Qos(0, 10))
    peer.ask(consume(peer.name("q"), x_stream_offset="first"))
    peer.silence()
