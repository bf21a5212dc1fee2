"""The table: what each property becomes at each door. The test asserts it, `docs/fidelity.md` is printed from it."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from pika.compat import long

AMQP, MQTT5, MQTT3, STOMP, SQS, SNS = "AMQP", "MQTT 5", "MQTT 3.1.1", "STOMP", "SQS", "SNS"
RAW, ENVELOPED = "SNS raw", "SNS enveloped"
SENDERS = (AMQP, MQTT5, MQTT3, STOMP, SQS, SNS)
RECEIVERS = (AMQP, MQTT5, MQTT3, STOMP, SQS, RAW, ENVELOPED)
AWS = (SQS, SNS, RAW, ENVELOPED)
PREFIX = {AMQP: "header ", MQTT5: "user ", STOMP: ""} | dict.fromkeys(AWS, "attribute ")

NO_PROPERTIES = "MQTT 3.1.1 has no properties"
EVERY_BYTE = bytes(range(256))
BASE64 = base64.b64encode(EVERY_BYTE)
TEXT = "Grüße, 世界 ✓".encode()
IDENTIFIER = "a UUID that the broker made"


NESTED = {"n": 1, "list": [True, None, b"\0"], "deep": {"s": "x"}}
NESTED_TEXT = (
    '[["n",["i32","1"]],["list",["list",[["bool","true"],["null",""],["base64","AA=="]]]],'
    '["deep",["map",[["s",["string","x"]]]]]]'
)
NOVEMBER = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


class Any:
    """Equal to whatever fits: what the broker makes up, and time that goes by."""

    def __init__(self, fits, text):
        self.fits, self.text = fits, text

    def __eq__(self, other):
        return self.fits(other)

    def __repr__(self):
        return self.text


def between(low, high):
    return Any(lambda value: low <= int(value) <= high, f"{low}…{high}")


UUID = Any(lambda value: isinstance(value, str) and len(value) == 36, IDENTIFIER)
SECONDS = Any(lambda value: int(value) > 1_700_000_000, "when it was sent, in s")
MILLIS = Any(lambda value: int(value) > 1_700_000_000_000, "when it was sent, in ms")


@dataclass
class Outcome:
    """What a receiver gets: `how` it travels, and exactly these addresses with these values."""

    how: str
    got: dict = field(default_factory=dict)
    note: str = ""


@dataclass
class Row:
    """A property: what each sender says, what each receiver gets unless the pair is an exception, which clients do not
    give it back, and why, and what comes back to whom if it is not what a receiver of the same protocol gets."""

    name: str
    sends: dict
    gets: dict
    exceptions: dict = field(default_factory=dict)
    not_through: dict = field(default_factory=dict)
    back: dict = field(default_factory=dict)

    def there_and_back(self, sender):
        return self.back.get(sender) or self.outcome(sender, sender).got

    def outcome(self, sender, receiver):
        if sender == SQS and receiver in (RAW, ENVELOPED):
            return None  # SendMessage goes to one queue, never through a topic
        default = Outcome("lost", {}, NO_PROPERTIES) if receiver == MQTT3 else None
        return self.exceptions.get((sender, receiver)) or self.gets.get(receiver, default)


def native(got):
    return Outcome("native", got)


def converted(got, note):
    return Outcome("converted", got, note)


def said(door, name, value, code=None):
    """A header as a door says it, with the code of its type where headers are text."""
    address = PREFIX[door] + name
    if door == AMQP:
        return {address: value}
    if door in AWS:
        types = {"attribute crossdock.types": ("String", f"{name}={code}")} if needs_type(name, code) else {}
        return {address: ("Number" if code else "String", text(value))} | types
    types = {f"{PREFIX[door]}crossdock.types": f"{name}={code}"} if code else {}
    return {address: text(value)} | types


def needs_type(name, code):
    """SQS numbers are i64 and f64 by themselves, and some fields take any number."""
    is_field = name in [f"crossdock.{field}" for field in ("priority", "ttl-ms", "group-sequence", "timestamp-ms")]
    return code not in (None, "i64", "f64") and not is_field


def text(value):
    return value if isinstance(value, (str, Any)) else repr(value)


def field_row(name, envelope, value, native_at, code=None, exceptions=()):
    """A property with a place of its own at some doors; `crossdock.*` carries it at the others."""
    plain = value if code else str(value)
    there = {door: said(door, f"crossdock.{envelope}", plain, code) for door in PREFIX} | native_at
    how = {door: native(got) if door in native_at else Outcome("envelope", got) for door, got in there.items()}
    sends = {door: got for door, got in there.items() if door in SENDERS}
    return Row(name, sends, {door: how[door] for door in how if door in RECEIVERS}, dict(exceptions))


def body_rows():
    everywhere = {door: native({"body": TEXT}) for door in RECEIVERS}
    yield Row("body: text", {door: {"body": TEXT} for door in SENDERS}, everywhere)
    packed = {"body": BASE64, "attribute crossdock.encoding": ("String", "base64")}
    sends = {door: packed if door in AWS else {"body": EVERY_BYTE} for door in SENDERS}
    base64_text = converted(packed, "base64, since SQS and SNS carry text only")
    gets = {door: base64_text if door in AWS else native({"body": EVERY_BYTE}) for door in RECEIVERS}
    yield Row("body: all 256 bytes", sends, gets)


def described_rows():
    """What says something about the body."""
    kind = {AMQP: {"content_type": "text/csv"}, MQTT5: {"ContentType": "text/csv"}, STOMP: {"content-type": "text/csv"}}
    yield field_row("content type", "content-type", "text/csv", kind)
    encoding = {AMQP: {"content_encoding": "gzip"}, STOMP: {"content-encoding": "gzip"}}
    yield field_row("content encoding", "content-encoding", "gzip", encoding)
    flag = {door: said(door, "crossdock.mqtt-payload-format", 1, "u8") for door in PREFIX}
    there = flag | {MQTT5: {"PayloadFormatIndicator": 1}}
    gets = {door: Outcome("envelope", got) for door, got in there.items() if door in RECEIVERS}
    yield Row("payload format indicator", {MQTT5: there[MQTT5]}, gets | {MQTT5: native(there[MQTT5])})


def header_rows():
    strings = {door: said(door, "h", "é: \\ value") for door in PREFIX}
    gets = {door: native(got) for door, got in only(RECEIVERS, strings).items()}
    yield Row("header: text", only(SENDERS, strings), gets)
    yield number_row("header: integer", 42, "i32", "i64")
    yield typed_row("header: truth", True, "true", "bool")
    yield float_row()
    yield bytes_row()
    yield typed_row("header: decimal", Decimal("2.5"), "25e-1", "decimal")
    yield typed_row("header: time", NOVEMBER, "1700000000000", "timestamp-ms")
    yield typed_row("header: nested table", NESTED, NESTED_TEXT, "map")
    yield repeated_row()
    yield mixed_row()
    yield many_row()
    yield empty_row()
    yield long_row()


def only(doors, table):
    return {door: value for door, value in table.items() if door in doors}


TYPES_NOTE = "as text, the type in `crossdock.types`"


def number_row(name, value, code, wide):
    """SQS numbers have no width of their own: from there they are as `wide` as they can be."""
    there = {door: said(door, "h", value, code) for door in PREFIX}
    plain = {"attribute h": ("Number", text(value))}
    gets = {door: converted(got, TYPES_NOTE) for door, got in there.items() if door in RECEIVERS}
    gets |= {AMQP: native(there[AMQP])} | {door: native(plain) for door in AWS if there[door] == plain}
    there_wide = {door: converted(said(door, "h", value, wide), TYPES_NOTE) for door in (MQTT5, STOMP)}
    exceptions = {(sender, door): got for sender in AWS for door, got in there_wide.items()}
    exceptions |= {(sender, door): native(plain) for sender in AWS for door in AWS}
    if code != wide:
        exceptions |= {(sender, AMQP): native({"header h": long(value)}) for sender in AWS}
    return Row(name, only(SENDERS, there | dict.fromkeys((SQS, SNS), plain)), gets, exceptions)


def float_row():
    """pika writes no floating point, and cuts what it reads: the wire has all of it."""
    row = number_row("header: floating point", 2.5, "f64", "f64")
    del row.sends[AMQP]
    row.gets[AMQP] = native({"header h": Any(lambda value: value == 2, "2.5, which pika cuts to 2")})
    row.not_through[AMQP] = "pika cuts floating point to integers"
    return row


def typed_row(name, value, as_text, code):
    """A type that only AMQP has."""
    there = {door: said(door, "h", as_text, code) for door in (MQTT5, STOMP)} | {AMQP: {"header h": value}}
    kind = "Number" if code == "timestamp-ms" else "String"
    aws = {"attribute h": (kind, as_text), "attribute crossdock.types": ("String", f"h={code}")}
    there |= dict.fromkeys(AWS, aws)
    gets = {door: converted(got, TYPES_NOTE) for door, got in there.items() if door in RECEIVERS}
    return Row(name, only(SENDERS, there), gets | {AMQP: native(there[AMQP])})


def bytes_row():
    there = {door: said(door, "h", "AP8=", "base64") for door in (MQTT5, STOMP)} | {AMQP: {"header h": b"\x00\xff"}}
    there |= {SQS: {"attribute h": ("Binary", b"\x00\xff")}, SNS: {"attribute h": ("Binary", b"\x00\xff")}}
    gets = {d: native(there[d]) for d in (AMQP, SQS)} | {d: converted(there[d], TYPES_NOTE) for d in (MQTT5, STOMP)}
    gets |= {RAW: gets[SQS], ENVELOPED: native({"attribute h": ("Binary", "AP8=")})}
    return Row("header: bytes", there, gets)


def packed(pairs):
    """What SQS gets from whom, when its attributes are too few: durability is there too, unless SQS or SNS said it."""
    leaves = [[name, "string", value] for name, value in pairs]
    durable = {AMQP: "false", MQTT5: "true", STOMP: "false"}
    gets = {sender: [*leaves, ["crossdock.durable", "bool", truth]] for sender, truth in durable.items()}
    gets |= dict.fromkeys((SQS, SNS), leaves)
    return {
        sender: {"attribute crossdock.headers": ("String", json.dumps(leaves, separators=(",", ":")))}
        for sender, leaves in gets.items()
    }


def packed_exceptions(pairs):
    note = "all headers in `crossdock.headers`"
    return {(sender, door): converted(got, note) for sender, got in packed(pairs).items() for door in (SQS, RAW, ENVELOPED)}


def repeated_row():
    pairs = [("h", "1"), ("h", "2"), ("h", "3")]
    further = {"header h": "1", "header crossdock.further-headers": [["h", "2"], ["h", "3"]]}
    numbered = {"h": "1", "crossdock.header-2.h": "2", "crossdock.header-3.h": "3"}
    gets = {
        AMQP: converted(further, "a table has a name once: the rest in `crossdock.further-headers`"),
        MQTT5: native({"user h": ["1", "2", "3"]}),
        STOMP: converted(numbered, "readers keep the first of a name: the rest in `crossdock.header-N.NAME`"),
    }
    sends = {door: gets[door].got for door in gets} | only((SQS, SNS), packed(pairs))
    return Row("header: repeated", sends, gets, packed_exceptions(pairs))


def mixed_row():
    """MQTT 5 keeps the order of all user properties, not only that of one name's."""
    pairs = [("h", "1"), ("g", "2"), ("h", "3")]
    further = {"header h": "1", "header g": "2", "header crossdock.further-headers": [["h", "3"]]}
    numbered = {"h": "1", "g": "2", "crossdock.header-2.h": "3"}
    gets = {
        AMQP: converted(further, "a table has a name once: the rest in `crossdock.further-headers`"),
        MQTT5: native({"pairs": [list(pair) for pair in pairs]}),
        STOMP: converted(numbered, "readers keep the first of a name: the rest in `crossdock.header-N.NAME`"),
    }
    sends = {door: gets[door].got for door in (AMQP, MQTT5)} | only((SQS, SNS), packed(pairs))
    not_through = {STOMP: "stomp.py sorts the headers that it sends"}
    return Row("header: repeated, others between", sends, gets, packed_exceptions(pairs), not_through)


