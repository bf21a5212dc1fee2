"""Chapters 1 and 2 of the specifications: data types, fixed header, packet identifiers, properties."""

import packets as p
from sequences import Chapter

VERSIONS = [p.V31, p.V311, p.V5]
LABEL = {p.V31: "v31", p.V311: "v311", p.V5: "v5"}

# Section 1.5.4: what is no UTF-8 string in MQTT.
BAD_STRINGS = [
    ("surrogate-low-end", b"a\xed\xa0\x80", "U+D800"),
    ("surrogate-high-end", b"a\xed\xbf\xbf", "U+DFFF"),
    ("no-utf8", b"a\xff", "a byte that UTF-8 never has"),
    ("cut", b"a\xe2\x82", "a character without its last byte"),
    ("overlong", b"a\xc0\xaf", "a character with more bytes than it needs"),
    ("null", b"a\x00b", "U+0000"),
]


def string_statement(version, kind):
    if version == p.V5:
        return "5:MQTT-1.5.4-2" if kind == "null" else "5:MQTT-1.5.4-1"
    return "3.1.1:MQTT-1.5.3-2" if kind == "null" else "3.1.1:MQTT-1.5.3-1"


def strings():
    chapter = Chapter("strings", "UTF-8 strings (1.5.3 of 3.1.1, 1.5.4 and 1.5.7 of 5)")
    for version in VERSIONS:
        for kind, bad, what in BAD_STRINGS:
            in_connect(chapter, version, kind, bad, what)
            in_connected(chapter, version, kind, bad, what)
    good(chapter)
    return chapter


def in_connect(chapter, version, kind, bad, what):
    fields = {
        "client-identifier": dict(client=bad),
        "will-topic": dict(client="c", will=(bad, "w", 0, False, ())),
        "user-name": dict(client="c", user=bad, password="x"),
    }
    extra = {"client-identifier": "5:MQTT-3.1.3-4", "will-topic": "5:MQTT-3.1.3-9", "user-name": "5:MQTT-3.1.3-10"}
    older = {"client-identifier": "3.1.1:MQTT-3.1.3-4", "will-topic": "3.1.1:MQTT-3.1.3-10",
             "user-name": "3.1.1:MQTT-3.1.3-11"}
    if version == p.V5:
        fields |= {
            "property-name": dict(client="c", properties=[(p.USER, (bad, "v"))]),
            "property-value": dict(client="c", properties=[(p.USER, ("n", bad))]),
            "authentication-method": dict(client="c", properties=[(p.AUTH_METHOD, bad)]),
            "will-content-type": dict(client="c", will=("t", "w", 0, False, [(p.CONTENT_TYPE, bad)])),
            "will-response-topic": dict(client="c", will=("t", "w", 0, False, [(p.RESPONSE_TOPIC, bad)])),
            "will-property": dict(client="c", will=("t", "w", 0, False, [(p.USER, (bad, "v"))])),
        }
        extra |= {"property-name": "5:MQTT-1.5.7-1", "property-value": "5:MQTT-1.5.7-1", "will-property": "5:MQTT-1.5.7-1"}
    for field, options in fields.items():
        statements = [string_statement(version, kind)]
        statements += [(extra if version == p.V5 else older).get(field)]
        name = f"{LABEL[version]}-{kind}-in-{field}"
        sequence = chapter.sequence(name, version, f"{what} in the {field} of a CONNECT", *filter(None, statements))
        sequence.send("a", p.connect(version, **options), f"CONNECT with {what}").connect_refused(reason=0x81)


