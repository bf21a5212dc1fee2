"""What RabbitMQ's STOMP plugin does, one conversation for each behaviour; what the peer hears is compared with what RabbitMQ said.

`stomp_behaviours.py HOST:PORT` prints the answers of any broker as JSON lines. Without an address it asks the broker under test
and compares with `stomp_answers.jsonl`, which is what Debian's rabbitmq-server answered; `stomp_differences.json` says
where and why we answer otherwise (docs/stomp.md shows it).

A conversation is a list of what the peer sends; `\\0` ends a frame, `{p}` is a name of this conversation's own, `{ack}` and `{id}` are the
`ack` and `message-id` headers of the last MESSAGE, `{ack1}` and so on those of the first, second, …
"""

import json
import os
import re
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUIET_S = float(os.environ.get("QUIET_S", "0.3"))


def connect(version="1.2", **headers):
    lines = {"accept-version": version, "host": "/", "login": "guest", "passcode": "guest", **headers}
    return "CONNECT\n" + "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in lines.items() if value is not None) + "\n\0"


def frame(verb, body="", **headers):
    return verb + "\n" + "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items()) + "\n" + body + "\0"


def send(destination, body="x", **headers):
    return frame("SEND", body, destination=destination, **headers)


def subscribe(destination, id="1", **headers):
    return frame("SUBSCRIBE", id=id, destination=destination, receipt="sub", **headers)


C10, C11, C12 = connect("1.0"), connect("1.1"), connect("1.2")
QUEUE = "/queue/{p}"

