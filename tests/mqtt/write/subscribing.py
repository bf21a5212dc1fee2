"""Sections 3.8 to 3.11, 4.7, 4.8, and retained messages: who gets what."""

import packets as p
from connecting import expiring, ids
from format import LABEL, VERSIONS
from sequences import Chapter

FIVE = p.V5


def subscriptions():
    chapter = Chapter("subscribe", "SUBSCRIBE and UNSUBSCRIBE (3.8 to 3.11)")
    for version in VERSIONS:
        answers(chapter, version)
        overlapping(chapter, version)
        leaving(chapter, version)
    options(chapter)
    return chapter


def answers(chapter, version):
    label = LABEL[version]
    for qos in [0, 1, 2]:
        sequence = chapter.sequence(f"{label}-granted-{qos}", version, "SUBACK says the QoS",
                                    *ids(version, ["3.8.4-1", "3.8.4-2", "3.8.4-5"], ["3.8.4-1", "3.8.4-2", "3.8.4-7"]))
        sequence.connect().subscribed(filters=[(sequence.topic(), qos)], identifier=700).alive()
    for count in [1, 2, 10, 100]:
        sequence = chapter.sequence(f"{label}-{count}-filters", version, "a code for each filter, in their order",
                                    *ids(version, ["3.8.4-4", "3.8.4-5"], ["3.8.4-5", "3.8.4-6", "3.9.3-1", "3.9.3-2"]))
        filters = [(sequence.topic(str(number)), number % 3) for number in range(count)]
        sequence.connect().subscribed(filters=filters)
        sequence.publish("a", filters[-1][0]).receives("a", filters[-1][0]).alive()
    sequence = chapter.sequence(f"{label}-some-are-refused", version, "good and bad filters in one packet",
                                *ids(version, ["3.8.4-4", "3.9.3-1", "3.9.3-2"], ["3.8.4-5", "3.9.3-1", "3.8.4-7"]))
    bad = 0x8F if version == FIVE else 0x80
    deep = "+/" * 200
    filters = [(sequence.topic(), 1), (deep, 2), (sequence.topic("u"), 2), (deep, 0)]
    sequence.connect().subscribed(filters=filters, codes=[1, bad, 2, bad]).alive()
    sequence = chapter.sequence(f"{label}-no-filter", version, "SUBSCRIBE wants a filter (MQ-12)",
                                *ids(version, ["3.8.3-3"], ["3.8.3-2"]))
    sequence.connect().send("a", p.subscribe(version, 1, []), "SUBSCRIBE").refused(reason=0x82)
    sequence = chapter.sequence(f"{label}-unsubscribe-no-filter", version, "UNSUBSCRIBE wants a filter",
                                *ids(version, ["3.10.3-2"], ["3.10.3-2"]))
    sequence.connect().send("a", p.unsubscribe(version, 1, []), "UNSUBSCRIBE").refused(reason=0x82)
    wrong = [3, 0x40, 0x80, 0xC0, 0xFF] + ([0x30, 0x33] if version == FIVE else [4, 8, 0x10, 0x20])
    for bits in wrong:
        sequence = chapter.sequence(f"{label}-options-{bits:02x}", version, f"the options 0x{bits:02X} are reserved",
                                    *ids(version, ["3.8.3-4"], ["3.8.3-5"]))
        sequence.connect().send("a", p.subscribe(version, 1, [("t", bits)]), "SUBSCRIBE").refused(reason=0x81)
    sequence = chapter.sequence(f"{label}-replaced", version, "the same filter again replaces the subscription",
                                *ids(version, ["3.8.4-3"], ["3.8.4-3"]))
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 2)]).subscribed("b", [(topic, 0)], identifier=2).connect()
    sequence.publish("a", topic, "m", 2).receives("b", topic, "m", 0).alive("b")
    sequence = chapter.sequence(f"{label}-replaced-in-one-packet", version, "the last of equal filters counts",
                                *ids(version, ["3.8.4-3", "3.8.4-4"], ["3.8.4-3", "3.8.4-5"]))
    topic = sequence.topic()
    sequence.connect("b").subscribed("b", [(topic, 2), (topic, 1), (topic, 0)]).connect()
    sequence.publish("a", topic, "m", 2).receives("b", topic, "m", 0).alive("b")
    sequence = chapter.sequence(f"{label}-messages-before-suback", version, "messages may come before SUBACK, and none is lost")
    topic = sequence.topic()
    data = p.subscribe(version, 1, [(topic, 0)]) + p.publish(version, topic, "m")
    suback = p.packet(p.SUBACK, p.two(1) + p.own(version, ()) + b"\0")
    sequence.connect().send("a", data, "SUBSCRIBE, PUBLISH").expect_all("a", suback, p.publish(version, topic, "m")).alive()


