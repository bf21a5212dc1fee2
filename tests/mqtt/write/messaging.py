"""Sections 3.3 to 3.11, 4.3 to 4.9: messages, acknowledgements, subscriptions, retained messages, flow control."""

import packets as p
from connecting import expiring, ids
from format import LABEL, VERSIONS
from sequences import Chapter

FIVE = p.V5


def publishing():
    chapter = Chapter("publish", "PUBLISH and its acknowledgements (3.3 to 3.7, 4.3)")
    for version in VERSIONS:
        delivery(chapter, version)
        names(chapter, version)
        exactly_once(chapter, version)
        acknowledgements(chapter, version)
    reasons(chapter)
    forwarding(chapter)
    return chapter


def delivery(chapter, version):
    label = LABEL[version]
    for sent in [0, 1, 2]:
        for wanted in [0, 1, 2]:
            numbers = ids(version, ["3.8.4-6", "3.3.4-1"], ["3.8.4-8", "3.3.4-1"])
            sequence = chapter.sequence(f"{label}-qos-{sent}-to-{wanted}", version,
                                        f"QoS {sent} for a subscription with QoS {wanted}", *numbers)
            topic = sequence.topic()
            sequence.connect("b").subscribed("b", [(topic, wanted)]).connect().publish("a", topic, "m", sent)
            sequence.receives("b", topic, "m", min(sent, wanted)).alive("b")
    for payload in [b"", b"\x00", bytes(range(256)), b"\xff" * 300]:
        sequence = chapter.sequence(f"{label}-payload-of-{len(payload)}", version, "a payload is any bytes")
        topic = sequence.topic()
        sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", topic, payload).receives("a", topic, payload).alive()
    sequence = chapter.sequence(f"{label}-qos-3", version, "QoS 3 is reserved", *ids(version, ["3.3.1-4"], ["3.3.1-4"]))
    sequence.connect().send("a", p.packet(p.PUBLISH, p.string("t") + p.two(1) + p.own(version, ()), 6), "PUBLISH")
    sequence.refused(reason=0x81)
    sequence = chapter.sequence(f"{label}-dup-with-qos-0", version, "DUP is for QoS 1 and 2",
                                *ids(version, ["3.3.1-2"], ["3.3.1-2", "4.3.1-1"]))
    sequence.connect().send("a", p.publish(version, "t", "m", dup=True), "PUBLISH").refused(reason=0x81)
    for qos in [1, 2]:
        sequence = chapter.sequence(f"{label}-dup-is-not-passed-on-{qos}", version, "DUP is the sender's alone",
                                    *ids(version, ["3.3.1-3", "4.3.2-1" if qos == 1 else "4.3.3-1"],
                                         ["3.3.1-3", "4.3.2-2" if qos == 1 else "4.3.3-2"]))
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 2)]).connect().publish("a", topic, "m", qos, 7, dup=True)
        sequence.receives("b", topic, "m", qos).alive("b")
    sequence = chapter.sequence(f"{label}-order", version, "messages come in their order",
                                *ids(version, ["4.6.0-5", "4.6.0-6"], ["4.6.0-5", "4.6.0-6"]))
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 1)]).connect()
    for number in range(1, 21):
        sequence.publish("a", topic, f"m{number}", 1, number)
    for number in range(1, 21):
        sequence.receives("b", topic, f"m{number}", 1)
    sequence.alive("b")
    sequence = chapter.sequence(f"{label}-acknowledged-in-order", version, "PUBACK and PUBREC keep the order",
                                *ids(version, ["4.6.0-2", "4.6.0-3"], ["4.6.0-2", "4.6.0-3"]))
    topic = sequence.topic()
    data = b"".join(p.publish(version, topic, "m", 1 + number % 2, number) for number in range(1, 9))
    sequence.connect().send("a", data, "eight PUBLISHes, QoS 1 and 2 in turn")
    for number in range(1, 9):
        kind = p.PUBREC if number % 2 else p.PUBACK
        plain = p.ack(version, kind, number)
        sequence.expect("a", plain if version != FIVE else f"{plain[0]:02x} .. 00 {number:02x} *", p.NAMES[kind])
    sequence.alive()
    sequence = chapter.sequence(f"{label}-to-oneself", version, "a client may be its own reader")
    topic = sequence.topic()
    sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", topic).receives("a", topic).alive()