def in_connected(chapter, version, kind, bad, what):
    plain = {
        "topic": p.publish(version, bad),
        "filter": p.subscribe(version, 1, [(bad, 0)]),
        "unsubscribe-filter": p.unsubscribe(version, 1, [bad]),
    }
    extra = {"topic": "5:MQTT-3.3.2-1", "filter": "5:MQTT-3.8.3-1", "unsubscribe-filter": "5:MQTT-3.10.3-1"}
    older = {"topic": "3.1.1:MQTT-3.3.2-1", "filter": "3.1.1:MQTT-3.8.3-1", "unsubscribe-filter": "3.1.1:MQTT-3.10.3-1"}
    if version == p.V5:
        plain |= {
            "response-topic": p.publish(version, "t", properties=[(p.RESPONSE_TOPIC, bad)]),
            "content-type": p.publish(version, "t", properties=[(p.CONTENT_TYPE, bad)]),
            "publish-property-name": p.publish(version, "t", properties=[(p.USER, (bad, "v"))]),
            "publish-property-value": p.publish(version, "t", properties=[(p.USER, ("n", bad))]),
            "subscribe-property": p.subscribe(version, 1, [("t", 0)], [(p.USER, ("n", bad))]),
            "unsubscribe-property": p.unsubscribe(version, 1, ["t"], [(p.USER, ("n", bad))]),
            "puback-reason": p.ack(version, p.PUBACK, 1, 0, [(p.REASON_STRING, bad)]),
            "disconnect-reason": p.disconnect(version, 0, [(p.REASON_STRING, bad)]),
        }
        extra |= {"response-topic": "5:MQTT-3.3.2-13", "content-type": "5:MQTT-3.3.2-19"}
        extra |= dict.fromkeys(["publish-property-name", "publish-property-value", "subscribe-property"], "5:MQTT-1.5.7-1")
    for field, data in plain.items():
        statements = [string_statement(version, kind), (extra if version == p.V5 else older).get(field)]
        if kind == "null" and version == p.V5 and field in ("topic", "filter", "unsubscribe-filter"):
            statements.append("5:MQTT-4.7.3-2")
        name = f"{LABEL[version]}-{kind}-in-{field}"
        sequence = chapter.sequence(name, version, f"{what} in the {field}", *filter(None, statements))
        sequence.connect().send("a", data, f"{field} with {what}").refused(reason=0x81)


def good(chapter):
    for version in VERSIONS:
        statement = "5:MQTT-1.5.4-3" if version == p.V5 else "3.1.1:MQTT-1.5.3-3"
        sequence = chapter.sequence(f"{LABEL[version]}-bom-is-kept", version, "U+FEFF is a character like others", statement)
        topic = sequence.topic("\ufeffa\ufeff")
        sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", sequence.topic("a"), "no")
        sequence.publish("a", topic).receives("a", topic).alive()
    for version in VERSIONS:
        sequence = chapter.sequence(f"{LABEL[version]}-characters-beyond-16-bits", version, "four-byte characters are characters")
        topic = sequence.topic("\U0001F980/\u00fc/\u6f22")
        sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", topic).receives("a", topic).alive()
    for version in VERSIONS:
        statement = "5:MQTT-4.7.3-4" if version == p.V5 else "3.1.1:MQTT-4.7.3-4"
        sequence = chapter.sequence(f"{LABEL[version]}-no-normalization", version,
                                    "one letter composed and decomposed: two topics", statement)
        sequence.connect().subscribed(filters=[(sequence.topic("\u00e9"), 0)])
        sequence.publish("a", sequence.topic("e\u0301"), "no").publish("a", sequence.topic("\u00e9"))
        sequence.receives("a", sequence.topic("\u00e9")).alive()
    for version in [p.V311, p.V5]:
        sequence = chapter.sequence(f"{LABEL[version]}-password-is-binary", version, "a password may be any bytes")
        sequence.connect(user="guest", password=b"guest")
        sequence.alive()


def fixed_header():
    chapter = Chapter("fixed-header", "Fixed header, types, lengths (2.1, 2.2 of 3.1.1; 2.1, 1.5.5 of 5)")
    flags(chapter)
    types(chapter)
    lengths(chapter)
    shape(chapter)
    return chapter


def bodies(version):
    """A good body for every packet that a client may send."""
    nothing = p.own(version, ())
    return {
        p.PUBACK: p.two(1), p.PUBREC: p.two(1), p.PUBREL: p.two(1), p.PUBCOMP: p.two(1),
        p.SUBSCRIBE: p.two(1) + nothing + p.string("t") + b"\0", p.UNSUBSCRIBE: p.two(1) + nothing + p.string("t"),
        p.PINGREQ: b"", p.DISCONNECT: b"",
    }


# The statement that names the flags of a packet, beside those of all.
FLAG_STATEMENTS = {
    p.V5: {p.PUBREL: "3.6.1-1", p.SUBSCRIBE: "3.8.1-1", p.UNSUBSCRIBE: "3.10.1-1", p.DISCONNECT: "3.14.1-1",
           p.AUTH: "3.15.1-1"},
    p.V311: {p.PUBREL: "3.6.1-1", p.SUBSCRIBE: "3.8.1-1", p.UNSUBSCRIBE: "3.10.1-1", p.DISCONNECT: "3.14.1-1"},
}