def overlapping(chapter, version):
    label = LABEL[version]
    for name, filters, wanted in [
        ("exact-and-plus", [("a/b", 0), ("a/+", 2)], 2), ("plus-and-hash", [("a/+", 1), ("a/#", 0)], 1),
        ("three", [("a/b", 1), ("a/+", 0), ("#", 2)], 2), ("hash-and-plus-first", [("+/b", 1), ("#", 1)], 1),
    ]:
        sequence = chapter.sequence(f"{label}-overlapping-{name}", version, "one copy with the highest QoS",
                                    *ids(version, ["3.3.5-1"], ["3.3.4-2"]))
        sequence.connect("b").subscribed("b", [(sequence.topic(text), qos) for text, qos in filters]).connect()
        topic = sequence.topic("a/b")
        sequence.publish("a", topic, "m", 2).receives("b", topic, "m", wanted).alive("b")
    sequence = chapter.sequence(f"{label}-overlapping-one-leaves", version, "the others stay", *ids(version, ["3.10.4-1"], ["3.10.4-1"]))
    topic, wild = sequence.topic("a/b"), sequence.topic("a/+")
    sequence.connect("b").subscribed("b", [(topic, 2), (wild, 1)]).send("b", p.unsubscribe(version, 2, [topic]), "UNSUBSCRIBE")
    sequence.expect("b", p.packet(p.UNSUBACK, p.two(2) + (b"\0\0" if version == FIVE else b"")), "UNSUBACK").connect()
    sequence.publish("a", topic, "m", 2).receives("b", topic, "m", 1).alive("b")


def leaving(chapter, version):
    label, five = LABEL[version], version == FIVE

    def unsuback(identifier, *codes):
        return p.packet(p.UNSUBACK, p.two(identifier) + (b"\0" + bytes(codes) if five else b""))

    sequence = chapter.sequence(f"{label}-unsubscribe", version, "no more messages after UNSUBSCRIBE",
                                *ids(version, ["3.10.4-2", "3.10.4-4"], ["3.10.4-2", "3.10.4-4", "3.10.4-5", "3.11.3-2"]))
    topic, other = sequence.topic(), sequence.topic("other")
    sequence.connect().subscribed(filters=[(topic, 0), (other, 0)]).send("a", p.unsubscribe(version, 5, [topic]), "UNSUBSCRIBE")
    sequence.expect("a", unsuback(5, 0), "UNSUBACK").publish("a", topic, "no").publish("a", other).receives("a", other).alive()
    sequence = chapter.sequence(f"{label}-unsubscribe-unknown", version, "UNSUBACK comes for what was never subscribed",
                                *ids(version, ["3.10.4-5"], ["3.10.4-5"]))
    sequence.connect().send("a", p.unsubscribe(version, 5, [sequence.topic()]), "UNSUBSCRIBE")
    sequence.expect("a", unsuback(5, 0x11), "UNSUBACK").alive()
    sequence = chapter.sequence(f"{label}-unsubscribe-many", version, "a code for each filter, in their order",
                                *ids(version, ["3.10.4-6"], ["3.10.4-6", "3.11.3-1", "3.11.3-2"]))
    topic = sequence.topic()
    sequence.connect().subscribed(filters=[(topic, 0), (sequence.topic("+"), 1)])
    sequence.send("a", p.unsubscribe(version, 5, ["never", topic, sequence.topic("+"), topic]), "UNSUBSCRIBE")
    sequence.expect("a", unsuback(5, 0x11, 0, 0, 0x11), "UNSUBACK").publish("a", topic, "no").alive()
    sequence = chapter.sequence(f"{label}-unsubscribe-is-literal", version, "filters are compared character by character",
                                *ids(version, ["3.10.4-1"], ["3.10.4-1"]))
    wild = sequence.topic("+")
    sequence.connect().subscribed(filters=[(wild, 0)])
    sequence.send("a", p.unsubscribe(version, 5, [sequence.topic("t"), sequence.topic("#")]), "UNSUBSCRIBE")
    sequence.expect("a", unsuback(5, 0x11, 0x11), "UNSUBACK").publish("a", sequence.topic("t")).receives("a", sequence.topic("t"))
    sequence.alive()
    for qos in [1, 2]:
        sequence = chapter.sequence(f"{label}-unsubscribe-with-messages-on-their-way-{qos}", version,
                                    "what was begun is completed", *ids(version, ["3.10.4-3"], ["3.10.4-3"]))
        topic = sequence.topic()
        sequence.connect("b").connect().subscribed(filters=[(topic, 2)]).publish("b", topic, "m", qos, 4)
        sequence.comes("a", topic, "m", qos).send("a", p.unsubscribe(version, 5, [topic]), "UNSUBSCRIBE")
        sequence.expect("a", unsuback(5, 0), "UNSUBACK")
        if qos == 1:
            sequence.acknowledges("a", p.PUBACK, 1).alive()
        else:
            sequence.acknowledges("a", p.PUBREC, 1).expects_of("a", p.PUBREL, 1).acknowledges("a", p.PUBCOMP, 1).alive()


