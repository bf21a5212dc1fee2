"""What RabbitMQ does, one function for each behaviour; what the peer hears is compared with what RabbitMQ said.

`rabbit_behaviours.py HOST:PORT` prints the answers of any broker as JSON lines. Without an address it asks the broker under test
and compares with `rabbit_answers.jsonl`, which is what Debian's rabbitmq-server answered; `rabbit_differences.json` says
where and why we answer otherwise (docs/amqp-0-9-1.md explains).
"""

import json
import os
import sys
import time
from pathlib import Path

from pika import spec
from raw_peer import Peer, declare, frame_of, table
from rabbit_streams import BEHAVIOURS as STREAMS

HERE = Path(__file__).parent
BEHAVIOURS = dict(STREAMS)


def behaviour(function):
    BEHAVIOURS[function.__name__] = function
    return function


def consume(queue, tag="c", no_ack=False, exclusive=False, **arguments):
    return spec.Basic.Consume(0, queue, tag, False, no_ack, exclusive, False, table(**arguments))


# Declarations

def declared_twice(first, second):
    def act(peer):
        peer.say(peer.queue("q", **first))
        peer.ask(declare(peer.name("q"), **second))
    return act


def args(**arguments):
    return {"arguments": table(**arguments)}


TWICE = {
    "durable_differs": ({"durable": True}, {}),
    "auto_delete_differs": ({"auto_delete": True}, {}),
    "exclusive_differs": ({"exclusive": True}, {}),
    "ttl_differs": (args(x_message_ttl=1000), args(x_message_ttl=2000)),
    "ttl_missing": (args(x_message_ttl=1000), {}),
    "ttl_added": ({}, args(x_message_ttl=1000)),
    "expires_differs": (args(x_expires=100000), args(x_expires=200000)),
    "max_length_differs": (args(x_max_length=1), args(x_max_length=2)),
    "max_priority_differs": (args(x_max_priority=1), args(x_max_priority=2)),
    "dead_letter_exchange_differs": (args(x_dead_letter_exchange="a"), args(x_dead_letter_exchange="b")),
    "overflow_differs": (args(x_overflow="drop-head"), args(x_overflow="reject-publish")),
    "single_active_consumer_differs": (args(x_single_active_consumer=True), {}),
    "queue_mode_differs": (args(x_queue_mode="lazy"), {}),
    "queue_version_differs": (args(x_queue_version=1), {}),
    "type_classic_is_no_type": (args(x_queue_type="classic"), {}),
    "no_type_is_type_classic": ({}, args(x_queue_type="classic")),
    "type_differs": ({"durable": True, **args(x_queue_type="classic")}, {"durable": True, **args(x_queue_type="quorum")}),
    "unknown_argument_differs": (args(x_of_mine=1), args(x_of_mine=2)),
    "same_number_in_another_width": (args(x_max_length=1), {"arguments": {"x-max-length": 1 << 40 >> 40}}),
}
for name, (first, second) in TWICE.items():
    BEHAVIOURS[f"declare_again_{name}"] = declared_twice(first, second)


def refused_queue(**more):
    return lambda peer: peer.say(peer.queue("q", **more))


INVALID = {
    "ttl_negative": args(x_message_ttl=-1),
    "ttl_text": args(x_message_ttl="10"),
    "ttl_too_large": args(x_message_ttl=1 << 40),
    "ttl_zero": args(x_message_ttl=0),
    "expires_zero": args(x_expires=0),
    "expires_negative": args(x_expires=-1),
    "expires_too_large": args(x_expires=1 << 40),
    "max_length_negative": args(x_max_length=-1),
    "max_length_text": args(x_max_length="1"),
    "max_length_bytes_negative": args(x_max_length_bytes=-1),
    "max_priority_too_large": args(x_max_priority=256),
    "max_priority_negative": args(x_max_priority=-1),
    "max_priority_text": args(x_max_priority="1"),
    "overflow_unknown": args(x_overflow="spill"),
    "overflow_number": args(x_overflow=1),
    "dead_letter_exchange_number": args(x_dead_letter_exchange=1),
    "dead_letter_key_without_exchange": args(x_dead_letter_routing_key="k"),
    "dead_letter_key_number": args(x_dead_letter_exchange="x", x_dead_letter_routing_key=1),
    "single_active_consumer_text": args(x_single_active_consumer="yes"),
    "queue_mode_unknown": args(x_queue_mode="eager"),
    "queue_version_unknown": args(x_queue_version=3),
    "queue_type_unknown": args(x_queue_type="turbo"),
    "queue_type_number": args(x_queue_type=1),
    "unknown_argument": args(x_of_mine=[1, "a", None]),
    "ha_arguments": args(x_ha_policy="all"),
    "leader_locator": {"durable": True, **args(x_queue_type="quorum", x_queue_leader_locator="balanced")},
    "quorum_transient": args(x_queue_type="quorum"),
    "quorum_exclusive": {"durable": True, "exclusive": True, **args(x_queue_type="quorum")},
    "quorum_auto_delete": {"durable": True, "auto_delete": True, **args(x_queue_type="quorum")},
    "quorum_reject_publish_dlx": {"durable": True, **args(x_queue_type="quorum", x_overflow="reject-publish-dlx")},
    "quorum_server_named": {"durable": True, **args(x_queue_type="quorum")},
    "quorum_delivery_limit": {"durable": True, **args(x_queue_type="quorum", x_delivery_limit=3)},
    "quorum_delivery_limit_negative": {"durable": True, **args(x_queue_type="quorum", x_delivery_limit=-1)},
    "quorum_lazy": {"durable": True, **args(x_queue_type="quorum", x_queue_mode="lazy")},
    "quorum_max_priority": {"durable": True, **args(x_queue_type="quorum", x_max_priority=5)},
    "quorum_dead_letter_strategy": {
        "durable": True,
        **args(x_queue_type="quorum", x_dead_letter_strategy="at-least-once", x_dead_letter_exchange="amq.fanout",
               x_overflow="reject-publish"),
    },
    "quorum_dead_letter_strategy_unknown": {
        "durable": True, **args(x_queue_type="quorum", x_dead_letter_strategy="sometimes")
    },
    "classic_delivery_limit": args(x_delivery_limit=3),
    "classic_dead_letter_strategy": args(x_dead_letter_strategy="at-least-once"),
}
for name, more in INVALID.items():
    BEHAVIOURS[f"declare_{name}"] = refused_queue(**more)