def flags(chapter):
    for version, prefix, general in [(p.V311, "3.1.1", ["2.2.2-1", "2.2.2-2"]), (p.V5, "5", ["2.1.3-1", "4.13.1-1"])]:
        kinds = bodies(version) | ({p.AUTH: b""} if version == p.V5 else {})
        for kind, body in kinds.items():
            for wrong in (bits for bits in range(16) if bits != p.FLAGS[kind]):
                numbers = general + [FLAG_STATEMENTS[version].get(kind)]
                statements = [f"{prefix}:MQTT-{number}" for number in numbers if number]
                name = f"{LABEL[version]}-{p.NAMES[kind].lower()}-flags-{wrong:04b}"
                sequence = chapter.sequence(name, version, f"{p.NAMES[kind]} with the flags {wrong:04b}", *statements)
                sequence.connect().send("a", p.packet(kind, body, wrong), p.NAMES[kind]).refused(reason=0x81)
        for wrong in range(1, 16):
            name = f"{LABEL[version]}-connect-flags-{wrong:04b}"
            sequence = chapter.sequence(name, version, f"CONNECT with the flags {wrong:04b}", f"{prefix}:MQTT-{general[0]}")
            data = p.connect(version, "c")
            sequence.send("a", bytes([data[0] | wrong]) + data[1:], "CONNECT").closed()
    # MQTT 3.1 has DUP for packets that a client repeats (its section 2.1).
    for kind, answer in [(p.SUBSCRIBE, "90 03 00 01 00"), (p.UNSUBSCRIBE, "b0 02 00 01")]:
        sequence = chapter.sequence(f"v31-{p.NAMES[kind].lower()}-dup", p.V31, f"MQTT 3.1 repeats {p.NAMES[kind]} with DUP")
        sequence.connect().send("a", p.packet(kind, bodies(p.V31)[kind], 0b1010), p.NAMES[kind]).expect("a", answer, "ack")
        sequence.alive()
    sequence = chapter.sequence("v31-pubrel-dup", p.V31, "MQTT 3.1 repeats PUBREL with DUP")
    topic = sequence.topic()
    sequence.connect().send("a", p.publish(p.V31, topic, "m", 2, 9), "PUBLISH").expect("a", "50 02 00 09", "PUBREC")
    sequence.send("a", p.packet(p.PUBREL, p.two(9), 0b1010), "PUBREL").expect("a", "70 02 00 09", "PUBCOMP").alive()


def types(chapter):
    server_only = [p.CONNACK, p.SUBACK, p.UNSUBACK, p.PINGRESP]
    for version in VERSIONS:
        for kind in server_only:
            for shape, body in [("empty", b""), ("whole", p.two(1) + b"\0")]:
                name = f"{LABEL[version]}-{p.NAMES[kind].lower()}-from-client-{shape}"
                statements = ["5:MQTT-4.13.1-1"] if version == p.V5 else ["3.1.1:MQTT-4.8.0-1"]
                sequence = chapter.sequence(name, version, f"{p.NAMES[kind]} is the server's", *statements)
                sequence.connect().send("a", p.packet(kind, body), p.NAMES[kind]).refused(reason=0x82)
        sequence = chapter.sequence(f"{LABEL[version]}-type-0", version, "type 0 is reserved")
        sequence.connect().send("a", b"\0\0", "reserved type").refused(reason=0x81)
    for version in [p.V31, p.V311]:
        sequence = chapter.sequence(f"{LABEL[version]}-type-15", version, "type 15 is reserved before version 5")
        sequence.connect().send("a", b"\xf0\0", "reserved type").closed()
    for kind in range(16):
        if kind == p.CONNECT:
            continue
        sequence = chapter.sequence(f"first-packet-{p.NAMES[kind].lower()}", p.V5, f"{p.NAMES[kind]} before CONNECT",
                                    "3.1.1:MQTT-3.1.0-1", "5:MQTT-3.1.0-1", "5:MQTT-3.14.0-1", "5:MQTT-3.2.0-1",
                                    "3.1.1:MQTT-3.2.0-1")
        body = {p.PUBLISH: p.string("t") + b"\0"}.get(kind, p.two(1))
        sequence.send("a", bytes([kind << 4 | p.FLAGS.get(kind, 0)]) + p.variable(len(body)) + body, p.NAMES[kind]).closed()