def many_row():
    pairs = [(f"h{n:02}", f"v{n}") for n in range(12)]
    there = {door: {PREFIX[door] + name: value for name, value in pairs} for door in (AMQP, MQTT5, STOMP)}
    gets = {door: native(got) for door, got in there.items()}
    return Row("header: twelve of them", there | only((SQS, SNS), packed(pairs)), gets, packed_exceptions(pairs))


def empty_row():
    """SQS attributes cannot be empty."""
    there = {door: {PREFIX[door] + "h": ""} for door in (AMQP, MQTT5, STOMP)}
    gets = {door: native(got) for door, got in there.items()}
    return Row("header: empty text", there | only((SQS, SNS), packed([("h", "")])), gets, packed_exceptions([("h", "")]))


def long_row():
    """Only SQS and SNS let so long a header in: everyone else stops at `limits.header_bytes_max`, and so on the way back."""
    there = {door: said(door, "h", "x" * 70_000) for door in (AMQP, STOMP, *AWS)}
    counted = Outcome("lost", {"user crossdock.mqtt-omitted": "1"}, "MQTT has room for 65,535 bytes; how many are missing is said")
    gets = {door: native(got) for door, got in there.items() if door in RECEIVERS}
    row = Row("header: 70,000 bytes", only((SQS, SNS), there), gets | {MQTT5: counted})
    row.not_through = {MQTT5: counted.note} | dict.fromkeys((AMQP, STOMP), "`limits.header_bytes_max` is 64 KiB")
    return row