@behaviour
def declare_passive(peer):
    peer.queue("q")
    peer.ask(declare(peer.name("q"), passive=True, durable=True, auto_delete=True))
    peer.ask(declare(peer.name("missing"), passive=True))


@behaviour
def declare_server_named(peer):
    peer.ask(declare(exclusive=True))
    peer.ask(spec.Queue.Bind(0, "", "amq.topic", ""))
    peer.ask(spec.Queue.Delete(0, ""))


@behaviour
def declare_passive_without_name(peer):
    peer.ask(declare(exclusive=True))
    peer.ask(declare("", passive=True))


@behaviour
def no_queue_declared_before(peer):
    peer.ask(spec.Queue.Purge(0, ""))


@behaviour
def declare_reserved(peer):
    peer.ask(declare("amq.mine"))


@behaviour
def declare_name_of_any_characters(peer):
    peer.queue("späße und\nmehr")
    peer.ask(declare(peer.name("späße und mehr"), passive=True))


@behaviour
def exchange_reserved(peer):
    peer.ask(spec.Exchange.Declare(0, "amq.mine", "direct"))


@behaviour
def exchange_default(peer):
    peer.ask(spec.Exchange.Declare(0, "", "direct", durable=True))


@behaviour
def exchange_default_deleted(peer):
    peer.ask(spec.Exchange.Delete(0, ""))


@behaviour
def exchange_predeclared_deleted(peer):
    peer.ask(spec.Exchange.Delete(0, "amq.topic"))


@behaviour
def exchange_predeclared_again(peer):
    peer.ask(spec.Exchange.Declare(0, "amq.topic", "topic", durable=True))
    peer.ask(spec.Exchange.Declare(0, "amq.topic", "fanout", durable=True))


@behaviour
def exchange_unknown_type(peer):
    peer.ask(spec.Exchange.Declare(0, peer.name("x"), "x-no-such-type"))


@behaviour
def exchange_passive(peer):
    peer.exchange("x", "topic")
    peer.ask(spec.Exchange.Declare(0, peer.name("x"), "fanout", passive=True, durable=True))
    peer.ask(spec.Exchange.Declare(0, peer.name("missing"), "topic", passive=True))


EXCHANGES_TWICE = {
    "type": ({}, {"type": "fanout"}),
    "durable": ({"durable": True}, {}),
    "auto_delete": ({"auto_delete": True}, {}),
    "internal": ({"internal": True}, {}),
    "alternate": ({"arguments": {"alternate-exchange": "a"}}, {"arguments": {"alternate-exchange": "b"}}),
    "alternate_missing": ({"arguments": {"alternate-exchange": "a"}}, {}),
    "unknown_argument": ({"arguments": {"x-mine": "a"}}, {}),
}
for name, (first, second) in EXCHANGES_TWICE.items():
    def exchange_twice(peer, first=first, second=second):
        peer.say(peer.exchange("x", "direct", **first))
        peer.ask(spec.Exchange.Declare(0, peer.name("x"), **{"type": "direct", **second}))
    BEHAVIOURS[f"exchange_again_{name}_differs"] = exchange_twice


@behaviour
def exchange_alternate_number(peer):
    peer.say(peer.exchange("x", "direct", arguments={"alternate-exchange": 1}))


# Deleting and unbinding

@behaviour
def delete_missing(peer):
    peer.ask(spec.Queue.Delete(0, peer.name("missing")))
    peer.ask(spec.Exchange.Delete(0, peer.name("missing")))


@behaviour
def delete_queue_if_empty(peer):
    peer.queue("q")
    peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 1)
    peer.ask(spec.Queue.Delete(0, peer.name("q"), False, True))


@behaviour
def delete_queue_if_unused(peer):
    peer.queue("q")
    peer.quietly(consume(peer.name("q")))
    peer.ask(spec.Queue.Delete(0, peer.name("q"), True, False))


@behaviour
def delete_queue_counts_messages_and_cancels(peer):
    peer.queue("q")
    peer.queue("other")
    for _ in range(3):
        peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 3)
    peer.ask(spec.Queue.Delete(0, peer.name("q")))
    peer.ask(consume(peer.name("other"), "mine"))
    peer.send(1, spec.Queue.Delete(0, peer.name("other")))
    lines = sorted([peer.line(), peer.line()])
    peer.log.extend(lines)