def lengths(chapter):
    for version in VERSIONS:
        sequence = chapter.sequence(f"{LABEL[version]}-length-of-5-bytes", version, "a length has at most four bytes (MQ-1)")
        sequence.connect().send("a", b"\xc0\x80\x80\x80\x80\x01", "PINGREQ").refused(reason=0x81)
        sequence = chapter.sequence(f"{LABEL[version]}-length-in-pieces", version, "a packet comes byte for byte")
        sequence.connect()
        topic = sequence.topic()
        data = p.subscribe(version, 1, [(topic, 0)])
        for index, byte in enumerate(data):
            sequence.send("a", bytes([byte]), f"byte {index}")
        answer = p.packet(p.SUBACK, p.two(1) + p.own(version, ()) + b"\0")
        sequence.expect("a", answer, "SUBACK").alive()
    for count, kind, name in [(2, p.PINGREQ, "pingreq"), (3, p.PINGREQ, "pingreq"), (4, p.PINGREQ, "pingreq")]:
        sequence = chapter.sequence(f"v5-{name}-length-0-in-{count}-bytes", p.V5, "a length has as few bytes as possible",
                                    "5:MQTT-1.5.5-1")
        sequence.connect().send("a", bytes([kind << 4]) + b"\x80" * (count - 1) + b"\0", "PINGREQ").refused(reason=0x81)
    for count in [2, 3, 4]:
        sequence = chapter.sequence(f"v5-property-length-0-in-{count}-bytes", p.V5,
                                    "a property length has as few bytes as possible", "5:MQTT-1.5.5-1")
        body = p.string(sequence.topic()) + b"\x80" * (count - 1) + b"\0m"
        sequence.connect().send("a", p.packet(p.PUBLISH, body, 0), "PUBLISH").refused(reason=0x81)
        sequence = chapter.sequence(f"v5-subscription-identifier-in-{count}-bytes", p.V5,
                                    "an identifier has as few bytes as possible", "5:MQTT-1.5.5-1")
        section = b"\x0b\x81" + b"\x80" * (count - 2) + b"\0"
        data = p.subscribe(p.V5, 1, [("t", 0)], section)
        sequence.connect().send("a", data, "SUBSCRIBE").refused(reason=0x81)
    sequence = chapter.sequence("v5-subscription-identifier-in-5-bytes", p.V5, "an identifier has at most four bytes")
    data = p.subscribe(p.V5, 1, [("t", 0)], b"\x0b\x80\x80\x80\x80\x01")
    sequence.connect().send("a", data, "SUBSCRIBE").refused(reason=0x81)
    for version in VERSIONS:
        for size in [126, 127, 128, 16_383, 16_384, 40_000]:
            sequence = chapter.sequence(f"{LABEL[version]}-remaining-length-{size}", version, f"{size} bytes after the length")
            topic = sequence.topic()
            payload = b"x" * (size - 2 - len(topic) - len(p.own(version, ())))
            sequence.connect().subscribed(filters=[(topic, 0)])
            sequence.publish("a", topic, payload).receives("a", topic, payload).alive()