def names(chapter, version):
    label = LABEL[version]
    for name in ["a/+", "+", "#", "a/#", "a+b", "a#"]:
        slug = name.replace("/", "-").replace("+", "plus").replace("#", "hash")
        sequence = chapter.sequence(f"{label}-topic-{slug}", version, "no wildcards in topic names",
                                    *ids(version, ["3.3.2-2", "4.7.1-1"], ["3.3.2-2", "4.7.0-1"]))
        sequence.connect().send("a", p.publish(version, name), "PUBLISH").refused(reason=0x90)
    sequence = chapter.sequence(f"{label}-topic-empty", version, "a topic name has a character",
                                *ids(version, ["4.7.3-1"], ["4.7.3-1"]))
    sequence.connect().send("a", p.publish(version, ""), "PUBLISH").refused(reason=0x82)
    for name in ["/", "//", "/a", "a/", "a b", "A", "a.b", "*", "a/*/b", "$", "\u0160koda"]:
        if name == "$":
            continue
        sequence = chapter.sequence(f"{label}-topic-good-{name.encode().hex()}", version, f"the topic name …/{name}",
                                    *ids(version, ["3.3.2-3", "4.7.3-4"], ["3.3.2-3", "4.7.3-4"]))
        topic = sequence.topic(name)
        sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", topic).receives("a", topic)
        sequence.publish("a", topic + "x").publish("a", topic.upper() + "y").alive()
    sequence = chapter.sequence(f"{label}-topic-longest", version, "a topic name of 65,535 bytes",
                                *ids(version, ["4.7.3-3"], ["4.7.3-3"]))
    topic = (sequence.topic("x" * 65_535))[:65_535]
    sequence.connect().subscribed(filters=[(topic, 0)]).publish("a", topic).receives("a", topic).alive()


def exactly_once(chapter, version):
    label = LABEL[version]
    numbers = ids(version, ["4.3.3-2"], ["4.3.3-10"])
    for dup in [False, True]:
        sequence = chapter.sequence(f"{label}-qos-2-again-before-pubrel-dup-{dup}".lower(), version,
                                    "a QoS 2 message that comes again is answered, not published again", *numbers)
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect()
        pubrec = f"50 .. 00 05 *" if version == FIVE else "50 02 00 05"
        sequence.send("a", p.publish(version, topic, "once", 2, 5), "PUBLISH").expect("a", pubrec, "PUBREC")
        sequence.send("a", p.publish(version, topic, "once", 2, 5, dup=dup), "PUBLISH again").expect("a", pubrec, "PUBREC")
        sequence.send("a", p.ack(version, p.PUBREL, 5), "PUBREL").expect("a", p.ack(version, p.PUBCOMP, 5), "PUBCOMP")
        sequence.publish("a", topic, "mark").receives("b", topic, "once").receives("b", topic, "mark").alive("b")
    sequence = chapter.sequence(f"{label}-qos-2-identifier-is-free-after-pubcomp", version,
                                "after PUBCOMP the identifier means a new message", *ids(version, ["4.3.3-2"], ["4.3.3-12"]))
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect().publish("a", topic, "1", 2, 5).publish("a", topic, "2", 2, 5)
    sequence.receives("b", topic, "1").receives("b", topic, "2").alive("b")
    sequence = chapter.sequence(f"{label}-qos-1-identifier-is-free-after-puback", version,
                                "after PUBACK the identifier means a new message", *ids(version, ["4.3.2-2"], ["4.3.2-5"]))
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect().publish("a", topic, "1", 1, 5)
    sequence.publish("a", topic, "2", 1, 5, dup=True).receives("b", topic, "1").receives("b", topic, "2").alive("b")
    sequence = chapter.sequence(f"{label}-pubrel-unknown", version, "PUBREL of what nobody knows is answered (MQ-4)",
                                *ids(version, ["4.3.3-2"], ["4.3.3-11"]))
    sequence.connect().send("a", p.ack(version, p.PUBREL, 999), "PUBREL")
    sequence.expect("a", p.ack(version, p.PUBCOMP, 999, 0x92), "PUBCOMP").alive()
    sequence = chapter.sequence(f"{label}-pubrel-twice", version, "PUBREL that comes again is answered again",
                                *ids(version, ["4.3.3-2"], ["4.3.3-11"]))
    sequence.connect().publish("a", sequence.topic(), "m", 2, 5).send("a", p.ack(version, p.PUBREL, 5), "PUBREL")
    sequence.expect("a", p.ack(version, p.PUBCOMP, 5, 0x92), "PUBCOMP").alive()
    sequence = chapter.sequence(f"{label}-qos-2-goes-on-in-the-next-connection", version,
                                "PUBREL may come in the next connection", *ids(version, ["4.3.3-2", "4.4.0-1"], ["4.3.3-10", "4.1.0-1"]))
    topic, stay = sequence.topic(), expiring(version)
    pubrec = f"50 .. 00 05 *" if version == FIVE else "50 02 00 05"
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect(**stay)
    sequence.send("a", p.publish(version, topic, "once", 2, 5), "PUBLISH").expect("a", pubrec, "PUBREC").drop()
    sequence.connect(present=True, **stay).send("a", p.publish(version, topic, "once", 2, 5, dup=True), "PUBLISH again")
    sequence.expect("a", pubrec, "PUBREC").send("a", p.ack(version, p.PUBREL, 5), "PUBREL")
    sequence.expect("a", p.ack(version, p.PUBCOMP, 5), "PUBCOMP").publish("a", topic, "mark")
    sequence.receives("b", topic, "once").receives("b", topic, "mark").alive("b")