@behaviour
def delete_exchange_if_unused(peer):
    peer.exchange("x", "fanout")
    peer.queue("q")
    peer.bind("q", "x")
    peer.ask(spec.Exchange.Delete(0, peer.name("x"), True))


@behaviour
def auto_delete_exchange(peer):
    peer.exchange("x", "fanout", auto_delete=True)
    peer.queue("q")
    peer.bind("q", "x")
    peer.ask(spec.Queue.Unbind(0, peer.name("q"), peer.name("x"), ""))
    peer.ask(spec.Exchange.Declare(0, peer.name("x"), passive=True))


@behaviour
def auto_delete_queue(peer):
    peer.queue("q", auto_delete=True)
    peer.quietly(consume(peer.name("q")))
    peer.ask(spec.Basic.Cancel("c"))
    time.sleep(0.3)
    peer.ask(declare(peer.name("q"), passive=True))


@behaviour
def purge(peer):
    peer.queue("q")
    for _ in range(2):
        peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 2)
    peer.ask(spec.Queue.Purge(0, peer.name("q")))
    peer.ask(spec.Queue.Purge(0, peer.name("missing")))


BINDINGS = {
    "queue_missing": lambda peer: spec.Queue.Bind(0, peer.name("missing"), "amq.topic", "k"),
    "exchange_missing": lambda peer: spec.Queue.Bind(0, peer.name("q"), peer.name("missing"), "k"),
    "default_exchange": lambda peer: spec.Queue.Bind(0, peer.name("q"), "", "k"),
    "exchange_to_missing": lambda peer: spec.Exchange.Bind(0, peer.name("missing"), "amq.topic", "k"),
    "exchange_from_missing": lambda peer: spec.Exchange.Bind(0, "amq.topic", peer.name("missing"), "k"),
    "exchange_to_default": lambda peer: spec.Exchange.Bind(0, "", "amq.topic", "k"),
    "unbind_missing_binding": lambda peer: spec.Queue.Unbind(0, peer.name("q"), "amq.topic", "none"),
    "unbind_missing_queue": lambda peer: spec.Queue.Unbind(0, peer.name("missing"), "amq.topic", "k"),
    "unbind_missing_exchange": lambda peer: spec.Queue.Unbind(0, peer.name("q"), peer.name("missing"), "k"),
    "unbind_default_exchange": lambda peer: spec.Queue.Unbind(0, peer.name("q"), "", peer.name("q")),
    "unbind_exchange_missing": lambda peer: spec.Exchange.Unbind(0, peer.name("missing"), "amq.topic", "k"),
    "x_match_unknown": lambda peer: spec.Queue.Bind(0, peer.name("q"), "amq.headers", "", False, {"x-match": "some"}),
    "x_match_number": lambda peer: spec.Queue.Bind(0, peer.name("q"), "amq.headers", "", False, {"x-match": 1}),
    "x_match_elsewhere": lambda peer: spec.Queue.Bind(0, peer.name("q"), "amq.topic", "", False, {"x-match": "some"}),
}
for name, make in BINDINGS.items():
    def binding(peer, make=make):
        peer.queue("q")
        peer.ask(make(peer))
    BEHAVIOURS[f"bind_{name}"] = binding


# Exclusive

@behaviour
def exclusive_queue_of_another(peer):
    peer.queue("q", exclusive=True)
    for method in (
        declare(peer.name("q"), exclusive=True),
        declare(peer.name("q"), passive=True),
        consume(peer.name("q")),
        spec.Basic.Get(0, peer.name("q")),
        spec.Queue.Delete(0, peer.name("q")),
        spec.Queue.Purge(0, peer.name("q")),
        spec.Queue.Bind(0, peer.name("q"), "amq.topic", "k"),
        spec.Queue.Unbind(0, peer.name("q"), "amq.topic", "k"),
    ):
        with_other(peer, lambda other, method=method: other.ask(method))


def with_other(peer, act):
    other = Peer(peer.socket.getpeername(), "x")
    other.prefix = peer.prefix
    act(other)
    peer.log.extend(other.log)
    other.socket.close()


@behaviour
def exclusive_queue_published_to_by_another(peer):
    peer.queue("q", exclusive=True)
    with_other(peer, lambda other: (other.publish("", peer.name("q"), b"from another"), other.ask(spec.Basic.Qos())))
    peer.wait_for_count("q", 1)
    peer.drain("q")