def shape(chapter):
    """Packets that are too short or too long for what they say."""
    for version in VERSIONS:
        nothing = p.own(version, ())
        filters = p.two(1) + nothing
        cut = {
            "publish-empty": (p.PUBLISH, b"", 0, []),
            "publish-half-a-length": (p.PUBLISH, b"\0", 0, []),
            "publish-topic-beyond-the-end": (p.PUBLISH, b"\0\x09abc", 0, []),
            "publish-without-identifier": (p.PUBLISH, p.string("t"), 2, ["MQ-8"]),
            "publish-half-an-identifier": (p.PUBLISH, p.string("t") + b"\0", 4, ["MQ-8"]),
            "puback-empty": (p.PUBACK, b"", None, []), "puback-half": (p.PUBACK, b"\0", None, []),
            "pubrec-empty": (p.PUBREC, b"", None, []), "pubrel-empty": (p.PUBREL, b"", None, []),
            "pubrel-half": (p.PUBREL, b"\0", None, []), "pubcomp-empty": (p.PUBCOMP, b"", None, []),
            "subscribe-empty": (p.SUBSCRIBE, b"", None, []), "subscribe-half-an-identifier": (p.SUBSCRIBE, b"\0", None, []),
            "subscribe-filter-without-options": (p.SUBSCRIBE, filters + p.string("t"), None, []),
            "subscribe-filter-beyond-the-end": (p.SUBSCRIBE, filters + b"\0\x09t\0", None, []),
            "unsubscribe-empty": (p.UNSUBSCRIBE, b"", None, []),
            "unsubscribe-filter-beyond-the-end": (p.UNSUBSCRIBE, filters + b"\0\x09t", None, []),
            "pingreq-with-a-body": (p.PINGREQ, b"x", None, []),
        }
        if version != p.V5:
            cut |= {
                "puback-too-long": (p.PUBACK, p.two(1) + b"\0", None, []),
                "pubrec-too-long": (p.PUBREC, p.two(1) + b"\0", None, []),
                "pubrel-too-long": (p.PUBREL, p.two(1) + b"\0", None, []),
                "pubcomp-too-long": (p.PUBCOMP, p.two(1) + b"\0", None, []),
                "disconnect-with-a-body": (p.DISCONNECT, b"\0", None, []),
            }
        else:
            cut |= {
                "publish-without-property-length": (p.PUBLISH, p.string("t"), 0, ["5:MQTT-2.2.2-1"]),
                "subscribe-without-property-length": (p.SUBSCRIBE, p.two(1), None, ["5:MQTT-2.2.2-1"]),
                "unsubscribe-without-property-length": (p.UNSUBSCRIBE, p.two(1), None, ["5:MQTT-2.2.2-1"]),
                "publish-properties-beyond-the-end": (p.PUBLISH, p.string("t") + b"\x09\x01\0", 0, []),
                "puback-too-long": (p.PUBACK, p.two(1) + b"\0\0x", None, []),
                "pubrec-too-long": (p.PUBREC, p.two(1) + b"\0\0x", None, []),
                "pubrel-too-long": (p.PUBREL, p.two(1) + b"\0\0x", None, []),
                "pubcomp-too-long": (p.PUBCOMP, p.two(1) + b"\0\0x", None, []),
                "disconnect-too-long": (p.DISCONNECT, b"\0\0x", None, []),
            }
        for name, (kind, body, bits, statements) in cut.items():
            general = "5:MQTT-4.13.1-1" if version == p.V5 else "3.1.1:MQTT-4.8.0-1"
            cited = [one for one in statements if ":" in one]
            sequence = chapter.sequence(f"{LABEL[version]}-{name}", version, name.replace("-", " "), general, *cited)
            sequence.connect().send("a", p.packet(kind, body, bits), p.NAMES[kind]).refused(reason=0x81)