def answer_rows():
    """What ties answers to questions."""
    there = {AMQP: {"correlation_id": "c-1"}, MQTT5: {"CorrelationData": b"c-1"}, STOMP: {"correlation-id": "c-1"}}
    yield field_row("correlation id: text", "correlation-id", "c-1", there)
    yield correlation_bytes_row()
    there = {AMQP: {"reply_to": "answers"}, MQTT5: {"ResponseTopic": "answers"}, STOMP: {"reply-to": "answers"}}
    row = field_row("reply-to", "reply-to", "answers", there)
    row.gets[STOMP] = converted({"reply-to": "/reply-queue/answers"}, "a destination that the reader can send to")
    yield row


def correlation_bytes_row():
    data = b"\x00\xff"
    header = {"header crossdock.correlation-id": data}
    encoded = "base64 text, the type in `crossdock.types`"
    gets = {
        AMQP: converted({"correlation_id": "AP8="} | header, "base64, the bytes in `crossdock.correlation-id`"),
        MQTT5: native({"CorrelationData": data}),
        STOMP: converted(said(STOMP, "crossdock.correlation-id", "AP8=", "base64"), encoded),
    }
    sends = {door: gets[door].got for door in (AMQP, MQTT5, STOMP)}
    aws = {"attribute crossdock.correlation-id": ("Binary", data)}
    gets |= dict.fromkeys((SQS, RAW), Outcome("envelope", aws))
    gets[ENVELOPED] = Outcome("envelope", {"attribute crossdock.correlation-id": ("Binary", "AP8=")})
    return Row("correlation id: bytes", sends | dict.fromkeys((SQS, SNS), aws), gets)