def options(chapter):
    def begin(name, about, *numbers):
        sequence = chapter.sequence(name, FIVE, about, *[f"5:MQTT-{number}" for number in numbers])
        return sequence, sequence.topic()

    sequence, topic = begin("v5-no-local", "one's own messages do not come", "3.8.3-3")
    sequence.connect("b").subscribed("b", [(topic, 4)], codes=[0]).connect().publish("b", topic, "own").publish("a", topic, "other")
    sequence.receives("b", topic, "other").alive("b")
    sequence, topic = begin("v5-no-local-off", "one's own messages come")
    sequence.connect("b").subscribed("b", [(topic, 0)]).publish("b", topic, "own").receives("b", topic, "own").alive("b")
    sequence, topic = begin("v5-no-local-overlapping", "but for a subscription without it")
    sequence.connect("b").subscribed("b", [(topic, 6), (sequence.topic("+"), 0)], codes=[2, 0]).publish("b", topic, "own", 1)
    sequence.receives("b", topic, "own").alive("b")
    sequence, topic = begin("v5-no-local-shared", "no-local and shared is an error", "3.8.3-4")
    sequence.connect().send("a", p.subscribe(FIVE, 1, [(f"$share/g/{topic}", 4)]), "SUBSCRIBE").refused(reason=0x82)
    for published in [False, True]:
        for kept in [False, True]:
            number = "3.3.1-13" if kept else "3.3.1-12"
            sequence, topic = begin(f"v5-retain-as-published-{kept}-{published}".lower(), "RETAIN on its way to a reader", number)
            sequence.connect("b").subscribed("b", [(topic, 8 if kept else 0)], codes=[0]).connect()
            sequence.publish("a", topic, "m", retain=published).receives("b", topic, "m", retain=published and kept)
            sequence.publish("a", topic, "", retain=True).receives("b", topic, "", retain=kept).alive("b")
    for identifier in [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]:
        sequence, topic = begin(f"v5-identifier-{identifier}", "the identifier comes with the message", "3.3.4-3")
        named = [(p.SUBSCRIPTION_ID, identifier)]
        sequence.connect().subscribed(filters=[(topic, 0)], properties=named).publish("a", topic)
        sequence.receives("a", topic, properties=named).alive()
    sequence, topic = begin("v5-all-identifiers", "one copy has all identifiers", "3.3.4-4", "3.3.4-3")
    sequence.connect()
    for number, text in enumerate(["t", "+", "#"], 1):
        sequence.subscribed(filters=[(sequence.topic(text), 0)], identifier=number, properties=[(p.SUBSCRIPTION_ID, number * 10)])
    sequence.publish("a", topic)
    whole = p.publish(FIVE, topic, "m", properties=[(p.SUBSCRIPTION_ID, one) for one in (10, 20, 30)]).hex(" ")
    head, tail = whole.split(" 0b 0a 0b 14 0b 1e")
    sequence.expect("a", f"{head} 0b .. 0b .. 0b ..{tail}", "PUBLISH with three identifiers").alive()
    sequence, topic = begin("v5-identifier-is-replaced", "a new SUBSCRIBE has a new identifier", "3.8.4-3")
    sequence.connect().subscribed(filters=[(topic, 0)], properties=[(p.SUBSCRIPTION_ID, 5)])
    sequence.subscribed(filters=[(topic, 0)], identifier=2, properties=[(p.SUBSCRIPTION_ID, 6)]).publish("a", topic)
    sequence.receives("a", topic, properties=[(p.SUBSCRIPTION_ID, 6)])
    sequence.subscribed(filters=[(topic, 0)], identifier=3).publish("a", topic).receives("a", topic).alive()
    sequence, topic = begin("v5-identifier-survives", "identifiers are a part of the session", "3.1.2-5")
    stay, named = expiring(FIVE), [(p.SUBSCRIPTION_ID, 9)]
    sequence.connect(**stay).subscribed(filters=[(topic, 8)], codes=[0], properties=named).drop().connect(present=True, **stay)
    sequence.publish("a", topic, retain=True).receives("a", topic, retain=True, properties=named)
    sequence.publish("a", topic, "", retain=True).receives("a", topic, "", retain=True, properties=named).alive()
    sequence, topic = begin("v5-user-properties-in-subscribe", "SUBSCRIBE and UNSUBSCRIBE may have user properties")
    users = [(p.USER, ("a", "b")), (p.USER, ("a", "b"))]
    sequence.connect().subscribed(filters=[(topic, 0)], properties=users)
    sequence.send("a", p.unsubscribe(FIVE, 2, [topic], users), "UNSUBSCRIBE").expect("a", "b0 04 00 02 00 00", "UNSUBACK").alive()