def identifiers():
    chapter = Chapter("packet-identifiers", "Packet identifiers (2.3.1 of 3.1.1, 2.2.1 of 5)")
    for version in VERSIONS:
        number = "5:MQTT-2.2.1-3" if version == p.V5 else "3.1.1:MQTT-2.3.1-1"
        zero = {
            "publish-qos-1": p.publish(version, "t", "m", 1, 0), "publish-qos-2": p.publish(version, "t", "m", 2, 0),
            "subscribe": p.subscribe(version, 0, [("t", 0)]), "unsubscribe": p.unsubscribe(version, 0, ["t"]),
            "puback": p.ack(version, p.PUBACK, 0), "pubrec": p.ack(version, p.PUBREC, 0),
            "pubrel": p.ack(version, p.PUBREL, 0), "pubcomp": p.ack(version, p.PUBCOMP, 0),
        }
        for name, data in zero.items():
            sequence = chapter.sequence(f"{LABEL[version]}-{name}-identifier-0", version, f"{name} with identifier 0", number)
            sequence.connect().send("a", data, name).refused(reason=0x82)
        five = version == p.V5
        for identifier in [1, 255, 256, 0x7fff, 0xffff]:
            statements = ["5:MQTT-2.2.1-5", "5:MQTT-4.3.2-4", "5:MQTT-3.3.4-1"] if five else [
                "3.1.1:MQTT-2.3.1-6", "3.1.1:MQTT-4.3.2-2", "3.1.1:MQTT-3.3.4-1"]
            sequence = chapter.sequence(f"{LABEL[version]}-puback-{identifier}", version, "PUBACK has the PUBLISH's identifier",
                                        *statements)
            sequence.connect().publish("a", sequence.topic(), qos=1, identifier=identifier).alive()
            statements = ["5:MQTT-2.2.1-5", "5:MQTT-4.3.3-8", "5:MQTT-4.3.3-11"] if five else [
                "3.1.1:MQTT-2.3.1-6", "3.1.1:MQTT-4.3.3-2"]
            sequence = chapter.sequence(f"{LABEL[version]}-pubrec-pubcomp-{identifier}", version,
                                        "PUBREC and PUBCOMP have the PUBLISH's identifier", *statements)
            sequence.connect().publish("a", sequence.topic(), qos=2, identifier=identifier).alive()
            statements = ["5:MQTT-2.2.1-6", "5:MQTT-3.8.4-2", "5:MQTT-3.10.4-5"] if five else [
                "3.1.1:MQTT-2.3.1-7", "3.1.1:MQTT-3.8.4-2", "3.1.1:MQTT-3.10.4-4"]
            sequence = chapter.sequence(f"{LABEL[version]}-suback-unsuback-{identifier}", version,
                                        "SUBACK and UNSUBACK have the identifier they answer", *statements)
            topic = sequence.topic()
            sequence.connect().subscribed(filters=[(topic, 1)], identifier=identifier)
            sequence.send("a", p.unsubscribe(version, identifier, [topic]), "UNSUBSCRIBE")
            body = p.two(identifier) + (b"\0\0" if five else b"")
            sequence.expect("a", p.packet(p.UNSUBACK, body), "UNSUBACK").alive()
        statement = "5:MQTT-2.2.1-2" if five else "3.1.1:MQTT-2.3.1-5"
        sequence = chapter.sequence(f"{LABEL[version]}-qos-0-has-no-identifier", version, "QoS 0 has no identifier", statement)
        topic = sequence.topic()
        sequence.connect().subscribed(filters=[(topic, 2)]).publish("a", topic, b"\x00\x01").receives("a", topic, b"\x00\x01")
        sequence.alive()
        statement = "5:MQTT-2.2.1-4" if five else "3.1.1:MQTT-2.3.1-4"
        sequence = chapter.sequence(f"{LABEL[version]}-server-assigns-free-identifiers", version,
                                    "three messages on their way have three identifiers", statement)
        topic = sequence.topic()
        sequence.connect().subscribed(filters=[(topic, 1)])
        for identifier, payload in enumerate(["1", "2", "3"], 1):
            sequence.publish("a", topic, payload, qos=1, identifier=identifier) if False else None
        sequence.connect("b")
        for identifier, payload in enumerate(["1", "2", "3"], 1):
            sequence.publish("b", topic, payload, qos=1, identifier=identifier)
        sequence.steps.append({"on": "a", "distinct_identifiers": 3})
        sequence.alive()
    return chapter


# A value of each type that no rule is against.
GOOD = {p.BYTE: 1, p.TWO: 1, p.FOUR: 1000, p.VARIABLE: 7, p.TEXT: "x", p.BINARY: b"\x00\xff", p.PAIR: ("n", "v")}


def value(identifier):
    return GOOD[p.TYPES[identifier]]


def properties():
    chapter = Chapter("properties", "Every property in every packet of a client (2.2.2.2 of 5)")
    for identifier, name, _, packets in p.PROPERTIES:
        slug = name.replace(" ", "-").lower()
        for where in ["CONNECT", "will", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "UNSUBSCRIBE",
                      "DISCONNECT", "AUTH"]:
            one(chapter, identifier, name, slug, where, where in packets)
            if where in packets and identifier != p.USER:
                twice(chapter, identifier, name, slug, where)
    values(chapter)
    unknown(chapter)
    return chapter


def with_properties(sequence, where, properties):
    """A packet that has these properties, and is good but for them."""
    if where == "CONNECT":
        return p.connect(p.V5, sequence.client(), properties=properties)
    if where == "will":
        return p.connect(p.V5, sequence.client(), will=(sequence.topic(), "w", 0, False, properties))
    if where == "PUBLISH":
        return p.publish(p.V5, "properties/t", "m", properties=properties)
    if where == "SUBSCRIBE":
        return p.subscribe(p.V5, 1, [("properties/s", 0)], properties)
    if where == "UNSUBSCRIBE":
        return p.unsubscribe(p.V5, 1, ["properties/s"], properties)
    if where == "DISCONNECT":
        return p.disconnect(p.V5, 0, properties)
    if where == "AUTH":
        return p.auth(0x18, properties)
    return p.ack(p.V5, p.NAMES.index(where), 77, 0, properties)