def acknowledgements(chapter, version):
    """Acknowledgements of what was not sent, or not so."""
    label = LABEL[version]
    for kind in [p.PUBACK, p.PUBCOMP]:
        sequence = chapter.sequence(f"{label}-{p.NAMES[kind].lower()}-unknown", version, "an acknowledgement of nothing is nothing")
        sequence.connect().send("a", p.ack(version, kind, 99), p.NAMES[kind]).alive()
    sequence = chapter.sequence(f"{label}-pubrec-unknown", version, "PUBREC of nothing is answered, and over")
    sequence.connect().send("a", p.ack(version, p.PUBREC, 99), "PUBREC")
    sequence.expect("a", p.ack(version, p.PUBREL, 99, 0x92), "PUBREL").alive()
    sequence = chapter.sequence(f"{label}-puback-for-qos-2", version, "PUBACK does not answer QoS 2")
    topic = sequence.topic()
    sequence.connect().subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", 2, 9)
    sequence.comes("a", topic, "m", 2).acknowledges("a", p.PUBACK, 1)
    sequence.refused(reason=0x82)
    sequence = chapter.sequence(f"{label}-pubrec-for-qos-1", version, "PUBREC does not answer QoS 1")
    topic = sequence.topic()
    sequence.connect().subscribed(filters=[(topic, 1)]).connect("b").publish("b", topic, "m", 1, 9)
    sequence.comes("a", topic, "m", 1).acknowledges("a", p.PUBREC, 1)
    sequence.refused(reason=0x82)
    sequence = chapter.sequence(f"{label}-pubrec-twice", version, "PUBREC that comes again is answered again (MQ-4)",
                                *ids(version, ["4.3.3-1"], ["4.3.3-4"]))
    topic = sequence.topic()
    sequence.connect().subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", 2, 9)
    sequence.comes("a", topic, "m", 2)
    for _ in range(2):
        sequence.acknowledges("a", p.PUBREC, 1).expects_of("a", p.PUBREL, 1)
    sequence.acknowledges("a", p.PUBCOMP, 1).alive()


# Tables 3.4 to 3.7: what a client may say in an acknowledgement.
RECEIPT = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
RELEASE = [0x00, 0x92]