# Filter, topics that match, topics that do not; all below the sequence's own first level.
MATCHING = [
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"],
     ["sport/tennis", "sport/tennis/player11"]),
    ("sport/#", ["sport", "sport/", "sport/a/b/c/d/e"], ["sports"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/player2", "sport/tennis/"],
     ["sport/tennis/player1/ranking", "sport/tennis"]),
    ("sport/+", ["sport/", "sport/x"], ["sport"]),
    ("+", ["finance", ""], ["a/b"]),
    ("+/+", ["/finance", "a/b", "/"], ["finance", "a/b/c"]),
    ("/+", ["/finance"], ["finance", "a/finance"]),
    ("#", ["a", "a/b", "/", "a//b"], []),
    ("+/tennis/#", ["sport/tennis", "sport/tennis/x/y", "/tennis"], ["tennis", "sport/x/tennis"]),
    ("a/+/c", ["a/b/c", "a//c", "a/+x/c".replace("+", "p")], ["a/c", "a/b/b/c"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("a/b/", ["a/b/"], ["a/b"]),
    ("a/*/c", ["a/*/c"], ["a/b/c"]),
    ("a.b", ["a.b"], ["a/b", "a"]),
    ("a/.", ["a/."], ["a"]),
    ("ACCOUNTS", ["ACCOUNTS"], ["Accounts", "accounts"]),
    ("Accounts payable", ["Accounts payable"], ["Accounts%20payable"]),
    ("a/$b/+", ["a/$b/c"], ["a/b/c"]),
    ("+/$b", ["a/$b"], ["a/b"]),
]


def topics():
    chapter = Chapter("topics", "Topic names and filters (4.7)")
    for version in VERSIONS:
        label = LABEL[version]
        for number, (text, good, bad) in enumerate(MATCHING):
            sequence = chapter.sequence(f"{label}-filter-{number:02}", version, f"the filter …/{text}",
                                        *ids(version, ["4.7.1-2", "4.7.1-3", "4.7.3-4", "3.8.3-1"], ["4.7.1-1", "4.7.1-2", "4.7.3-4", "3.3.2-3"]))
            sequence.connect().subscribed(filters=[(sequence.topic(text), 0)])
            for topic in bad:
                sequence.publish("a", sequence.topic(topic), "no")
            for topic in good:
                sequence.publish("a", sequence.topic(topic)).receives("a", sequence.topic(topic))
            sequence.alive()
        for text in ["a#", "#/a", "a/#/b", "a+", "+a", "a/+b", "a/b+/c", "##", "a/##", "++", ""]:
            slug = text.encode().hex() or "empty"
            sequence = chapter.sequence(f"{label}-bad-filter-{slug}", version, f"{text!r} is no filter",
                                        *ids(version, ["4.7.1-2", "4.7.1-3", "4.7.3-1"], ["4.7.1-1", "4.7.1-2", "4.7.3-1"]))
            sequence.connect().send("a", p.subscribe(version, 1, [(text, 0)]), "SUBSCRIBE").refused(reason=0x81)
            sequence = chapter.sequence(f"{label}-bad-filter-to-leave-{slug}", version, f"{text!r} is no filter",
                                        *ids(version, ["4.7.1-2", "4.7.1-3"], ["4.7.1-1", "4.7.1-2"]))
            sequence.connect().send("a", p.unsubscribe(version, 1, [text]), "UNSUBSCRIBE").refused(reason=0x81)
        sequence = chapter.sequence(f"{label}-filter-longest", version, "a filter of 65,535 bytes",
                                    *ids(version, ["4.7.3-3"], ["4.7.3-3"]))
        sequence.connect().subscribed(filters=[(sequence.topic("x" * 65_535)[:65_535], 0)]).alive()
        sequence = chapter.sequence(f"{label}-dollar", version, "filters may begin with $")
        sequence.connect().subscribed(filters=[("$SYS/#", 0), ("$anything/+", 1)]).alive()
        sequence = chapter.sequence(f"{label}-publish-to-dollar", version, "$ is the server's, in this broker")
        sequence.connect().send("a", p.publish(version, "$own/topic", "m"), "PUBLISH").refused(reason=0x90)
        sequence = chapter.sequence(f"{label}-levels-at-the-limit", version, "128 levels")
        deep = sequence.token + "/x" * 127
        sequence.connect().subscribed(filters=[(sequence.token + "/+" * 127, 0)]).publish("a", deep).receives("a", deep).alive()
        sequence = chapter.sequence(f"{label}-levels-beyond-the-limit", version, "129 levels")
        bad = 0x8F if version == FIVE else 0x80
        sequence.connect().subscribed(filters=[(sequence.token + "/+" * 128, 0)], codes=[bad])
        sequence.send("a", p.publish(version, sequence.token + "/x" * 128, "m"), "PUBLISH").refused(reason=0x90)
    return chapter


def retained():
    chapter = Chapter("retained", "Retained messages (3.3.1.3, 3.8.3.1)")
    for version in VERSIONS:
        label = LABEL[version]
        for qos in [0, 1, 2]:
            sequence = chapter.sequence(f"{label}-qos-{qos}", version, "the last message of a topic is kept",
                                        *ids(version, ["3.3.1-5", "3.3.1-6", "3.3.1-8"], ["3.3.1-5", "3.3.1-9"]))
            topic = sequence.topic()
            sequence.connect().publish("a", topic, "first", qos, 1, retain=True).publish("a", topic, "last", qos, 2, retain=True)
            sequence.connect("b").subscribed("b", [(topic, 2)]).receives("b", topic, "last", qos, retain=True).alive("b")
            sequence.publish("a", topic, "", qos, 3, retain=True).receives("b", topic, "", qos).alive("b")
            sequence.connect("c").subscribed("c", [(topic, 2)]).alive("c")
        sequence = chapter.sequence(f"{label}-empty-removes", version, "an empty message removes it, and is none itself",
                                    *ids(version, ["3.3.1-10", "3.3.1-11"], ["3.3.1-6", "3.3.1-7"]))
        topic = sequence.topic()
        sequence.connect().publish("a", topic, "m", retain=True).publish("a", topic, "", retain=True).connect("b")
        sequence.subscribed("b", [(topic, 0)]).alive("b")
        sequence = chapter.sequence(f"{label}-others-leave-it", version, "a message without RETAIN changes nothing",
                                    *ids(version, ["3.3.1-12"], ["3.3.1-8"]))
        topic = sequence.topic()
        sequence.connect().publish("a", topic, "kept", retain=True).publish("a", topic, "passing").publish("a", topic, "")
        sequence.alive("a").connect("b").subscribed("b", [(topic, 0)]).receives("b", topic, "kept", retain=True).alive("b")
        sequence.publish("a", topic, "", retain=True).receives("b", topic, "").alive("b")
        sequence = chapter.sequence(f"{label}-retain-is-0-for-subscribers", version, "who is subscribed gets it without RETAIN",
                                    *ids(version, ["3.3.1-9"], ["3.3.1-12"]))
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect().publish("a", topic, "m", retain=True)
        sequence.receives("b", topic, "m").alive("b").publish("a", topic, "", retain=True).receives("b", topic, "").alive("b")
        sequence = chapter.sequence(f"{label}-every-subscribe", version, "each SUBSCRIBE brings it again",
                                    *ids(version, ["3.8.4-3", "3.3.1-6"], ["3.8.4-4", "3.3.1-9"]))
        topic = sequence.topic()
        sequence.connect().publish("a", topic, "m", retain=True)
        for identifier in [1, 2, 3]:
            sequence.subscribed(filters=[(topic, 0)], identifier=identifier).receives("a", topic, "m", retain=True)
        sequence.publish("a", topic, "", retain=True).receives("a", topic, "").alive()
        sequence = chapter.sequence(f"{label}-wildcards", version, "all that match come",
                                    *ids(version, ["3.3.1-6"], ["3.3.1-9"]))
        names = [sequence.topic(name) for name in ["a", "a/b", "b"]]
        sequence.connect()
        for name in names:
            sequence.publish("a", name, name[-1], retain=True)
        sequence.subscribed(filters=[(sequence.topic("#"), 0)])
        sequence.expect_all("a", *[p.publish(version, name, name[-1], retain=True) for name in names]).alive()
        sequence.send("a", p.unsubscribe(version, 9, [sequence.topic("#")]), "UNSUBSCRIBE")
        sequence.expect("a", "b0 .. 00 09 *", "UNSUBACK")
        for name in names:
            sequence.publish("a", name, "", retain=True)
        sequence.alive()
        sequence = chapter.sequence(f"{label}-qos-of-the-subscription", version, "the lower QoS counts",
                                    *ids(version, ["3.8.4-6"], ["3.8.4-8"]))
        topic = sequence.topic()
        sequence.connect().publish("a", topic, "m", 2, retain=True).connect("b").subscribed("b", [(topic, 1)])
        sequence.receives("b", topic, "m", 1, retain=True).alive("b").publish("a", topic, "", 0, retain=True)
        sequence.receives("b", topic, "").alive("b")
        sequence = chapter.sequence(f"{label}-dollar-and-dot", version, "topics with dots and stars are retained as they are")
        topic = sequence.topic("a.b/*")
        sequence.connect().publish("a", topic, "m", retain=True).subscribed(filters=[(sequence.topic("a.b/+"), 0)])
        sequence.receives("a", topic, "m", retain=True).publish("a", topic, "", retain=True).receives("a", topic, "").alive()
    handling(chapter)
    return chapter


def handling(chapter):
    def begin(name, about, *numbers):
        sequence = chapter.sequence(name, FIVE, about, *[f"5:MQTT-{number}" for number in numbers])
        topic = sequence.topic()
        sequence.connect().publish("a", topic, "m", retain=True)
        return sequence, topic

    def end(sequence, topic):
        sequence.connect("z").publish("z", topic, "", retain=True).alive("z")

    sequence, topic = begin("v5-handling-0", "retain handling 0: always", "3.3.1-9")
    for number in [1, 2]:
        sequence.subscribed(filters=[(topic, 0)], identifier=number).receives("a", topic, "m", retain=True)
    end(sequence.alive(), topic)
    sequence, topic = begin("v5-handling-1", "retain handling 1: for a new subscription", "3.3.1-10")
    sequence.subscribed(filters=[(topic, 0x10)], codes=[0]).receives("a", topic, "m", retain=True)
    sequence.subscribed(filters=[(topic, 0x10)], codes=[0], identifier=2).alive()
    sequence.send("a", p.unsubscribe(FIVE, 3, [topic]), "UNSUBSCRIBE").expect("a", "b0 04 00 03 00 00", "UNSUBACK")
    end(sequence.subscribed(filters=[(topic, 0x10)], codes=[0], identifier=4).receives("a", topic, "m", retain=True).alive(), topic)
    sequence, topic = begin("v5-handling-2", "retain handling 2: never", "3.3.1-11")
    end(sequence.subscribed(filters=[(topic, 0x20)], codes=[0]).alive(), topic)
    sequence, topic = begin("v5-handling-1-of-a-resumed-session", "a subscription of a resumed session is not new", "3.3.1-10")
    stay = expiring(FIVE)
    sequence.connect("b", **stay).subscribed("b", [(topic, 0x10)], codes=[0]).receives("b", topic, "m", retain=True).drop("b")
    end(sequence.connect("b", present=True, **stay).subscribed("b", [(topic, 0x10)], codes=[0]).alive("b"), topic)
    sequence, topic = begin("v5-shared-gets-none", "shared subscriptions get no retained messages")
    end(sequence.subscribed(filters=[(f"$share/{sequence.token}/{topic}", 0)]).alive(), topic)
    sequence, topic = begin("v5-with-identifier", "with the subscription's identifier", "3.3.4-3")
    named = [(p.SUBSCRIPTION_ID, 44)]
    sequence.subscribed(filters=[(topic, 0)], properties=named).receives("a", topic, "m", retain=True, properties=named)
    end(sequence.alive(), topic)
    sequence, topic = begin("v5-no-local", "one's own retained message does not come with no-local", "3.8.3-3")
    end(sequence.subscribed(filters=[(topic, 4)], codes=[0]).alive(), topic)
    sequence = chapter.sequence("v5-properties", FIVE, "with its properties and what is left of its expiry", "5:MQTT-3.3.2-6")
    topic = sequence.topic()
    properties = [(p.CONTENT_TYPE, "t"), (p.USER, ("b", "1")), (p.USER, ("a", "2")), (p.MESSAGE_EXPIRY, 1000)]
    sequence.connect().publish("a", topic, "m", 1, retain=True, properties=properties).subscribed(filters=[(topic, 0)])
    sequence.receives("a", topic, "m", retain=True, properties=properties).alive()
    end(sequence, topic)
    sequence = chapter.sequence("v5-expired", FIVE, "an expired retained message is gone", "5:MQTT-3.3.2-5")
    topic = sequence.topic()
    sequence.connect().publish("a", topic, "m", retain=True, properties=[(p.MESSAGE_EXPIRY, 1)]).pause(1_200)
    sequence.subscribed(filters=[(topic, 0)]).alive()


def shared():
    chapter = Chapter("shared", "Shared subscriptions (4.8.2)")

    def begin(name, about, *numbers, version=FIVE):
        sequence = chapter.sequence(name, version, about, *[f"5:MQTT-{number}" for number in numbers])
        return sequence, sequence.topic(), f"$share/{sequence.token}/{sequence.topic()}"

    for text in ["$share", "$share/", "$share//x", "$share/g", "$share/g/", "$share/+/x", "$share/g+/x", "$share/#/x",
                 "$share/g#/x", "$share/g/a#", "$share/g/#/a"]:
        sequence, topic, _ = begin(f"bad-{text.encode().hex()}", f"{text} is no filter (MQ-6)", "4.8.2-1", "4.8.2-2")
        sequence.connect().send("a", p.subscribe(FIVE, 1, [(text, 0)]), "SUBSCRIBE").refused(reason=0x81)
    for version in VERSIONS:
        label = LABEL[version]
        sequence, topic, filter_ = begin(f"{label}-one-of-two", "each message goes to one member", version=version)
        sequence.connect("m").subscribed("m", [(filter_, 0)]).connect("n").subscribed("n", [(filter_, 0)])
        sequence.connect("x").subscribed("x", [(topic, 0)]).connect()
        for number in range(4):
            sequence.publish("a", topic, f"m{number}")
        for number in range(4):
            sequence.receives("x", topic, f"m{number}")
        sequence.steps.append({"between": ["m", "n"], "count": 4})
        sequence.alive("m").alive("n")
    sequence, topic, filter_ = begin("two-groups", "each group gets each message", "4.8.2-1")
    other = f"$share/{sequence.token}x/{topic}"
    sequence.connect("m").subscribed("m", [(filter_, 0)]).connect("n").subscribed("n", [(other, 0)]).connect().publish("a", topic)
    sequence.receives("m", topic).receives("n", topic).alive("m").alive("n")
    sequence, topic, filter_ = begin("shared-and-not", "a shared and a usual subscription are two")
    sequence.connect("m").subscribed("m", [(filter_, 0), (topic, 0)]).connect().publish("a", topic)
    sequence.receives("m", topic).receives("m", topic).alive("m")
    for granted in [0, 1, 2]:
        sequence, topic, filter_ = begin(f"granted-qos-{granted}", "the member's QoS counts", "4.8.2-3")
        sequence.connect("m").subscribed("m", [(filter_, granted)]).connect().publish("a", topic, "m", 2)
        sequence.receives("m", topic, "m", granted).alive("m")
    sequence, topic, filter_ = begin("identifier", "with the subscription's identifier", "3.3.4-3")
    named = [(p.SUBSCRIPTION_ID, 7)]
    sequence.connect("m").subscribed("m", [(filter_, 0)], properties=named).connect().publish("a", topic)
    sequence.receives("m", topic, properties=named).alive("m")
    sequence, topic, filter_ = begin("wildcard", "with wildcards", "4.8.2-2")
    sequence.connect("m").subscribed("m", [(f"$share/{sequence.token}/{sequence.token}/+/x/#", 0)]).connect()
    name = sequence.topic("1/x/2")
    sequence.publish("a", sequence.topic("x"), "no").publish("a", name).receives("m", name).alive("m")
    sequence, topic, filter_ = begin("lost-member", "what a lost member did not acknowledge goes to another")
    sequence.connect("m").subscribed("m", [(filter_, 1)]).connect().publish("a", topic, "m", 1)
    sequence.comes("m", topic, "m", 1).connect("n").subscribed("n", [(filter_, 1)]).drop("m")
    sequence.receives("n", topic, "m", 1, dup=True).alive("n")
    sequence, topic, filter_ = begin("nobody-there", "messages wait while no member is there")
    stay = expiring(FIVE)
    sequence.connect("m", **stay).subscribed("m", [(filter_, 1)]).drop("m").connect()
    for number in [1, 2]:
        sequence.publish("a", topic, f"m{number}", 1, number)
    sequence.connect("m", present=True, **stay).receives("m", topic, "m1", 1).receives("m", topic, "m2", 1).alive("m")
    sequence, topic, filter_ = begin("refused-by-a-member", "what a member refuses goes to nobody", "4.8.2-6")
    sequence.connect("m").subscribed("m", [(filter_, 1)]).connect("n").connect().publish("a", topic, "m", 1)
    sequence.comes("m", topic, "m", 1).acknowledges("m", p.PUBACK, 1, 0x80).subscribed("n", [(filter_, 1)]).drop("m")
    sequence.publish("a", topic, "mark", 1, 2).receives("n", topic, "mark", 1).alive("n")
    sequence, topic, filter_ = begin("full-member", "a member whose quota is 0 is passed over", "4.9.0-2")
    sequence.connect("m", properties=[(p.RECEIVE_MAXIMUM, 1)]).subscribed("m", [(filter_, 1)]).connect()
    sequence.publish("a", topic, "1", 1, 1).comes("m", topic, "1", 1).connect("n").subscribed("n", [(filter_, 1)])
    for number in [2, 3, 4]:
        sequence.publish("a", topic, str(number), 1, number).receives("n", topic, str(number), 1)
    sequence.alive("m").acknowledges("m", p.PUBACK, 1).alive("m")
    sequence, topic, filter_ = begin("unsubscribe", "who leaves gets no more", "3.10.4-2")
    sequence.connect("m").subscribed("m", [(filter_, 0)]).connect("n").subscribed("n", [(filter_, 0)])
    sequence.send("m", p.unsubscribe(FIVE, 2, [filter_]), "UNSUBSCRIBE").expect("m", "b0 04 00 02 00 00", "UNSUBACK").connect()
    for number in range(3):
        sequence.publish("a", topic, f"m{number}").receives("n", topic, f"m{number}")
    sequence.alive("m").alive("n")
    sequence, topic, filter_ = begin("unsubscribe-unknown", "0x11 for a group that one is not in", "3.10.4-5")
    sequence.connect().send("a", p.unsubscribe(FIVE, 2, [filter_]), "UNSUBSCRIBE").expect("a", "b0 04 00 02 00 11", "UNSUBACK")
    sequence.alive()
    sequence, topic, filter_ = begin("again", "SUBSCRIBE again changes the QoS", "4.8.2-3")
    sequence.connect("m").subscribed("m", [(filter_, 2)]).subscribed("m", [(filter_, 0)], identifier=2).connect()
    sequence.publish("a", topic, "m", 1).receives("m", topic, "m", 0).alive("m")
    return chapter


def all_chapters():
    return [subscriptions(), topics(), retained(), shared()]
