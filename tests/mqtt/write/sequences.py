"""Sequences of packets: what a client sends, and what the specification says must come back."""

import json
import zlib

import packets as p

# Every sequence of all chapters, to find names that are given twice.
IDS = set()
# Most sequences are about something else than who the client is.
ANONYMOUS = 'anonymous_user="guest"'


def spaced(data):
    return data.hex(" ")


class Chapter:
    """One file of the corpus. `settings` are the broker's, beside its defaults; `config` a configuration file in place of development mode."""

    def __init__(self, name, title, settings=(), config=None):
        self.name, self.title, self.settings, self.config = name, title, [ANONYMOUS, *settings], config
        self.sequences = []

    def sequence(self, name, version, about, *statements):
        found = Sequence(f"{self.name}/{name}", version, about, statements)
        self.sequences.append(found)
        return found

    def text(self):
        head = {"chapter": self.name, "title": self.title, "settings": self.settings, "config": self.config}
        lines = [json.dumps(head, ensure_ascii=False)[:-1] + ', "sequences": [']
        for index, sequence in enumerate(self.sequences):
            lines += sequence.lines(index + 1 == len(self.sequences))
        return "\n".join(lines + ["]}"]) + "\n"


class Sequence:
    def __init__(self, name, version, about, statements):
        if name in IDS:
            raise ValueError(f"{name} is there twice")
        IDS.add(name)
        self.name, self.version, self.about, self.statements = name, version, about, list(statements)
        self.steps = []
        # Topics and client identifiers of sequences differ, so that one broker can serve all.
        self.token = f"{zlib.crc32(name.encode()):08x}"
        self.readers = set()

    def lines(self, is_last):
        head = {"id": self.name, "version": self.version, "about": self.about, "statements": self.statements}
        yield json.dumps(head, ensure_ascii=False)[:-1] + ', "steps": ['
        for index, step in enumerate(self.steps):
            yield "  " + json.dumps(step, ensure_ascii=False) + ("" if index + 1 == len(self.steps) else ",")
        yield "]}" + ("" if is_last else ",")

    def topic(self, rest="t"):
        return f"{self.token}/{rest}"

    def client(self, who="a"):
        return f"{self.token}{who}"

    # What the clients do and see.
    def send(self, who, data, note):
        self.steps.append({"on": who, "send": spaced(data), "note": note})
        return self

    def expect(self, who, pattern, note, without=None):
        pattern = spaced(pattern) if isinstance(pattern, bytes) else pattern
        self.steps.append({"on": who, "expect": pattern, "note": note} | ({"without": without} if without else {}))
        return self

    def expect_all(self, who, *patterns):
        """Packets that may come in any order."""
        patterns = [spaced(one) if isinstance(one, bytes) else one for one in patterns]
        self.steps.append({"on": who, "expect_all": patterns})
        return self

    def closed(self, who="a"):
        self.steps.append({"on": who, "closed": True})
        return self

    def drop(self, who="a"):
        """The network fails."""
        self.steps.append({"on": who, "drop": True})
        return self

    def pause(self, ms):
        self.steps.append({"pause_ms": ms})
        return self

    def restart(self):
        """The broker is killed and starts again."""
        self.steps.append({"restart": True})
        return self

    # What many sequences have in common.
    def connect(self, who="a", present=False, version=None, **options):
        version = self.version if version is None else version
        client = options.pop("client", self.client(who))
        expected = options.pop("expect", None)
        self.send(who, p.connect(version, client, **options), f"CONNECT {client}")
        # Version 3.1 does not say.
        flag = "01" if present and version != p.V31 else "00"
        connack = f"20 .. {flag} 00 *" if version == p.V5 else f"20 02 {flag} 00"
        return self.expect(who, expected or connack, "CONNACK")

    def refused(self, who="a", reason=0x82, version=None):
        """The connection ends: with that reason for a client of version 5."""
        if (version or self.version) == p.V5:
            self.expect(who, f"e0 .. {reason:02x} *", f"DISCONNECT 0x{reason:02X}")
        return self.closed(who)

    def connect_refused(self, who="a", reason=0x81, code=None):
        """CONNACK with that reason in version 5, that return code before; without one the connection only ends."""
        if self.version == p.V5:
            self.expect(who, f"20 .. 00 {reason:02x} *", f"CONNACK 0x{reason:02X}")
        elif code is not None:
            self.expect(who, f"20 02 00 {code:02x}", f"CONNACK {code}")
        return self.closed(who)

    def alive(self, who="a"):
        """The connection is as it was, and nothing else came."""
        self.send(who, p.packet(p.PINGREQ), "PINGREQ")
        return self.expect(who, p.packet(p.PINGRESP), "PINGRESP")

    def subscribed(self, who="a", filters=(), identifier=1, codes=None, properties=(), version=None):
        version = self.version if version is None else version
        self.readers.add(who)
        self.send(who, p.subscribe(version, identifier, filters, properties), f"SUBSCRIBE {filters}")
        codes = bytes(options & 3 for _, options in filters) if codes is None else bytes(codes)
        suback = p.packet(p.SUBACK, p.two(identifier) + p.own(version, ()) + codes)
        return self.expect(who, suback, f"SUBACK {codes.hex(' ')}")

    def publish(self, who, topic, payload=b"m", qos=0, identifier=1, reason=None, version=None, **options):
        """Publishes, and expects the acknowledgements with success."""
        version = self.version if version is None else version
        self.send(who, p.publish(version, topic, payload, qos, identifier, **options), f"PUBLISH QoS {qos} to {topic}")
        if qos == 0 and options.get("retain") and who not in self.readers:
            # Others subscribe next: the message must be there.
            self.alive(who)
        # Whether anybody subscribed may be told in version 5, or not.
        if qos == 1:
            pattern = ack_pattern(version, p.PUBACK, identifier, reason)
            self.expect(who, pattern, "PUBACK")
        if qos == 2:
            self.expect(who, ack_pattern(version, p.PUBREC, identifier, reason), "PUBREC")
            self.send(who, p.ack(version, p.PUBREL, identifier), "PUBREL")
            self.expect(who, p.ack(version, p.PUBCOMP, identifier), "PUBCOMP")
        return self

    def comes(self, who, topic, payload=b"m", qos=0, **options):
        """A PUBLISH comes, and is not acknowledged yet."""
        self.receives(who, topic, payload, qos, **options)
        if qos:
            self.steps.pop()
        return self

    def acknowledges(self, who, kind, number, reason=None):
        """Acknowledges the `number`th PUBLISH that came to the client with QoS 1 or 2."""
        tokens = spaced(p.ack(self.version, kind, 1, reason)).split()
        tokens[2:4] = [f"id{number}"] * 2
        self.steps.append({"on": who, "send": " ".join(tokens), "note": f"{p.NAMES[kind]} of message {number}"})
        return self

    def expects_of(self, who, kind, number):
        """An acknowledgement with the identifier of the `number`th PUBLISH."""
        tokens = spaced(p.ack(self.version, kind, 1)).split()
        tokens[2:4] = [f"id{number}"] * 2
        return self.expect(who, " ".join(tokens), f"{p.NAMES[kind]} of message {number}")

    def receives(self, who, topic, payload=b"m", qos=0, identifier=None, version=None, **options):
        """A PUBLISH comes; with QoS above 0 any packet identifier will do, and the client acknowledges it where it is known."""
        version = self.version if version is None else version
        data = p.publish(version, topic, payload, qos, identifier or 1, **options)
        pattern = spaced(data)
        if qos and identifier is None:
            length_bytes = next(at for at in range(1, 5) if data[at] < 0x80)
            at = 1 + length_bytes + 2 + len(p.raw(topic))
            tokens = pattern.split()
            tokens[at:at + 2] = ["..", ".."]
            pattern = " ".join(tokens)
        self.expect(who, pattern, f"PUBLISH QoS {qos} of {topic}")
        if qos:
            self.steps.append({"on": who, "acknowledge": qos})
        return self


def ack_pattern(version, kind, identifier, reason=None):
    if reason is not None:
        return p.ack(version, kind, identifier, reason)
    plain = p.ack(version, kind, identifier)
    if version != p.V5:
        return plain
    # 0x00, or 0x10: nobody subscribes.
    return f"{plain[0]:02x} .. {identifier >> 8:02x} {identifier & 255:02x} *"