def reasons(chapter):
    for kind, good, number in [(p.PUBACK, RECEIPT, "3.4.2-1"), (p.PUBREC, RECEIPT, "3.5.2-1"), (p.PUBREL, RELEASE, "3.6.2-1"),
                               (p.PUBCOMP, RELEASE, "3.7.2-1")]:
        name = p.NAMES[kind]
        for reason in good:
            sequence = chapter.sequence(f"v5-{name.lower()}-{reason:02x}", FIVE, f"{name} may say 0x{reason:02X}",
                                        f"5:MQTT-{number}")
            sequence.connect().send("a", p.ack(FIVE, kind, 99, reason, []), name)
            if kind == p.PUBREL:
                sequence.expect("a", p.ack(FIVE, p.PUBCOMP, 99, 0x92), "PUBCOMP")
            if kind == p.PUBREC and reason < 0x80:
                sequence.expect("a", p.ack(FIVE, p.PUBREL, 99, 0x92), "PUBREL")
            sequence.alive()
        for reason in [0x01, 0x11, 0x7F, 0x81, 0x82, 0x8E, 0x92, 0x98, 0xFF]:
            if reason in good:
                continue
            sequence = chapter.sequence(f"v5-{name.lower()}-{reason:02x}", FIVE, f"{name} has no 0x{reason:02X}",
                                        f"5:MQTT-{number}")
            sequence.connect().send("a", p.ack(FIVE, kind, 99, reason), name).refused(reason=0x82)
    for kind, qos in [(p.PUBACK, 1), (p.PUBREC, 2)]:
        sequence = chapter.sequence(f"v5-refused-by-the-reader-{p.NAMES[kind].lower()}", FIVE,
                                    "what a reader refuses does not come again", "5:MQTT-4.4.0-2", "5:MQTT-4.3.3-9")
        topic, stay = sequence.topic(), expiring(FIVE)
        sequence.connect(**stay).subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", qos, 9)
        sequence.comes("a", topic, "m", qos).acknowledges("a", kind, 1, 0x80).alive().drop()
        sequence.connect(present=True, **stay).alive()
    for qos, kind in [(1, p.PUBACK), (2, p.PUBREC)]:
        sequence = chapter.sequence(f"v5-nobody-subscribes-{qos}", FIVE, "0x10 says that nobody subscribes", "5:MQTT-3.3.4-1")
        sequence.connect().send("a", p.publish(FIVE, sequence.topic(), "m", qos, 3), "PUBLISH")
        sequence.expect("a", p.ack(FIVE, kind, 3, 0x10), "0x10").alive()


