"""An AMQP 0-9-1 peer that shows every frame it gets as a line of text, and sends whatever it is told to."""

import re
import socket
import struct
import time

from pika import BasicProperties, frame, spec

PATIENCE_S = 5
# Between two answers that nobody asked for; long enough for a busy machine.
SILENCE_S = 0.4


def told(value):
    """A header value, without what differs from run to run."""
    if isinstance(value, dict):
        # RabbitMQ says x-last-death-* since 3.13.
        seen = [key for key in sorted(value) if key != "time" and not key.startswith("x-last-death-")]
        return {key: told(value[key]) for key in seen}
    if isinstance(value, list):
        return [told(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class Peer:
    """One connection with channel 1 open. `log` has what it heard."""

    def __init__(self, address, name, *, user="guest", password="guest", vhost="/"):
        self.socket = socket.create_connection(address, PATIENCE_S)
        self.prefix, self.log, self.buffer, self.names = f"cmp-{name}-", [], b"", []
        self.over = False
        self.socket.sendall(frame.ProtocolHeader().marshal())
        self.next_frame()
        capabilities = {"consumer_cancel_notify": True, "connection.blocked": True, "authentication_failure_close": True}
        response = f"\0{user}\0{password}"
        self.send(0, spec.Connection.StartOk({"capabilities": capabilities}, "PLAIN", response, "en_US"))
        tune = self.next_frame()
        self.tune = tune.method
        self.send(0, spec.Connection.TuneOk(2047, 131072, 0))
        self.send(0, spec.Connection.Open(vhost))
        self.next_frame()
        self.open(1)

    def name(self, short):
        """A name of this behaviour only."""
        return self.prefix + short

    def open(self, channel):
        self.send(channel, spec.Channel.Open())
        self.next_frame()

    def raw(self, octets):
        self.socket.sendall(octets)

    def send(self, channel, method):
        self.raw(frame.Method(channel, method).marshal())

    def publish(self, exchange, key, body=b"m", channel=1, mandatory=False, immediate=False, **properties):
        self.send(channel, spec.Basic.Publish(0, exchange, key, mandatory, immediate))
        self.raw(frame.Header(channel, len(body), BasicProperties(**properties)).marshal())
        if body:
            self.raw(frame.Body(channel, body).marshal())

    def next_frame(self, patience_s=PATIENCE_S):
        """The next frame that is no heartbeat; `None` if none comes, or the connection is over."""
        deadline = time.monotonic() + patience_s
        while True:
            used, got = frame.decode_frame(self.buffer)
            self.buffer = self.buffer[used:]
            if got is not None and not isinstance(got, frame.Heartbeat):
                return got
            if got is not None:
                continue
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                return None
            except OSError:
                more = b""
            if not more:
                self.over = True
                return None
            self.buffer += more

    def line(self, patience_s=PATIENCE_S):
        """The next method with its content as a line."""
        got = self.next_frame(patience_s)
        if got is None:
            return "end of connection" if self.over else None
        method = got.method
        words = [f"{got.channel_number}", method.NAME]
        fields = {key: told(value) for key, value in vars(method).items() if key not in ("ticket", "cluster_id")}
        if isinstance(method, spec.Connection.Close):
            self.send(0, spec.Connection.CloseOk())
        if isinstance(method, spec.Channel.Close):
            self.send(got.channel_number, spec.Channel.CloseOk())
        words += [f"{key}={value}" for key, value in fields.items() if value is not False and value not in ("", None)]
        if isinstance(method, (spec.Basic.Ack, spec.Basic.Nack)):
            # How many are told of at once depends on the moment.
            words = [word for word in words if not word.startswith("multiple")]
        if isinstance(method, (spec.Basic.Deliver, spec.Basic.GetOk, spec.Basic.Return)):
            words.append(self.content())
        return self.same(" ".join(words))

    def content(self):
        header = self.next_frame()
        body = b""
        while len(body) < header.body_size:
            body += self.next_frame().fragment
        properties = {key: told(value) for key, value in vars(header.properties).items() if value is not None}
        return f"{body.decode()!r} {properties}"

    def same(self, line):
        """What is made up anew each time, replaced; names of this behaviour, shortened."""
        line = line.replace(self.prefix, "").replace("vhost '/'", "vhost")
        line = re.sub(r"amq\.gen-[-_A-Za-z0-9]{22}", "amq.gen-*", line)
        line = re.sub(r"amq\.ctag-[-_A-Za-z0-9]{20,24}", "amq.ctag-*", line)
        return re.sub(r"amq\.rabbitmq\.reply-to\.[^' ]+", "amq.rabbitmq.reply-to.*", line)

    def hear(self, count=1):
        """Writes down the next lines."""
        for _ in range(count):
            self.log.append(self.line() or "nothing")

    def silence(self, silence_s=SILENCE_S):
        """Writes down whatever still comes, until nothing does."""
        while not self.over and (line := self.line(silence_s)):
            self.log.append(line)

    def ask(self, method, channel=1):
        """Sends a method and writes down the answer."""
        self.send(channel, method)
        self.hear()

    def quietly(self, method, channel=1):
        """The same, where the answer does not matter."""
        self.send(channel, method)
        return self.line()

    def say(self, text):
        self.log.append(text)

    # What most behaviours need.

    def queue(self, short, **more):
        name = self.name(short)
        self.names.append(("queue", name))
        return self.quietly(declare(name, **more))

    def exchange(self, short, kind, **more):
        name = self.name(short)
        self.names.append(("exchange", name))
        return self.quietly(spec.Exchange.Declare(0, name, kind, **more))

    def bind(self, short, source, key="", arguments=None):
        source = source if source.startswith("amq.") else self.name(source)
        return self.quietly(spec.Queue.Bind(0, self.name(short), source, key, False, arguments or {}))

    def drain(self, short, headers=False):
        """The bodies in a queue, and their headers where they matter."""
        bodies = []
        while True:
            self.send(1, spec.Basic.Get(0, self.name(short), True))
            line = self.line()
            if line is None or "GetOk" not in line:
                return self.say(f"{short}: {bodies}")
            bodies.append(line.split("routing_key=", 1)[-1] if headers else re.search(r"'([^']*)' \{", line)[1])

    def count(self, short):
        """How many messages are in a queue, once that has settled."""
        line = self.quietly(declare(self.name(short), passive=True))
        self.say(f"{short}: {re.search('message_count=[0-9]+', line)[0] if line else line}")

    def wait_for_count(self, short, count):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            line = self.quietly(declare(self.name(short), passive=True))
            if line is None or f"message_count={count} " in line + " ":
                return
            time.sleep(0.02)

    def tidy(self):
        """Deletes what the behaviour made, and ends."""
        if not self.over:
            self.send(99, spec.Channel.Open())
            for kind, name in self.names:
                gone = spec.Queue.Delete(0, name) if kind == "queue" else spec.Exchange.Delete(0, name)
                self.send(99, gone)
                self.line()
        self.socket.close()


def declare(queue="", **more):
    return spec.Queue.Declare(0, queue, **more)


def table(**entries):
    """Arguments, whose names have dashes."""
    return {name.replace("_", "-"): value for name, value in entries.items()}


def frame_of(kind, channel, payload, end=b"\xce"):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end