BEHAVIOURS = {
    # CONNECT
    "connect_without_version": [connect(None)],
    "connect_1_0": [C10],
    "connect_1_1": [C11],
    "connect_1_2": [C12],
    "connect_takes_the_highest": [connect("1.0,1.1,1.2")],
    "connect_unsupported_version": [connect("2.0")],
    "connect_stomp_verb": [C12.replace("CONNECT", "STOMP")],
    "connect_without_login": [connect(login=None, passcode=None)],
    "connect_unknown_vhost": [connect(host="no-such-vhost")],
    "connect_without_host": [connect(host=None)],
    "connect_heart_beats": [connect(heart_beat="10000,20000")],
    "connect_heart_beat_none": [connect(heart_beat="0,0")],
    "connect_twice": [C12, C12],
    "send_before_connect": [send("/queue/a")],
    "unknown_command": [C12, "HELLO\n\n\0"],
    "disconnect_with_receipt": [C12, frame("DISCONNECT", receipt="bye")],
    "disconnect_without_receipt": [C12, frame("DISCONNECT")],
    # SEND
    "send_receipt": [C12, send(QUEUE, receipt="1")],
    "send_persistent_receipt": [C12, send(QUEUE, receipt="1", persistent="true")],
    "send_without_destination": [C12, frame("SEND", "x", receipt="1")],
    "send_unknown_destination": [C12, send("{p}", receipt="1")],
    "send_unknown_prefix": [C12, send("/nowhere/{p}", receipt="1")],
    "send_empty_queue_name": [C12, send("/queue/", receipt="1")],
    "send_queue_with_slash": [C12, send("/queue/a/b", receipt="1")],
    "send_topic_with_slash": [C12, send("/topic/a/b", receipt="1")],
    "send_temp_queue": [C12, send("/temp-queue/{p}", receipt="1")],
    "send_missing_amq_queue": [C12, send("/amq/queue/{p}", receipt="1")],
    "send_missing_exchange": [C12, send("/exchange/{p}/k", receipt="1")],
    "send_default_exchange": [C12, send("/exchange//k", receipt="1")],
    "send_message_id": [C12, send(QUEUE, message_id="1", receipt="1")],
    "send_user_id_of_another": [C12, send(QUEUE, user_id="root", receipt="1")],
    "send_user_id": [C12, subscribe(QUEUE), send(QUEUE, user_id="guest")],
    "send_topic_without_subscriber": [C12, send("/topic/{p}", receipt="1")],
    "send_amq_topic_exchange": [C12, send("/exchange/amq.topic/{p}", receipt="1")],
    # Queues
    "queue_there_and_back": [C12, subscribe(QUEUE), send(QUEUE, "hello")],
    "queue_content_length": [C12, subscribe(QUEUE), send(QUEUE, "a\0b", content_length="3")],
    "queue_headers": [C12, subscribe(QUEUE), send(QUEUE, foo="bar", content_type="text/plain")],
    "queue_properties": [C12, subscribe(QUEUE), send(QUEUE, priority="5", expiration="60000", correlation_id="c", type="t", app_id="a",
                                                     content_encoding="utf-8", timestamp="1700000000", persistent="true", amqp_message_id="m")],
    "queue_escapes_1_2": [C12, subscribe(QUEUE), send(QUEUE, foo="a\\cb\\nc\\\\d\\re")],
    "queue_escapes_1_1": [C11, subscribe(QUEUE), send(QUEUE, foo="a\\cb\\nc\\\\d")],
    "queue_escapes_1_0": [C10, subscribe(QUEUE), send(QUEUE, foo="a\\\\b")],
    "queue_repeated_header": [C12, subscribe(QUEUE), "SEND\ndestination:" + QUEUE + "\nfoo:1\nfoo:2\n\nx\0"],
    "queue_header_with_spaces": [C12, subscribe(QUEUE), send(QUEUE, foo=" a ")],
    "queue_percent_encoded": [C12, subscribe("/queue/{p}%2Fb"), send("/queue/{p}%2Fb", "x")],
    "queue_empty_body": [C12, subscribe(QUEUE), send(QUEUE, "")],
    "queue_crlf": [C12, subscribe(QUEUE), "SEND\r\ndestination:" + QUEUE + "\r\nfoo:1\r\n\r\nx\0"],
    "queue_line_ends_between": [C12, "\n\n\r\n", send(QUEUE, receipt="1"), "\n"],
    "queue_undefined_escape": [C12, send(QUEUE, foo="a\\tb", receipt="1")],
    "queue_escape_at_end": [C12, send(QUEUE, foo="a\\", receipt="1")],
    "header_without_colon": [C12, "SEND\ndestination\n\nx\0"],
    "content_length_too_short": [C12, send(QUEUE, "hello", content_length="2", receipt="1")],
    "content_length_text": [C12, send(QUEUE, "x", content_length="abc", receipt="1")],
    "amq_queue_there_and_back": [C12, send(QUEUE, receipt="1"), subscribe("/amq/queue/{p}"), ],
    "amq_queue_missing": [C12, subscribe("/amq/queue/{p}")],
    "exclusive_queue": [C12, subscribe(QUEUE, exclusive="true"), send(QUEUE, exclusive="true")],
    "queue_auto_delete": [C12, subscribe(QUEUE, auto_delete="true"), send(QUEUE, auto_delete="true")],
    "queue_differs": [C12, send(QUEUE, receipt="1"), subscribe(QUEUE, durable="false")],
    "queue_arguments": [C12, subscribe(QUEUE, x_message_ttl="60000", x_max_length="5"), send(QUEUE, x_message_ttl="60000", x_max_length="5")],
    # Topics and exchanges
    "topic_there_and_back": [C12, subscribe("/topic/{p}.*"), send("/topic/{p}.a")],
    "topic_hash": [C12, subscribe("/topic/{p}.#"), send("/topic/{p}.a.b")],
    "exchange_there_and_back": [C12, subscribe("/exchange/amq.direct/{p}"), send("/exchange/amq.direct/{p}")],
    "exchange_fanout_without_key": [C12, subscribe("/exchange/amq.fanout"), send("/exchange/amq.fanout")],
    "exchange_missing": [C12, subscribe("/exchange/{p}/k")],
    # SUBSCRIBE
    "subscribe_without_destination": [C12, frame("SUBSCRIBE", id="1", receipt="1")],
    "subscribe_without_id_1_2": [C12, frame("SUBSCRIBE", destination=QUEUE, receipt="1")],
    "subscribe_without_id_1_0": [C10, frame("SUBSCRIBE", destination=QUEUE, receipt="1"), send(QUEUE)],
    "subscribe_twice": [C12, subscribe(QUEUE), subscribe(QUEUE)],
    "subscribe_temp_queue_id": [C12, subscribe(QUEUE, id="/temp-queue/a")],
    "subscribe_unknown_ack": [C12, subscribe(QUEUE, ack="maybe")],
    "subscribe_durable_without_id": [C10, frame("SUBSCRIBE", destination="/topic/{p}", durable="true", receipt="1")],
    "subscribe_durable": [C12, subscribe("/topic/{p}", id="{p}", durable="true", auto_delete="false"), send("/topic/{p}"),
                          frame("UNSUBSCRIBE", id="{p}", durable="true", receipt="2")],
    "unsubscribe": [C12, subscribe(QUEUE), frame("UNSUBSCRIBE", id="1", receipt="2"), send(QUEUE, receipt="3")],
    "unsubscribe_unknown": [C12, frame("UNSUBSCRIBE", id="9", receipt="2")],
    "unsubscribe_without_id": [C12, frame("UNSUBSCRIBE", receipt="2")],
    "unsubscribe_without_id_1_0": [C10, frame("UNSUBSCRIBE", receipt="2")],
    # ACK and NACK
    "ack_client": [C12, subscribe(QUEUE, ack="client"), send(QUEUE), frame("ACK", id="{ack}", receipt="a")],
    "ack_1_1": [C11, subscribe(QUEUE, ack="client"), send(QUEUE), frame("ACK", message_id="{id}", subscription="1", receipt="a")],
    "ack_1_0": [C10, subscribe(QUEUE, ack="client"), send(QUEUE), frame("ACK", message_id="{id}", receipt="a")],
    "ack_cumulative": [C12, subscribe(QUEUE, ack="client"), send(QUEUE), send(QUEUE), frame("ACK", id="{ack2}", receipt="a"), frame("ACK", id="{ack1}", receipt="b")],
    "ack_individual": [C12, subscribe(QUEUE, ack="client-individual"), send(QUEUE), send(QUEUE), frame("ACK", id="{ack2}", receipt="a"), frame("ACK", id="{ack1}", receipt="b")],
    "ack_twice": [C12, subscribe(QUEUE, ack="client-individual"), send(QUEUE), frame("ACK", id="{ack}", receipt="a"), frame("ACK", id="{ack}", receipt="b")],
    "ack_without_id": [C12, frame("ACK", receipt="a")],
    "ack_without_id_1_1": [C11, frame("ACK", receipt="a")],
    "ack_nonsense": [C12, frame("ACK", id="nonsense", receipt="a")],
    "nack_comes_again": [C12, subscribe(QUEUE, ack="client-individual"), send(QUEUE), frame("NACK", id="{ack}", receipt="a"), frame("ACK", id="{ack2}", receipt="b")],
    "nack_away": [C12, subscribe(QUEUE, ack="client-individual"), send(QUEUE), frame("NACK", id="{ack}", requeue="false", receipt="a")],
    "nack_1_0": [C10, subscribe(QUEUE, ack="client"), send(QUEUE), frame("NACK", message_id="{id}", receipt="a")],
    "prefetch": [C12, subscribe(QUEUE, ack="client-individual", prefetch_count="1"), send(QUEUE, "1"), send(QUEUE, "2"), frame("ACK", id="{ack1}", receipt="a")],
    # Transactions
    "transaction_commit": [C12, subscribe(QUEUE), frame("BEGIN", transaction="t", receipt="1"), send(QUEUE, transaction="t"), frame("COMMIT", transaction="t", receipt="2")],
    "transaction_abort": [C12, subscribe(QUEUE), frame("BEGIN", transaction="t", receipt="1"), send(QUEUE, transaction="t"), frame("ABORT", transaction="t", receipt="2")],
    "transaction_unknown": [C12, send(QUEUE, transaction="t", receipt="1")],
    "transaction_commit_unknown": [C12, frame("COMMIT", transaction="t", receipt="1")],
    "transaction_abort_unknown": [C12, frame("ABORT", transaction="t", receipt="1")],
    "transaction_without_name": [C12, frame("BEGIN", receipt="1")],
    "transaction_commit_without_name": [C12, frame("COMMIT", receipt="1")],
    "transaction_begun_twice": [C12, frame("BEGIN", transaction="t", receipt="1"), frame("BEGIN", transaction="t", receipt="2")],
    "transaction_send_receipt": [C12, frame("BEGIN", transaction="t"), send(QUEUE, transaction="t", receipt="1")],
    # Replies
    "reply_to_temp_queue": [C12, subscribe(QUEUE), send(QUEUE, reply_to="/temp-queue/foo")],
    "reply_to_queue": [C12, subscribe(QUEUE), send(QUEUE, reply_to="/queue/answers")],
}