def forwarding(chapter):
    """Properties of a message on their way to its readers."""
    each = [
        ("payload-format", [(p.PAYLOAD_FORMAT, 1)], "3.3.2-4"), ("payload-format-0", [(p.PAYLOAD_FORMAT, 0)], "3.3.2-4"),
        ("response-topic", [(p.RESPONSE_TOPIC, "answers/here")], "3.3.2-15"),
        ("correlation-data", [(p.CORRELATION, b"\x00\xff\x01")], "3.3.2-16"),
        ("content-type", [(p.CONTENT_TYPE, "application/json")], "3.3.2-20"),
        ("user-properties", [(p.USER, ("b", "1")), (p.USER, ("a", "2")), (p.USER, ("b", "3")), (p.USER, ("", ""))], "3.3.2-18"),
        ("one-user-property", [(p.USER, ("name", "value"))], "3.3.2-17"),
        ("all", [(p.PAYLOAD_FORMAT, 1), (p.CONTENT_TYPE, "t"), (p.RESPONSE_TOPIC, "r"), (p.CORRELATION, b"c"),
                 (p.USER, ("z", "1")), (p.USER, ("y", "2"))], "3.3.2-17"),
    ]
    for name, properties, number in each:
        for qos in [0, 1, 2]:
            sequence = chapter.sequence(f"v5-forwards-{name}-{qos}", FIVE, f"{name} reaches the readers", f"5:MQTT-{number}")
            topic = sequence.topic()
            sequence.connect("b").subscribed("b", [(topic, 2)]).connect().publish("a", topic, "m", qos, properties=properties)
            sequence.receives("b", topic, "m", qos, properties=properties).alive("b")
        sequence = chapter.sequence(f"v5-{name}-not-for-older-readers", p.V311, f"{name} is not for readers of 3.1.1")
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect(version=FIVE)
        sequence.publish("a", topic, "m", properties=properties, version=FIVE).receives("b", topic, "m").alive("b")
    sequence = chapter.sequence("v5-expiry-is-passed-on", FIVE, "the expiry reaches the readers", "5:MQTT-3.3.2-6")
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect()
    sequence.publish("a", topic, "m", properties=[(p.MESSAGE_EXPIRY, 1000)])
    sequence.receives("b", topic, "m", properties=[(p.MESSAGE_EXPIRY, 1000)]).alive("b")
    sequence = chapter.sequence("v5-expiry-counts-down", FIVE, "less by the time that it waited", "5:MQTT-3.3.2-6")
    topic, stay = sequence.topic(), expiring(FIVE)
    sequence.connect("b", **stay).subscribed("b", [(topic, 1)]).drop("b").connect()
    sequence.publish("a", topic, "m", 1, properties=[(p.MESSAGE_EXPIRY, 100)]).pause(1_100).connect("b", present=True, **stay)
    # Less than 100 s; how much less is a matter of how busy the machine is.
    sequence.receives("b", topic, "m", 1, properties=[(p.MESSAGE_EXPIRY, 99)])
    expected = sequence.steps[-2]
    words = expected["expect"].split()
    expected["expect"], expected["without"] = " ".join([*words[:-2], "..", words[-1]]), " ".join([*words[:-2], "64", words[-1]])
    sequence.alive("b")
    sequence = chapter.sequence("v5-expired-message", FIVE, "an expired message is not sent", "5:MQTT-3.3.2-5")
    topic = sequence.topic()
    sequence.connect("b", **stay).subscribed("b", [(topic, 1)]).drop("b").connect()
    sequence.publish("a", topic, "old", 1, 1, properties=[(p.MESSAGE_EXPIRY, 1)]).publish("a", topic, "new", 1, 2)
    sequence.pause(1_200).connect("b", present=True, **stay).receives("b", topic, "new", 1).alive("b")
    sequence = chapter.sequence("v5-expiry-0", FIVE, "an expiry of 0 is over at once for who is not there", "5:MQTT-3.3.2-5")
    topic = sequence.topic()
    sequence.connect("b", **stay).subscribed("b", [(topic, 1)]).drop("b").connect()
    sequence.publish("a", topic, "old", 1, 1, properties=[(p.MESSAGE_EXPIRY, 0)]).publish("a", topic, "new", 1, 2)
    sequence.connect("b", present=True, **stay).receives("b", topic, "new", 1).alive("b")
    sequence = chapter.sequence("v5-expired-between-publish-and-pubrel", FIVE, "QoS 2 goes on for an expired message",
                                "5:MQTT-4.3.3-13")
    data = p.publish(FIVE, sequence.topic(), "m", 2, 5, properties=[(p.MESSAGE_EXPIRY, 1)])
    sequence.connect().send("a", data, "PUBLISH").expect("a", "50 .. 00 05 *", "PUBREC").pause(1_200)
    sequence.send("a", p.ack(FIVE, p.PUBREL, 5), "PUBREL").expect("a", p.ack(FIVE, p.PUBCOMP, 5), "PUBCOMP").alive()
    sequence = chapter.sequence("v5-payload-is-no-utf8", FIVE, "a payload that is not what its format says")
    sequence.connect().send("a", p.publish(FIVE, "t", b"\xff", properties=[(p.PAYLOAD_FORMAT, 1)]), "PUBLISH")
    sequence.refused(reason=0x99)