def delivery_rows():
    """What says how it shall be kept and handed out."""
    there = {AMQP: {"priority": 5}, STOMP: {"priority": "5"}}
    yield field_row("priority", "priority", 5, there, "u8")
    yield ttl_row()
    yield durable_row()
    yield exactly_once_row()
    yield retained_row()


def ttl_row():
    left, seconds = between(1, 60_000), between(1, 60)
    sends = {AMQP: {"expiration": "60000"}, MQTT5: {"MessageExpiryInterval": 60}, STOMP: {"expiration": "60000"}}
    sends |= {door: said(door, "crossdock.ttl-ms", 60_000, "u64") for door in (SQS, SNS)}
    gets = {
        AMQP: native({"expiration": "60000"}),
        MQTT5: converted({"MessageExpiryInterval": seconds}, "in seconds, what is left of it"),
        MQTT3: Outcome("lost", {}, f"{NO_PROPERTIES}; the broker still lets it expire"),
        STOMP: native({"expiration": "60000"}),
    }
    gets |= {door: Outcome("envelope", sends[SQS]) for door in (SQS, RAW, ENVELOPED)}
    row = Row("time to live", sends, gets)
    row.back = {AMQP: {"expiration": left}, STOMP: {"expiration": left}, SQS: {"attribute crossdock.ttl-ms": ("Number", left)}}
    return row


def durable_row():
    sends = {AMQP: {"delivery_mode": 2}, MQTT5: {"qos": 1}, MQTT3: {"qos": 1}, STOMP: {"persistent": "true"}, SQS: {}, SNS: {}}
    gets = {AMQP: native({"delivery_mode": 2}), STOMP: native({"persistent": "true"})}
    gets |= {door: native({"qos": 1}) for door in (MQTT5, MQTT3)}
    marked = Outcome("envelope", {"attribute crossdock.durable": ("String", "true")})
    exceptions = {(sender, door): native({}) for sender in (SQS, SNS) for door in (SQS, RAW, ENVELOPED)}
    return Row("durability", sends, gets | dict.fromkeys((SQS, RAW, ENVELOPED), marked), exceptions)


def exactly_once_row():
    there = {door: said(door, "crossdock.mqtt-qos", 2, "u8") for door in PREFIX}
    gets = {door: Outcome("envelope", got) for door, got in there.items() if door in RECEIVERS}
    return Row("QoS 2", dict.fromkeys((MQTT5, MQTT3), {"qos": 2}), gets | dict.fromkeys((MQTT5, MQTT3), native({"qos": 2})))