class Peer:
    def __init__(self, address, name):
        self.socket = socket.create_connection(address)
        self.socket.settimeout(QUIET_S)
        self.name = name
        self.input = b""
        self.heard = []
        self.closed = False

    def say(self, text):
        messages = [one for one in self.heard if one["command"] == "MESSAGE"]
        ids = {"p": self.name}
        if messages:
            ids["ack"], ids["id"] = (messages[-1]["headers"].get(name, "") for name in ("ack", "message-id"))
        for number, one in enumerate(messages, 1):
            ids[f"ack{number}"] = one["headers"].get("ack", "")
        for name, value in ids.items():
            text = text.replace("{" + name + "}", value)
        try:
            self.socket.sendall(text.encode())
        except OSError:
            self.closed = True

    def listen(self):
        while not self.closed:
            try:
                read = self.socket.recv(1 << 16)
            except TimeoutError:
                break
            except OSError:
                read = b""
            self.closed = not read
            self.input += read
        self.take_frames()

    def take_frames(self):
        while self.input.lstrip(b"\r\n"):
            self.input = self.input.lstrip(b"\r\n")
            head, found, rest = self.input.partition(b"\n\n")
            if not found:
                return
            lines = head.decode().split("\n")
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers.setdefault(name, value)
            size = int(headers["content-length"]) if "content-length" in headers else rest.find(b"\0")
            if size < 0 or len(rest) <= size:
                return
            self.heard.append({"command": lines[0], "headers": headers, "body": rest[:size].decode()})
            self.input = rest[size + 1:]