def one(chapter, identifier, name, slug, where, allowed):
    word = "in" if allowed else "not-in"
    about = f"{name} {'may' if allowed else 'may not'} be in {where}"
    sequence = chapter.sequence(f"{slug}-{word}-{where.lower()}", p.V5, about)
    data = with_properties(sequence, where, [(identifier, value(identifier))])
    if where in ("CONNECT", "will"):
        sequence.send("a", data, f"CONNECT with {name}")
        if identifier == p.AUTH_METHOD and allowed:
            # No such method: also a good answer to a good packet.
            sequence.statements.append("5:MQTT-4.12.0-1")
            return sequence.connect_refused(reason=0x8C)
        if identifier == p.AUTH_DATA and allowed:
            # Section 3.1.2.11.10: data without a method.
            return sequence.connect_refused(reason=0x82)
        return sequence.expect("a", "20 .. 00 00 *", "CONNACK").alive() if allowed else sequence.connect_refused(reason=0x81)
    sequence.connect().send("a", data, f"{where} with {name}")
    if where == "AUTH":
        sequence.statements.append("5:MQTT-4.12.0-7")
        return sequence.refused(reason=0x82)
    if identifier == p.SUBSCRIPTION_ID and where == "PUBLISH":
        sequence.statements.append("5:MQTT-3.3.4-6")
        return sequence.refused(reason=0x82)
    if not allowed:
        return sequence.refused(reason=0x81)
    if identifier == p.ALIAS:
        return sequence.alive()
    answers = {"SUBSCRIBE": "90 04 00 01 00 00", "UNSUBSCRIBE": "b0 04 00 01 00 11", "PUBREC": "62 03 00 4d 92 *",
               "PUBREL": "70 .. 00 4d 92 *"}
    if where == "DISCONNECT":
        if identifier == p.SESSION_EXPIRY:
            # Section 3.14.2.2.2: it was 0 in CONNECT.
            return sequence.refused(reason=0x82)
        return sequence.closed()
    if where in answers:
        sequence.expect("a", answers[where], "its answer")
    return sequence.alive()


def twice(chapter, identifier, name, slug, where):
    sequence = chapter.sequence(f"{slug}-twice-in-{where.lower()}", p.V5, f"{name} twice in {where}")
    data = with_properties(sequence, where, [(identifier, value(identifier))] * 2)
    if where in ("CONNECT", "will"):
        return sequence.send("a", data, "CONNECT").connect_refused(reason=0x82)
    return sequence.connect().send("a", data, where).refused(reason=0x82)