def retained_row():
    """Only who asks for it (retain as published) is told, and only by MQTT 5."""
    own = "retaining is between the publisher and the broker"
    gets = {door: Outcome("lost", {}, own) for door in (AMQP, STOMP, SQS, RAW, ENVELOPED)}
    gets |= {MQTT5: native({"retain": True}), MQTT3: Outcome("lost", {}, "only MQTT 5 has retain as published")}
    return Row("retain", dict.fromkeys((MQTT5, MQTT3), {"retain": True}), gets, not_through=dict.fromkeys((AMQP, STOMP, SQS), own))


def identity_rows():
    """Who made it, when, and what it is."""
    there = {AMQP: {"message_id": "m-1"}, STOMP: {"amqp-message-id": "m-1"}}
    yield field_row("message id", "message-id", "m-1", there)
    there = {AMQP: {"timestamp": 1_700_000_000}, STOMP: {"timestamp": "1700000000"}}
    yield field_row("timestamp", "timestamp-ms", 1_700_000_000_000, there, "timestamp-ms")
    there = {AMQP: {"user_id": "guest"}, STOMP: {"user-id": "guest"}}
    yield field_row("user id", "user-id", "guest", there)
    yield claimed_row()
    there = {AMQP: {"app_id": "app"}, STOMP: {"app-id": "app"}}
    yield field_row("app id", "app-id", "app", there)
    there = {AMQP: {"type": "kind"}, STOMP: {"type": "kind"}}
    yield field_row("type", "type", "kind", there)
    there = {AMQP: {"cluster_id": "cluster"}, STOMP: {"cluster-id": "cluster"}}
    yield field_row("cluster id", "cluster-id", "cluster", there)
    yield subject_row()
    yield group_row()
    yield trace_row()


def claimed_row():
    """RabbitMQ's readers trust `user_id`, since the broker checks it: the envelope is no way around the check."""
    there = {door: said(door, "crossdock.user-id", "somebody-else") for door in PREFIX}
    gets = {door: Outcome("envelope", got, "a claim, not a property") for door, got in there.items() if door in RECEIVERS}
    return Row("user id of somebody else", {door: there[door] for door in there if door in SENDERS}, gets)


def subject_row():
    row = field_row("subject", "subject", "About it", {SNS: {"Subject": "About it"}})
    both = {"Subject": "About it"} | said(SNS, "crossdock.subject", "About it")
    row.gets[ENVELOPED] = native(both)
    row.exceptions[SNS, ENVELOPED] = native({"Subject": "About it"})
    raw = Outcome("lost", {}, "raw delivery has no subject, as at AWS")
    row.exceptions |= {(SNS, SQS): raw, (SNS, RAW): raw}
    return row


def group_row():
    own = {"MessageGroupId": "g"}
    row = field_row("group", "group-id", "g", {STOMP: {"JMSXGroupID": "g"}, SQS: own, SNS: own})
    both = native(own | said(SQS, "crossdock.group-id", "g"))
    row.gets |= dict.fromkeys((SQS, RAW, ENVELOPED), both)
    row.exceptions |= {(sender, door): native(own) for sender in (SQS, SNS) for door in (SQS, RAW, ENVELOPED)}
    row.back[SQS] = both.got
    return row


def trace_row():
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    there = {door: said(door, "crossdock.aws-trace-header", trace) for door in (AMQP, MQTT5, STOMP, SQS)}
    gets = {door: Outcome("envelope", got) for door, got in there.items()} | {SQS: native({"AWSTraceHeader": trace})}
    return Row("trace header of SQS", {SQS: {"AWSTraceHeader": trace}}, gets, back={SQS: there[SQS]})


def given_rows():
    """What SQS and SNS give to every message."""
    sends = {SQS: {}, SNS: {}}
    own = dict.fromkeys((SQS, RAW, ENVELOPED), native({}))
    carried = Outcome("envelope", said(MQTT5, "crossdock.message-id", UUID))
    gets = {AMQP: native({"message_id": UUID}), MQTT5: carried, STOMP: native({"amqp-message-id": UUID})}
    yield Row("message id of SQS and SNS", sends, gets | own)
    exact = {"timestamp": SECONDS, "header crossdock.timestamp-ms": MILLIS}
    gets = {AMQP: converted(exact, "in seconds, with milliseconds in `crossdock.timestamp-ms`")}
    gets |= {door: Outcome("envelope", said(door, "crossdock.timestamp-ms", MILLIS, "timestamp-ms")) for door in (MQTT5, STOMP)}
    yield Row("time of sending of SQS and SNS", sends, gets | own)


ROWS = [
    *body_rows(),
    *described_rows(),
    *header_rows(),
    *answer_rows(),
    *delivery_rows(),
    *identity_rows(),
    *given_rows(),
]