def plain(text, name):
    text = text.replace(name, "{p}")
    text = re.sub(r"session-[A-Za-z0-9_-]+", "session-S", text)
    return re.sub(r"(amq|stomp)[.-](gen|subscription)-[A-Za-z0-9_-]{16,}", r"\1.\2-G", text)


def answer(address, behaviour):
    name = f"b{time.monotonic_ns()}"
    peer = Peer(address, name)
    for text in BEHAVIOURS[behaviour]:
        if not peer.closed:
            peer.say(text)
            peer.listen()
    heard = []
    for one in peer.heard:
        if any(before["command"] == "ERROR" for before in heard):
            break
        headers = {header: plain(value, name) for header, value in sorted(one["headers"].items()) if header != "server"}
        body = plain(one["body"], name)
        if one["command"] == "ERROR":
            # RabbitMQ ends some of its texts with a line end, and others not; it never names the receipt.
            body = body.rstrip("\n")
            headers.pop("content-length", None)
            headers.pop("receipt-id", None)
        heard.append({"command": one["command"], "headers": headers, "body": body})
    # RabbitMQ may close some time after an ERROR; nothing is heard in between.
    closed = peer.closed or any(one["command"] == "ERROR" for one in heard)
    return {"behaviour": behaviour, "heard": heard, "closed": closed}


def ordered(heard):
    """A RECEIPT and a MESSAGE that have nothing to do with each other come in any order."""
    return sorted(heard, key=lambda one: json.dumps(one, sort_keys=True))


def ask(address, behaviours):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda behaviour: answer(address, behaviour), behaviours))


def compare():
    from ports import PORTS

    wanted = {one["behaviour"]: one for one in map(json.loads, (HERE / "stomp_answers.jsonl").read_text().splitlines())}
    differences = json.loads((HERE / "stomp_differences.json").read_text())
    wrong = []
    for ours in ask(("127.0.0.1", PORTS["stomp"]), BEHAVIOURS):
        name = ours["behaviour"]
        said = {"heard": ordered(ours["heard"]), "closed": ours["closed"]}
        same = said == {"heard": ordered(wanted[name]["heard"]), "closed": wanted[name]["closed"]}
        if same and name in differences:
            wrong.append(f"{name}: is the same as RabbitMQ's now; take it out of stomp_differences.json")
        if not same and (name not in differences or differences[name]["ours"] != said):
            wrong.append(f"{name}:\n  RabbitMQ {json.dumps(wanted[name])}\n  Crossdock {json.dumps(ours)}")
    assert set(differences) <= set(BEHAVIOURS), set(differences) - set(BEHAVIOURS)
    assert not wrong, "\n".join(wrong)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        host, _, port = sys.argv[1].partition(":")
        for one in ask((host, int(port)), sys.argv[2:] or BEHAVIOURS):
            print(json.dumps(one))
    else:
        compare()