def aliases():
    chapter = Chapter("topic-aliases", "Topic aliases in both directions (3.3.2.3.4)", ["mqtt.topic_alias_maximum=3"])

    def begin(name, about, *numbers):
        sequence = chapter.sequence(name, FIVE, about, *[f"5:MQTT-{number}" for number in numbers])
        return sequence, sequence.topic()

    for qos in [0, 1, 2]:
        sequence, topic = begin(f"to-the-server-{qos}", "an alias stands for the topic", "3.3.2-12")
        sequence.connect("b").subscribed("b", [(topic, 2)]).connect()
        sequence.publish("a", topic, "1", qos, 1, properties=[(p.ALIAS, 2)])
        sequence.publish("a", "", "2", qos, 2, properties=[(p.ALIAS, 2)])
        sequence.receives("b", topic, "1", qos).receives("b", topic, "2", qos).alive("b")
    sequence, topic = begin("replaced", "an alias may be given to another topic", "3.3.2-12")
    other = sequence.topic("other")
    sequence.connect("b").subscribed("b", [(topic, 0), (other, 0)]).connect()
    for name, payload in [(topic, "1"), (other, "2"), ("", "3")]:
        sequence.publish("a", name, payload, properties=[(p.ALIAS, 1)])
    sequence.receives("b", topic, "1").receives("b", other, "2").receives("b", other, "3").alive("b")
    sequence, topic = begin("unknown", "an alias that was never given")
    sequence.connect().send("a", p.publish(FIVE, "", "m", properties=[(p.ALIAS, 1)]), "PUBLISH").refused(reason=0x82)
    sequence, topic = begin("of-an-earlier-connection", "aliases end with the connection", "3.3.2-7")
    stay = expiring(FIVE)
    sequence.connect(**stay).publish("a", topic, properties=[(p.ALIAS, 1)]).drop().connect(present=True, **stay)
    sequence.send("a", p.publish(FIVE, "", "m", properties=[(p.ALIAS, 1)]), "PUBLISH").refused(reason=0x82)
    sequence, topic = begin("no-alias-no-topic", "neither topic nor alias")
    sequence.connect().send("a", p.publish(FIVE, "", "m"), "PUBLISH").refused(reason=0x82)
    sequence, topic = begin("not-passed-on", "an alias is the connection's own", "3.1.2-30")
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect().publish("a", topic, properties=[(p.ALIAS, 1)])
    sequence.receives("b", topic).alive("b")
    sequence, topic = begin("to-the-client", "a client that takes aliases gets them", "3.1.2-29", "3.3.2-11", "3.3.2-10")
    sequence.connect("b", properties=[(p.ALIAS_MAXIMUM, 1)]).subscribed("b", [(sequence.topic("#"), 1)]).connect()
    other = sequence.topic("other")
    for name in [topic, topic, other, topic]:
        sequence.publish("a", name)
    sequence.receives("b", topic, properties=[(p.ALIAS, 1)]).receives("b", "", properties=[(p.ALIAS, 1)])
    sequence.receives("b", other).receives("b", "", properties=[(p.ALIAS, 1)]).alive("b")
    sequence, topic = begin("to-the-client-at-most-the-servers", "as many as both take", "3.1.2-29")
    sequence.connect("b", properties=[(p.ALIAS_MAXIMUM, 100)]).subscribed("b", [(sequence.topic("#"), 0)]).connect()
    names = [sequence.topic(str(number)) for number in range(4)]
    for name in names + names:
        sequence.publish("a", name)
    for number, name in enumerate(names):
        sequence.receives("b", name, properties=[(p.ALIAS, number + 1)] if number < 3 else ())
    for number, name in enumerate(names):
        sequence.receives("b", "" if number < 3 else name, properties=[(p.ALIAS, number + 1)] if number < 3 else ())
    sequence.alive("b")
    sequence, topic = begin("none-to-the-client", "without a maximum there are none", "3.1.2-30")
    sequence.connect("b", properties=[(p.ALIAS_MAXIMUM, 0)]).subscribed("b", [(topic, 0)]).connect()
    sequence.publish("a", topic).publish("a", topic).receives("b", topic).receives("b", topic).alive("b")
    sequence, topic = begin("to-the-client-new-connection", "the client's aliases end with its connection", "3.3.2-7")
    stay = expiring(FIVE)
    stay["properties"] = [*stay["properties"], (p.ALIAS_MAXIMUM, 5)]
    sequence.connect("b", **stay).subscribed("b", [(topic, 0)]).connect().publish("a", topic)
    sequence.receives("b", topic, properties=[(p.ALIAS, 1)]).drop("b").connect("b", present=True, **stay).publish("a", topic)
    sequence.receives("b", topic, properties=[(p.ALIAS, 1)]).alive("b")
    return chapter