@behaviour
def exclusive_consumer(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q"), exclusive=True))
    with_other(peer, lambda other: other.ask(consume(peer.name("q"))))
    with_other(peer, lambda other: other.ask(consume(peer.name("q"), exclusive=True)))


@behaviour
def exclusive_consumer_beside_another(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q")))
    peer.ask(consume(peer.name("q"), "d", exclusive=True))


# Consumers

@behaviour
def consumer_tag_twice(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q")))
    peer.ask(consume(peer.name("q")))
    peer.silence()


@behaviour
def consume_missing(peer):
    peer.ask(consume(peer.name("missing")))


@behaviour
def consume_without_tag(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q"), ""))


@behaviour
def cancel_unknown(peer):
    peer.ask(spec.Basic.Cancel("nobody"))


CONSUMER_ARGUMENTS = {"text": "high", "negative": -5, "bool": True, "none": None}
for name, value in CONSUMER_ARGUMENTS.items():
    def with_priority(peer, value=value):
        peer.queue("q")
        peer.ask(consume(peer.name("q"), x_priority=value))
    BEHAVIOURS[f"consumer_priority_{name}"] = with_priority


@behaviour
def consumer_arguments_unknown(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q"), x_cancel_on_ha_failover=True, x_of_mine="x"))


@behaviour
def consumer_priorities_are_served_first(peer):
    peer.queue("q")
    peer.ask(consume(peer.name("q"), "low", True))
    peer.ask(consume(peer.name("q"), "high", True, x_priority=10))
    for _ in range(3):
        peer.publish("", peer.name("q"))
    peer.hear(3)


@behaviour
def prefetch_per_consumer(peer):
    peer.queue("q")
    peer.quietly(spec.Basic.Qos(0, 1))
    for number in range(3):
        peer.publish("", peer.name("q"), f"{number}".encode())
    peer.wait_for_count("q", 3)
    peer.ask(consume(peer.name("q")))
    peer.silence()
    peer.send(1, spec.Basic.Ack(1))
    peer.silence()


@behaviour
def prefetch_of_the_channel(peer):
    peer.queue("q")
    peer.queue("r")
    peer.ask(spec.Basic.Qos(0, 2, True))
    for number in range(3):
        peer.publish("", peer.name("q"), f"{number}".encode())
    peer.wait_for_count("q", 3)
    peer.ask(consume(peer.name("q")))
    peer.silence()
    peer.ask(consume(peer.name("r"), "d"))
    peer.publish("", peer.name("r"), b"not yet")
    peer.silence()
    peer.send(1, spec.Basic.Ack(2, True))
    # Which queue is served first is chance.
    peer.say(sorted(line.split("routing_key=")[1] for line in (peer.line(), peer.line())))


@behaviour
def prefetch_size(peer):
    peer.ask(spec.Basic.Qos(1, 0))


@behaviour
def single_active_consumer(peer):
    peer.queue("q", **args(x_single_active_consumer=True))
    peer.ask(consume(peer.name("q"), "first", True))
    peer.ask(consume(peer.name("q"), "second", True))
    for _ in range(2):
        peer.publish("", peer.name("q"))
    peer.hear(2)
    peer.ask(spec.Basic.Cancel("first"))
    peer.publish("", peer.name("q"))
    peer.hear()


@behaviour
def single_active_consumer_exclusive(peer):
    peer.queue("q", **args(x_single_active_consumer=True))
    peer.ask(consume(peer.name("q"), exclusive=True))


# Acknowledgements

def unknown_tag(method):
    def act(peer):
        peer.queue("q")
        peer.ask(method)
    return act


BEHAVIOURS["ack_unknown"] = unknown_tag(spec.Basic.Ack(7))
BEHAVIOURS["ack_unknown_multiple"] = unknown_tag(spec.Basic.Ack(7, True))
BEHAVIOURS["ack_zero"] = unknown_tag(spec.Basic.Ack(0))
BEHAVIOURS["nack_unknown"] = unknown_tag(spec.Basic.Nack(7))
BEHAVIOURS["reject_unknown"] = unknown_tag(spec.Basic.Reject(7))
BEHAVIOURS["recover_without_requeue"] = unknown_tag(spec.Basic.Recover(False))
BEHAVIOURS["flow_off"] = unknown_tag(spec.Channel.Flow(False))
BEHAVIOURS["flow_on"] = unknown_tag(spec.Channel.Flow(True))
BEHAVIOURS["channel_opened_twice"] = unknown_tag(spec.Channel.Open())


@behaviour
def ack_zero_multiple_of_nothing(peer):
    peer.send(1, spec.Basic.Ack(0, True))
    peer.ask(spec.Basic.Qos())


@behaviour
def ack_twice(peer):
    peer.queue("q")
    peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 1)
    peer.ask(spec.Basic.Get(0, peer.name("q")))
    peer.send(1, spec.Basic.Ack(1))
    peer.ask(spec.Basic.Ack(1))


@behaviour
def ack_of_no_ack(peer):
    peer.queue("q")
    peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 1)
    peer.ask(spec.Basic.Get(0, peer.name("q"), True))
    peer.ask(spec.Basic.Ack(1))


@behaviour
def get_counts_and_empty(peer):
    peer.queue("q")
    for number in range(2):
        peer.publish("", peer.name("q"), f"{number}".encode())
    peer.wait_for_count("q", 2)
    for _ in range(3):
        peer.ask(spec.Basic.Get(0, peer.name("q"), True))
    peer.ask(spec.Basic.Get(0, peer.name("missing"), True))


@behaviour
def requeue_keeps_the_place(peer):
    peer.queue("q")
    for number in range(3):
        peer.publish("", peer.name("q"), f"{number}".encode())
    peer.wait_for_count("q", 3)
    for _ in range(2):
        peer.quietly(spec.Basic.Get(0, peer.name("q")))
    peer.send(1, spec.Basic.Nack(1, False, True))
    peer.ask(spec.Basic.Get(0, peer.name("q")))
    peer.ask(spec.Basic.Recover(True))
    peer.drain("q")


@behaviour
def closing_a_channel_requeues(peer):
    peer.queue("q")
    peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 1)
    peer.open(2)
    peer.ask(spec.Basic.Get(0, peer.name("q")), 2)
    peer.ask(spec.Channel.Close(200, "", 0, 0), 2)
    peer.ask(spec.Basic.Get(0, peer.name("q"), True))


# Publishing

@behaviour
def publish_to_missing_exchange(peer):
    peer.publish(peer.name("missing"), "k")
    peer.hear()


@behaviour
def publish_to_internal_exchange(peer):
    peer.exchange("x", "fanout", internal=True)
    peer.publish(peer.name("x"), "k")
    peer.hear()


@behaviour
def publish_mandatory(peer):
    peer.publish("", peer.name("missing"), mandatory=True, message_id="1", headers={"h": [1, {"a": None}]})
    peer.hear()


@behaviour
def publish_mandatory_confirmed(peer):
    peer.ask(spec.Confirm.Select())
    peer.publish("", peer.name("missing"), mandatory=True)
    peer.hear(2)
    peer.publish("", peer.name("missing"))
    peer.hear()


@behaviour
def publish_mandatory_with_copies(peer):
    peer.publish("", peer.name("missing"), mandatory=True, headers={"CC": ["a"], "BCC": ["b"]})
    peer.hear()


@behaviour
def publish_immediate(peer):
    peer.publish("", "q", immediate=True)
    peer.hear()


@behaviour
def publish_confirmed(peer):
    peer.queue("q")
    peer.ask(spec.Confirm.Select())
    peer.publish("", peer.name("q"))
    peer.hear()


@behaviour
def publish_confirmed_and_refused(peer):
    peer.queue("q", **args(x_max_length=1, x_overflow="reject-publish"))
    peer.ask(spec.Confirm.Select())
    for _ in range(2):
        peer.publish("", peer.name("q"))
        peer.hear()


USER_IDS = {"another": "somebody", "own": "guest"}
for name, user in USER_IDS.items():
    def user_id(peer, user=user):
        peer.publish("", "q", user_id=user)
        peer.ask(spec.Basic.Qos())
    BEHAVIOURS[f"user_id_{name}"] = user_id

for name, expiration in {"text": "soon", "negative": "-1", "float": "1.5", "empty": "", "large": "99999999999999"}.items():
    def expiring(peer, expiration=expiration):
        peer.publish("", "q", expiration=expiration)
        peer.ask(spec.Basic.Qos())
    BEHAVIOURS[f"expiration_{name}"] = expiring

for name, copies in {"text": "a", "numbers": [1], "mixed": ["a", 1]}.items():
    def copied(peer, copies=copies):
        peer.publish("", "q", headers={"CC": copies})
        peer.ask(spec.Basic.Qos())
    BEHAVIOURS[f"cc_{name}"] = copied


@behaviour
def copies(peer):
    for short in "abc":
        peer.queue(short)
    headers = {"CC": [peer.name("b")], "BCC": [peer.name("c"), peer.name("a")], "mine": 1}
    peer.publish("", peer.name("a"), headers=headers)
    for short in "abc":
        peer.wait_for_count(short, 1)
        peer.drain(short, headers=True)


# Transactions and confirms

def both_modes(first, second):
    def act(peer):
        peer.ask(first)
        peer.ask(second)
    return act


BEHAVIOURS["tx_after_confirm"] = both_modes(spec.Confirm.Select(), spec.Tx.Select())
BEHAVIOURS["confirm_after_tx"] = both_modes(spec.Tx.Select(), spec.Confirm.Select())
BEHAVIOURS["tx_twice"] = both_modes(spec.Tx.Select(), spec.Tx.Select())
BEHAVIOURS["confirm_twice"] = both_modes(spec.Confirm.Select(), spec.Confirm.Select())
BEHAVIOURS["commit_without_tx"] = unknown_tag(spec.Tx.Commit())
BEHAVIOURS["rollback_without_tx"] = unknown_tag(spec.Tx.Rollback())


@behaviour
def tx_commit_and_rollback(peer):
    peer.queue("q")
    peer.ask(spec.Tx.Select())
    peer.publish("", peer.name("q"), b"undone")
    peer.ask(spec.Tx.Rollback())
    peer.publish("", peer.name("q"), b"done")
    peer.count("q")
    peer.ask(spec.Tx.Commit())
    peer.count("q")
    peer.ask(spec.Basic.Get(0, peer.name("q")))
    peer.send(1, spec.Basic.Ack(1))
    peer.ask(spec.Tx.Rollback())
    peer.send(1, spec.Basic.Ack(1))
    peer.ask(spec.Tx.Commit())
    peer.count("q")


@behaviour
def tx_mandatory(peer):
    peer.ask(spec.Tx.Select())
    peer.publish("", peer.name("missing"), mandatory=True)
    peer.send(1, spec.Tx.Commit())
    peer.hear(2)


@behaviour
def tx_ack_unknown(peer):
    peer.ask(spec.Tx.Select())
    peer.ask(spec.Basic.Ack(7))


# Exchanges

@behaviour
def topics(peer):
    peer.exchange("x", "topic")
    patterns = ["#", "*", "a", "a.*", "a.#", "#.b", "*.b", "a.*.b", "a.#.b", "", "a..b", "*.#", "#.#"]
    for number, pattern in enumerate(patterns):
        peer.queue(f"q{number}")
        peer.bind(f"q{number}", "x", pattern)
    keys = ["", "a", "b", "a.b", "a.c.b", "a..b", "a.b.c", ".", "a.", ".b", "c.d.e"]
    peer.ask(spec.Confirm.Select())
    for key in keys:
        peer.publish(peer.name("x"), key, key.encode() or b"empty")
        peer.line()
    for number, pattern in enumerate(patterns):
        peer.say(pattern)
        peer.drain(f"q{number}")


@behaviour
def headers_exchanges(peer):
    bindings = {
        "all": {"x-match": "all", "a": 1, "b": "x"},
        "any": {"x-match": "any", "a": 1, "b": "x"},
        "default": {"a": 1},
        "exists": {"x-match": "all", "a": None},
        "nothing": {},
        "any-nothing": {"x-match": "any"},
        "all-x": {"x-match": "all", "x-c": 1},
        "all-with-x": {"x-match": "all-with-x", "x-c": 1},
        "any-with-x": {"x-match": "any-with-x", "x-c": 1, "a": 7},
        "text": {"a": "1"},
    }
    for short, arguments in bindings.items():
        peer.queue(short)
        peer.bind(short, "amq.headers", "", arguments)
    peer.ask(spec.Confirm.Select())
    sent = {"ab": {"a": 1, "b": "x"}, "a": {"a": 1}, "b": {"b": "x"}, "none": {}, "xc": {"x-c": 1}, "text": {"a": "1"}, "long": {"a": 1 << 40}}
    for body, headers in sent.items():
        peer.publish("amq.headers", "", body.encode(), headers=headers)
        peer.line()
    peer.publish("amq.headers", "", b"no headers at all")
    peer.line()
    for short in bindings:
        peer.drain(short)


@behaviour
def alternate_exchanges_in_a_chain(peer):
    peer.exchange("first", "direct", arguments={"alternate-exchange": peer.name("second")})
    peer.exchange("second", "direct", arguments={"alternate-exchange": peer.name("third")})
    peer.exchange("third", "fanout")
    peer.queue("q")
    peer.bind("q", "third")
    peer.ask(spec.Confirm.Select())
    peer.publish(peer.name("first"), "k", mandatory=True)
    peer.hear()
    peer.drain("q", headers=True)
    peer.quietly(spec.Exchange.Delete(0, peer.name("second")))
    peer.publish(peer.name("first"), "k", mandatory=True)
    peer.hear(2)


@behaviour
def alternate_exchanges_in_a_circle(peer):
    peer.exchange("first", "direct", arguments={"alternate-exchange": peer.name("second")})
    peer.exchange("second", "direct", arguments={"alternate-exchange": peer.name("first")})
    peer.publish(peer.name("first"), "k", mandatory=True)
    peer.hear()


@behaviour
def exchanges_bound_in_a_circle(peer):
    for short in "ab":
        peer.exchange(short, "fanout")
    peer.queue("q")
    peer.quietly(spec.Exchange.Bind(0, peer.name("a"), peer.name("b"), ""))
    peer.quietly(spec.Exchange.Bind(0, peer.name("b"), peer.name("a"), ""))
    peer.bind("q", "a")
    peer.bind("q", "b", "again")
    peer.ask(spec.Confirm.Select())
    peer.publish(peer.name("a"), "k")
    peer.hear()
    peer.drain("q")


CHOICES = {
    "weight_zero": ({}, "0"), "weight_text": ({}, "much"), "weight_none": ({}, ""), "weight_negative": ({}, "-1"),
    "weight": ({}, "10"), "header": ({"hash-header": "h"}, "1"), "property": ({"hash-property": "message_id"}, "1"),
    "property_unknown": ({"hash-property": "app_id"}, "1"),
    "both": ({"hash-property": "message_id", "hash-header": "h"}, "1"),
}
for name, (arguments, key) in CHOICES.items():
    def consistent_hash(peer, arguments=arguments, key=key):
        peer.queue("q")
        peer.say(peer.exchange("x", "x-consistent-hash", arguments=arguments))
        if "Close" not in peer.log[-1]:
            peer.ask(spec.Queue.Bind(0, peer.name("q"), peer.name("x"), key))
    BEHAVIOURS[f"consistent_hash_{name}"] = consistent_hash


def one_of_two(kind):
    def act(peer):
        peer.exchange("x", kind)
        for short in "ab":
            peer.queue(short)
            peer.bind(short, "x", "1")
        peer.ask(spec.Confirm.Select())
        for number in range(100):
            peer.publish(peer.name("x"), f"{number}")
            peer.line()
        counts = [int(peer.quietly(declare(peer.name(short), passive=True)).split("message_count=")[1].split()[0]) for short in "ab"]
        peer.say(f"{sum(counts)} messages, to both queues: {min(counts) > 5}")
    return act


for kind in ("x-consistent-hash", "x-random", "x-modulus-hash"):
    BEHAVIOURS[f"chooses_{kind}"] = one_of_two(kind)


# Queues over time

def died(peer, arguments, act, headers=True, **properties):
    peer.queue("dead")
    peer.queue("q", **args(x_dead_letter_exchange="", x_dead_letter_routing_key=peer.name("dead"), **arguments))
    peer.publish("", peer.name("q"), b"first", **properties)
    peer.wait_for_count("q", 1)
    act()
    peer.wait_for_count("dead", 1)
    peer.drain("dead", headers=headers)


@behaviour
def death_by_reject(peer):
    def act():
        peer.quietly(spec.Basic.Get(0, peer.name("q")))
        peer.send(1, spec.Basic.Reject(1, False))
    died(peer, {}, act)


@behaviour
def death_by_ttl_of_the_queue(peer):
    died(peer, {"x_message_ttl": 50}, lambda: time.sleep(0.1))


@behaviour
def death_by_ttl_of_the_message(peer):
    died(peer, {}, lambda: time.sleep(0.1), expiration="50", headers={"mine": 1})


@behaviour
def death_by_ttl_zero(peer):
    died(peer, {"x_message_ttl": 0}, lambda: None)


@behaviour
def death_by_length(peer):
    died(peer, {"x_max_length": 1}, lambda: peer.publish("", peer.name("q"), b"second"))
    peer.drain("q")


@behaviour
def death_by_bytes(peer):
    died(peer, {"x_max_length_bytes": 8}, lambda: peer.publish("", peer.name("q"), b"second"))
    peer.drain("q")


@behaviour
def death_by_refused_publish(peer):
    died(peer, {"x_max_length": 1, "x_overflow": "reject-publish-dlx"}, lambda: peer.publish("", peer.name("q"), b"second"))
    peer.drain("q")


@behaviour
def deaths_add_up(peer):
    peer.queue("work", **args(x_dead_letter_exchange="", x_dead_letter_routing_key=peer.name("retry")))
    peer.queue("retry", **args(x_dead_letter_exchange="", x_dead_letter_routing_key=peer.name("work"), x_message_ttl=20))
    peer.publish("", peer.name("work"), headers={"mine": 1})
    for tag in (1, 2, 3):
        peer.wait_for_count("work", 1)
        line = peer.quietly(spec.Basic.Get(0, peer.name("work")))
        peer.say(line)
        peer.send(1, spec.Basic.Reject(tag, False))


@behaviour
def deaths_in_a_circle_end(peer):
    peer.queue("a", **args(x_dead_letter_exchange="", x_dead_letter_routing_key=peer.name("b"), x_message_ttl=20))
    peer.queue("b", **args(x_dead_letter_exchange="", x_dead_letter_routing_key=peer.name("a"), x_message_ttl=20))
    peer.publish("", peer.name("a"))
    time.sleep(0.5)
    peer.count("a")
    peer.count("b")


@behaviour
def death_keeps_its_keys(peer):
    peer.exchange("letters", "topic")
    peer.queue("dead")
    peer.bind("dead", "letters", "#")
    peer.queue("q", **args(x_dead_letter_exchange=peer.name("letters"), x_message_ttl=20))
    peer.bind("q", "amq.topic", peer.name("k"))
    headers = {"CC": [peer.name("cc")], "BCC": [peer.name("bcc")]}
    peer.publish("amq.topic", peer.name("k"), headers=headers)
    peer.wait_for_count("dead", 1)
    peer.drain("dead", headers=True)


@behaviour
def ttl_zero_with_a_consumer(peer):
    peer.queue("q", **args(x_message_ttl=0))
    peer.ask(consume(peer.name("q"), no_ack=True))
    peer.publish("", peer.name("q"))
    peer.hear()


@behaviour
def queue_expires(peer):
    peer.queue("q", **args(x_expires=100))
    time.sleep(0.6)
    peer.ask(declare(peer.name("q"), passive=True))


@behaviour
def priorities(peer):
    peer.queue("q", **args(x_max_priority=5))
    for body, priority in (("0", 0), ("3", 3), ("9", 9), ("5", 5), ("none", None), ("3 again", 3)):
        peer.publish("", peer.name("q"), body.encode(), priority=priority)
    peer.wait_for_count("q", 6)
    peer.drain("q")


@behaviour
def no_local_is_ignored(peer):
    peer.queue("q")
    peer.ask(spec.Basic.Consume(0, peer.name("q"), "c", True, True))
    peer.publish("", peer.name("q"))
    peer.hear()


@behaviour
def quorum_counts_deliveries(peer):
    peer.queue("q", durable=True, **args(x_queue_type="quorum", x_delivery_limit=2))
    peer.publish("", peer.name("q"), delivery_mode=2)
    peer.wait_for_count("q", 1)
    for tag in (1, 2, 3):
        peer.ask(spec.Basic.Get(0, peer.name("q")))
        peer.send(1, spec.Basic.Nack(tag, False, True))
        time.sleep(0.3)
    peer.ask(spec.Basic.Get(0, peer.name("q")))


@behaviour
def classic_does_not_count_deliveries(peer):
    peer.queue("q")
    peer.publish("", peer.name("q"))
    peer.wait_for_count("q", 1)
    for tag in (1, 2):
        peer.ask(spec.Basic.Get(0, peer.name("q")))
        peer.send(1, spec.Basic.Nack(tag, False, True))


# Direct reply-to

PSEUDO = "amq.rabbitmq.reply-to"


@behaviour
def reply_to(peer):
    peer.queue("server")
    peer.ask(consume(PSEUDO, no_ack=True))
    peer.publish("", peer.name("server"), b"question", reply_to=PSEUDO, correlation_id="7")
    peer.wait_for_count("server", 1)
    peer.send(1, spec.Basic.Get(0, peer.name("server"), True))
    peer.next_frame()
    address = peer.next_frame().properties.reply_to
    peer.next_frame()

    def answer(other):
        other.ask(declare(address, passive=True))
        other.publish("", address, b"answer", correlation_id="7")
        other.silence()

    with_other(peer, answer)
    peer.hear()
    peer.ask(spec.Basic.Cancel("c"))
    with_other(peer, lambda other: (other.publish("", address, b"late", mandatory=True), other.hear()))
    with_other(peer, lambda other: other.ask(declare(address, passive=True)))


@behaviour
def reply_to_declared(peer):
    peer.ask(declare(PSEUDO, passive=True))
    peer.ask(declare(PSEUDO))
    peer.ask(declare(PSEUDO + ".no-such", passive=True))


@behaviour
def reply_to_acknowledged(peer):
    peer.ask(consume(PSEUDO))


@behaviour
def reply_to_twice(peer):
    peer.ask(consume(PSEUDO, no_ack=True))
    peer.ask(consume(PSEUDO, "d", no_ack=True))


@behaviour
def reply_to_without_consumer(peer):
    peer.publish("", "q", reply_to=PSEUDO)
    peer.hear()


@behaviour
def reply_to_got(peer):
    peer.ask(spec.Basic.Get(0, PSEUDO))


# Frames

FRAMES = {
    "unknown_type": frame_of(5, 1, b""),
    "wrong_end": frame_of(1, 1, b"\0\x3c\0\x0a\0\0\0\0\0\0\0", b"\0"),
    "too_large": b"\x03\0\1\x7f\xff\xff\xff",
    "header_without_publish": frame_of(2, 1, b"\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"),
    "body_without_publish": frame_of(3, 1, b"x"),
    "unknown_class": frame_of(1, 1, b"\0\x63\0\1"),
    "unknown_method": frame_of(1, 1, b"\0\x3c\0\x63"),
    "method_cut_short": frame_of(1, 1, b"\0\x32\0\x0a\0\0\x05q"),
    "heartbeat_on_a_channel": frame_of(8, 1, b""),
    "channel_not_open": frame_of(1, 7, b"\0\x3c\0\x0a\0\0\0\0\0\0\0"),
    "connection_method_on_a_channel": frame_of(1, 1, b"\0\x0a\0\x32\0\xc8\0\0\0\0\0"),
    "channel_method_on_channel_0": frame_of(1, 0, b"\0\x3c\0\x0a\0\0\0\0\0\0\0"),
    "method_instead_of_header": frame_of(1, 1, b"\0\x3c\0\x28\0\0\0\1q\0") + frame_of(1, 1, b"\0\x3c\0\x0a\0\0\0\0\0\0\0"),
    "body_instead_of_header": frame_of(1, 1, b"\0\x3c\0\x28\0\0\0\1q\0") + frame_of(3, 1, b"x"),
    "header_of_another_class": frame_of(1, 1, b"\0\x3c\0\x28\0\0\0\1q\0") + frame_of(2, 1, b"\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0"),
    "header_twice": frame_of(1, 1, b"\0\x3c\0\x28\0\0\0\1q\0") + 2 * frame_of(2, 1, b"\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"),
    "protocol_header_again": b"AMQP\0\0\x09\1",
}
for name, octets in FRAMES.items():
    def framed(peer, octets=octets):
        peer.raw(octets)
        # RabbitMQ waits for seconds before it ends a connection that sends nonsense.
        peer.silence(4)
        if not peer.over:
            peer.say("goes on")
    BEHAVIOURS[f"frame_{name}"] = framed


@behaviour
def channel_number_too_high(peer):
    peer.send(2048, spec.Channel.Open())
    peer.silence()


@behaviour
def channel_errors_leave_the_connection(peer):
    peer.open(2)
    peer.ask(declare(peer.name("missing"), passive=True))
    peer.ask(spec.Basic.Qos(), 2)
    peer.ask(spec.Channel.Open())


@behaviour
def methods_after_a_channel_error_are_ignored(peer):
    peer.send(1, declare(peer.name("missing"), passive=True))
    peer.send(1, spec.Basic.Qos())
    peer.silence()


@behaviour
def message_too_large(peer):
    peer.send(1, spec.Basic.Publish(0, "", "q"))
    peer.raw(frame_of(2, 1, b"\0\x3c\0\0\0\0\0\0\x7f\xff\xff\xff\0\0"))
    peer.hear()


def answers(address, name):
    peer = Peer(address, name)
    BEHAVIOURS[name](peer)
    heard = peer.log
    try:
        peer.tidy()
    except OSError:
        pass
    return heard


def compare(address):
    recorded = dict(map(json.loads, (HERE / "rabbit_answers.jsonl").read_text().splitlines()))
    differences = json.loads((HERE / "rabbit_differences.json").read_text())
    assert set(recorded) == set(BEHAVIOURS), sorted(set(recorded) ^ set(BEHAVIOURS))
    wrong = [name for name in differences if name not in BEHAVIOURS or not differences[name]["reason"]]
    for name, expected in recorded.items():
        different = differences.get(name)
        heard = answers(address, name)
        if heard != (different["ours"] if different else expected):
            wrong.append(name)
            print(json.dumps({name: {"rabbitmq": expected, "ours": heard}}, indent=1))
        elif different and heard == expected:
            wrong.append(name)
            print(f"{name} is no difference any more")
    assert not wrong, f"{len(wrong)} of {len(recorded)} behaviours: {wrong}"


def main():
    if len(sys.argv) < 2:
        ports = json.loads(os.environ["CROSSDOCK_PORTS"])
        return compare(("127.0.0.1", ports["amqp"]))
    host, port = sys.argv[1].split(":")
    for name in sys.argv[2:] or BEHAVIOURS:
        try:
            print(json.dumps([name, answers((host, int(port)), name)]), flush=True)
        except Exception as error:
            print(json.dumps([name, [f"ERROR {error!r}"]]), flush=True)


main()