# Values that the property's own section refuses: identifier, value, where, reason, name, statements.
WRONG = [
    (p.PAYLOAD_FORMAT, 2, "PUBLISH", 0x82, "payload-format-2", []),
    (p.PAYLOAD_FORMAT, 255, "will", 0x82, "payload-format-255", []),
    (p.PROBLEM_INFORMATION, 2, "CONNECT", 0x82, "problem-information-2", []),
    (p.REQUEST_RESPONSE, 2, "CONNECT", 0x82, "response-information-2", []),
    (p.RECEIVE_MAXIMUM, 0, "CONNECT", 0x82, "receive-maximum-0", []),
    (p.MAXIMUM_PACKET, 0, "CONNECT", 0x82, "maximum-packet-size-0", []),
    (p.SUBSCRIPTION_ID, 0, "SUBSCRIBE", 0x82, "subscription-identifier-0", []),
    (p.ALIAS, 0, "PUBLISH", 0x94, "topic-alias-0", ["5:MQTT-3.3.2-8"]),
    (p.ALIAS, 0xFFFF, "PUBLISH", 0x94, "topic-alias-beyond-the-maximum", ["5:MQTT-3.3.2-9", "5:MQTT-3.2.2-17"]),
    (p.RESPONSE_TOPIC, "a/+", "PUBLISH", 0x82, "response-topic-with-plus", ["5:MQTT-3.3.2-14"]),
    (p.RESPONSE_TOPIC, "a/#", "PUBLISH", 0x82, "response-topic-with-hash", ["5:MQTT-3.3.2-14"]),
    (p.RESPONSE_TOPIC, "a/#", "will", 0x82, "response-topic-with-hash", ["5:MQTT-3.3.2-14"]),
]
# Values at the ends of what is allowed.
RIGHT = [
    (p.PAYLOAD_FORMAT, 0, "PUBLISH", "payload-format-0"), (p.PAYLOAD_FORMAT, 1, "PUBLISH", "payload-format-1"),
    (p.MESSAGE_EXPIRY, 0xFFFFFFFF, "PUBLISH", "message-expiry-largest"),
    (p.CONTENT_TYPE, "", "PUBLISH", "content-type-empty"), (p.CORRELATION, b"", "PUBLISH", "correlation-data-empty"),
    (p.USER, ("", ""), "PUBLISH", "user-property-empty"),
    (p.SUBSCRIPTION_ID, 1, "SUBSCRIBE", "subscription-identifier-1"),
    (p.SUBSCRIPTION_ID, 268_435_455, "SUBSCRIBE", "subscription-identifier-largest"),
    (p.SESSION_EXPIRY, 0, "CONNECT", "session-expiry-0"), (p.SESSION_EXPIRY, 0xFFFFFFFF, "CONNECT", "session-expiry-largest"),
    (p.RECEIVE_MAXIMUM, 1, "CONNECT", "receive-maximum-1"), (p.RECEIVE_MAXIMUM, 65535, "CONNECT", "receive-maximum-largest"),
    (p.MAXIMUM_PACKET, 0xFFFFFFFF, "CONNECT", "maximum-packet-size-largest"),
    (p.ALIAS_MAXIMUM, 0, "CONNECT", "topic-alias-maximum-0"), (p.ALIAS_MAXIMUM, 65535, "CONNECT", "topic-alias-maximum-largest"),
    (p.PROBLEM_INFORMATION, 0, "CONNECT", "problem-information-0"), (p.REQUEST_RESPONSE, 0, "CONNECT", "response-information-0"),
    (p.WILL_DELAY, 0, "will", "will-delay-0"), (p.WILL_DELAY, 0xFFFFFFFF, "will", "will-delay-largest"),
]


def values(chapter):
    for identifier, wrong, where, reason, name, statements in WRONG:
        sequence = chapter.sequence(f"{name}-in-{where.lower()}", p.V5, f"{name} in {where}", *statements)
        data = with_properties(sequence, where, [(identifier, wrong)])
        if where in ("CONNECT", "will"):
            sequence.send("a", data, "CONNECT").connect_refused(reason=reason)
        else:
            sequence.connect().send("a", data, where).refused(reason=reason)
    for identifier, right, where, name in RIGHT:
        sequence = chapter.sequence(f"{name}-in-{where.lower()}", p.V5, f"{name} in {where}")
        data = with_properties(sequence, where, [(identifier, right)])
        if where in ("CONNECT", "will"):
            # An end of this session by DISCONNECT leaves nothing behind.
            sequence.send("a", data, "CONNECT").expect("a", "20 .. 0. 00 *".replace("0.", ".."), "CONNACK").alive()
            sequence.send("a", p.disconnect(p.V5), "DISCONNECT").closed()
        else:
            sequence.connect().send("a", data, where)
            if where == "SUBSCRIBE":
                sequence.expect("a", "90 04 00 01 00 00", "SUBACK")
            sequence.alive()


def unknown(chapter):
    for where in ["CONNECT", "will", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PUBACK", "DISCONNECT"]:
        for name, body in [("identifier-0", b"\0\0"), ("identifier-4", b"\x04\0"), ("identifier-43", b"\x2b\0"),
                           ("identifier-127", b"\x7f\0"), ("identifier-of-two-bytes", b"\x80\x01\0"),
                           ("cut-user-property", b"\x26\0\x01n"), ("identifier-without-value", b"\x1f")]:
            sequence = chapter.sequence(f"{name}-in-{where.lower()}", p.V5, f"{name} in the properties of {where}",
                                        "5:MQTT-4.13.1-1")
            data = with_properties(sequence, where, body)
            if where in ("CONNECT", "will"):
                sequence.send("a", data, "CONNECT").connect_refused(reason=0x81)
            else:
                sequence.connect().send("a", data, where).refused(reason=0x81)


def all_chapters():
    return [strings(), fixed_header(), identifiers(), properties()]