def flow():
    chapter = Chapter("flow-control", "Receive maximum and packet sizes (3.1.2.11, 4.9)", ["mqtt.receive_maximum=2"])

    def begin(name, about, *numbers, version=FIVE):
        sequence = chapter.sequence(name, version, about, *[f"5:MQTT-{number}" for number in numbers])
        return sequence, sequence.topic()

    sequence, topic = begin("client-exceeds", "a third QoS 2 message before PUBCOMP", "3.3.4-7")
    sequence.connect()
    for number in [1, 2]:
        sequence.send("a", p.publish(FIVE, topic, "m", 2, number), "PUBLISH").expect("a", f"50 .. 00 0{number} *", "PUBREC")
    sequence.send("a", p.publish(FIVE, topic, "m", 2, 3), "PUBLISH").refused(reason=0x93)
    sequence, topic = begin("client-exceeds-with-qos-1", "QoS 1 counts as well", "3.3.4-7")
    sequence.connect()
    for number in [1, 2]:
        sequence.send("a", p.publish(FIVE, topic, "m", 2, number), "PUBLISH").expect("a", f"50 .. 00 0{number} *", "PUBREC")
    sequence.send("a", p.publish(FIVE, topic, "m", 1, 3), "PUBLISH").refused(reason=0x93)
    sequence, topic = begin("client-at-the-maximum", "after PUBCOMP there is room again", "4.9.0-2")
    sequence.connect()
    for number in [1, 2]:
        sequence.send("a", p.publish(FIVE, topic, "m", 2, number), "PUBLISH").expect("a", f"50 .. 00 0{number} *", "PUBREC")
    sequence.send("a", p.ack(FIVE, p.PUBREL, 1), "PUBREL").expect("a", p.ack(FIVE, p.PUBCOMP, 1), "PUBCOMP")
    sequence.publish("a", topic, "m", 1, 3).publish("a", topic, "m", 0).alive()
    sequence, topic = begin("qos-0-is-not-counted", "QoS 0 is free", "4.9.0-3")
    sequence.connect()
    for number in [1, 2]:
        sequence.send("a", p.publish(FIVE, topic, "m", 2, number), "PUBLISH").expect("a", f"50 .. 00 0{number} *", "PUBREC")
    sequence.publish("a", topic).publish("a", topic).subscribed(filters=[(topic, 0)], identifier=9).alive()
    for maximum in [1, 2]:
        sequence, topic = begin(f"client-takes-{maximum}", "no more than the client takes", "3.3.4-9", "4.9.0-1", "4.9.0-2")
        sequence.connect(properties=[(p.RECEIVE_MAXIMUM, maximum)]).subscribed(filters=[(topic, 1)]).connect("b")
        for number in range(1, 5):
            sequence.publish("b", topic, f"m{number}", 1, number)
        for number in range(1, maximum + 1):
            sequence.comes("a", topic, f"m{number}", 1)
        sequence.alive()
        for number in range(maximum + 1, 5):
            sequence.acknowledges("a", p.PUBACK, number - maximum).comes("a", topic, f"m{number}", 1).alive()
    sequence, topic = begin("other-packets-are-not-delayed", "while the quota is 0 everything else goes on", "3.3.4-10",
                            "4.9.0-3")
    sequence.connect(properties=[(p.RECEIVE_MAXIMUM, 1)]).subscribed(filters=[(topic, 2)]).connect("b")
    sequence.publish("b", topic, "1", 1, 1).publish("b", topic, "2", 1, 2).comes("a", topic, "1", 1)
    sequence.alive().subscribed(filters=[(sequence.topic("u"), 0)], identifier=4)
    sequence.publish("a", sequence.topic("v"), "m", 2, 3).alive()
    sequence.acknowledges("a", p.PUBACK, 1).receives("a", topic, "2", 1).alive()
    sequence, topic = begin("refusal-frees-the-quota", "PUBREC 0x80 is the end of a message", "3.3.4-9")
    sequence.connect(properties=[(p.RECEIVE_MAXIMUM, 1)]).subscribed(filters=[(topic, 2)]).connect("b")
    sequence.publish("b", topic, "1", 2, 1).publish("b", topic, "2", 2, 2).comes("a", topic, "1", 2)
    sequence.acknowledges("a", p.PUBREC, 1, 0x80).receives("a", topic, "2", 2).alive()
    sequence, topic = begin("too-large-for-the-client", "a packet beyond the client's maximum is not sent", "3.1.2-27", "3.1.2-28")
    sequence.connect(properties=[(p.MAXIMUM_PACKET, 60)]).subscribed(filters=[(topic, 1)]).connect("b")
    sequence.publish("b", topic, b"x" * 60, 1, 1).publish("b", topic, "small", 1, 2).receives("a", topic, "small", 1).alive()
    for size, comes in [(60, True), (61, False)]:
        sequence, topic = begin(f"packet-of-{size}-of-60", "the size of the whole packet counts", "3.1.2-27")
        sequence.connect(properties=[(p.MAXIMUM_PACKET, 60)]).subscribed(filters=[(topic, 0)]).connect("b")
        payload = b"x" * (size - 2 - 2 - len(topic) - 1)
        sequence.publish("b", topic, payload)
        if comes:
            sequence.receives("a", topic, payload)
        sequence.publish("b", topic, "mark").receives("a", topic, "mark").alive()
    sequence, topic = begin("connack-too-large", "no CONNACK beyond the client's maximum", "3.1.2-27")
    sequence.send("a", p.connect(FIVE, "c", properties=[(p.MAXIMUM_PACKET, 8)]), "CONNECT")
    sequence.expect("a", "20 03 00 95 00", "CONNACK 0x95 without words").closed()
    sequence, topic = begin("connack-without-words", "the reason in words is left out", "3.2.2-19")
    data = p.connect(FIVE, "c", properties=[(p.MAXIMUM_PACKET, 8), (p.AUTH_METHOD, "x")])
    sequence.send("a", data, "CONNECT").expect("a", "20 03 00 8c 00", "CONNACK 0x8C").closed()
    sequence, topic = begin("no-room-at-all", "not even for five bytes", "3.1.2-27")
    sequence.send("a", p.connect(FIVE, "c", properties=[(p.MAXIMUM_PACKET, 4)]), "CONNECT").closed()
    sequence, topic = begin("disconnect-without-words", "the reason in words is left out", "3.14.2-3")
    sequence.connect(properties=[(p.MAXIMUM_PACKET, 20)]).send("a", p.packet(p.CONNACK, b"\0\0"), "CONNACK")
    sequence.expect("a", "e0 01 82", "DISCONNECT").closed()
    sequence, topic = begin("suback-too-large", "an acknowledgement that the client could not take", "3.1.2-27")
    filters = [(f"{number}", 0) for number in range(30)]
    sequence.connect(properties=[(p.MAXIMUM_PACKET, 30)]).send("a", p.subscribe(FIVE, 1, filters), "SUBSCRIBE")
    sequence.expect("a", "e0 01 95", "DISCONNECT 0x95").closed()
    for version in [p.V31, p.V311]:
        sequence, topic = begin(f"{LABEL[version]}-waits", "older clients know no receive maximum: they are slowed down", version=version)
        data = b"".join(p.publish(version, topic, "m", 1, number) for number in range(1, 21))
        sequence.connect().send("a", data, "twenty PUBLISHes")
        for number in range(1, 21):
            sequence.expect("a", p.ack(version, p.PUBACK, number), "PUBACK")
        sequence.alive()
    return chapter


def all_chapters():
    return [publishing(), aliases(), flow()]
