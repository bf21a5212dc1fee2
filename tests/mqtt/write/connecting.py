"""Sections 3.1 and 3.2: CONNECT, CONNACK, wills, sessions, keep-alive, and what the server offers."""

import packets as p
from format import LABEL, VERSIONS
from sequences import Chapter


def ids(version, older, newer):
    """The statements of the version that is tested; version 3.1 has none of its own."""
    if version == p.V5:
        return [f"5:MQTT-{one}" for one in newer]
    return [f"3.1.1:MQTT-{one}" for one in older] if version == p.V311 else []


def expiring(version, seconds=3600):
    """How a client asks for a session that stays."""
    return dict(clean=False, properties=[(p.SESSION_EXPIRY, seconds)] if version == p.V5 else ())


def connect():
    chapter = Chapter("connect", "CONNECT (3.1)")
    names(chapter)
    flags(chapter)
    payload(chapter)
    client_identifiers(chapter)
    order(chapter)
    return chapter


def names(chapter):
    wrong = [("mqtt", 4), ("MQTt", 5), ("MQTTX", 4), ("", 4), ("MQ", 5), ("MQIsdP", 3), ("HTTP", 4)]
    for name, level in wrong:
        sequence = chapter.sequence(f"protocol-name-{name or 'empty'}-{level}", p.V311, f"the protocol name {name!r}",
                                    "3.1.1:MQTT-3.1.2-1", "5:MQTT-3.1.2-1")
        sequence.send("a", p.connect(p.V311, "c", name=name, level=level), "CONNECT").closed()
    for name, level in [("MQTT", 0), ("MQTT", 1), ("MQTT", 2), ("MQTT", 3), ("MQIsdp", 4), ("MQIsdp", 2), ("MQTT", 0x84)]:
        sequence = chapter.sequence(f"protocol-level-{name}-{level}", p.V311, f"{name} has no level {level}",
                                    "3.1.1:MQTT-3.1.2-2", "3.1.1:MQTT-3.2.2-4", "3.1.1:MQTT-3.2.2-5")
        sequence.send("a", p.connect(p.V311, "c", name=name, level=level), "CONNECT").expect("a", "20 02 00 01", "CONNACK 1")
        sequence.closed()
    for level in [6, 7, 100]:
        sequence = chapter.sequence(f"protocol-level-MQTT-{level}", p.V5, f"level {level} is not known yet",
                                    "5:MQTT-3.1.2-2", "5:MQTT-3.2.2-6", "5:MQTT-3.2.2-7", "5:MQTT-3.2.2-8",
                                    "5:MQTT-4.13.2-1")
        sequence.send("a", p.connect(p.V5, "c", level=level), "CONNECT").connect_refused(reason=0x84)
    for version in VERSIONS:
        numbers = ids(version, ["3.1.4-4", "3.2.0-1"], ["3.1.4-5", "3.2.0-1", "3.2.2-1", "7.1.1-1"])
        sequence = chapter.sequence(f"{LABEL[version]}-accepted", version, "a CONNECT is answered with CONNACK", *numbers)
        sequence.connect().alive()
        numbers = ids(version, ["3.1.0-2"], ["3.1.0-2", "3.2.0-2"])
        sequence = chapter.sequence(f"{LABEL[version]}-second-connect", version, "a second CONNECT ends the connection", *numbers)
        sequence.connect().send("a", p.connect(version, sequence.client()), "CONNECT").refused(reason=0x82)
        numbers = ids(version, ["3.1.0-2"], ["3.1.0-2"])
        sequence = chapter.sequence(f"{LABEL[version]}-second-connect-of-another-client", version,
                                    "also of another identifier", *numbers)
        sequence.connect().send("a", p.connect(version, "another"), "CONNECT").refused(reason=0x82)
        sequence = chapter.sequence(f"{LABEL[version]}-data-before-connack", version, "clients need not wait for CONNACK")
        topic = sequence.topic()
        data = p.connect(version, sequence.client()) + p.subscribe(version, 1, [(topic, 0)]) + p.publish(version, topic, "m")
        sequence.send("a", data, "CONNECT, SUBSCRIBE, PUBLISH at once")
        connack = "20 .. 00 00 *" if version == p.V5 else "20 02 00 00"
        suback = p.packet(p.SUBACK, p.two(1) + p.own(version, ()) + b"\0")
        sequence.expect("a", connack, "CONNACK").expect_all("a", suback, p.publish(version, topic, "m")).alive()
        numbers = ids(version, ["3.1.4-5"], ["3.1.4-6"])
        sequence = chapter.sequence(f"{LABEL[version]}-data-after-a-refusal", version,
                                    "what follows a refused CONNECT is not looked at", *numbers)
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 0)])
        bad = p.connect(version, b"a\xff") + p.publish(version, topic, "never")
        sequence.send("a", bad, "CONNECT with a bad identifier, PUBLISH").connect_refused("a", 0x81).alive("b")


def flags(chapter):
    for version in VERSIONS:
        label = LABEL[version]
        numbers = ids(version, ["3.1.2-3", "3.1.4-1"], ["3.1.2-3", "3.1.4-1"])
        sequence = chapter.sequence(f"{label}-reserved-flag", version, "bit 0 of the connect flags is 0", *numbers)
        sequence.send("a", p.connect(version, "c", flags=3), "CONNECT").connect_refused()
        for name, bits, older, newer in [
            ("will-qos-without-will", 0b0000_1010, ["3.1.2-13", "3.1.2-11"], ["3.1.2-11", "3.1.2-13"]),
            ("will-qos-2-without-will", 0b0001_0010, ["3.1.2-13"], ["3.1.2-13"]),
            ("will-retain-without-will", 0b0010_0010, ["3.1.2-15"], ["3.1.2-15"]),
        ]:
            sequence = chapter.sequence(f"{label}-{name}", version, name.replace("-", " "), *ids(version, older, newer))
            sequence.send("a", p.connect(version, "c", flags=bits), "CONNECT").connect_refused()
        sequence = chapter.sequence(f"{label}-will-qos-3", version, "a will has QoS 0, 1 or 2",
                                    *ids(version, ["3.1.2-14"], ["3.1.2-14"]))
        data = p.connect(version, "c", flags=0b0001_1110, will=("t", "w", 0, False, ()))
        sequence.send("a", data, "CONNECT").connect_refused()
    sequence = chapter.sequence("v311-password-without-user-name", p.V311, "a password wants a user name",
                                "3.1.1:MQTT-3.1.2-22")
    sequence.send("a", p.connect(p.V311, "c", password="x"), "CONNECT").closed()


def payload(chapter):
    """Fields that the flags announce and that are not there, and the other way round."""
    for version in VERSIONS:
        label, nothing = LABEL[version], p.own(version, ())

        def body(bits, *fields, version=version, nothing=nothing):
            name = "MQIsdp" if version == p.V31 else "MQTT"
            return p.packet(p.CONNECT, p.string(name) + bytes([version, bits]) + p.two(0) + nothing + b"".join(fields))

        identifier = p.string("c")
        missing = [
            ("no-client-identifier", 2, [], ["3.1.3-3"], ["3.1.3-3"]),
            ("no-will", 6, [identifier], ["3.1.2-9"], ["3.1.2-9"]),
            ("no-will-message", 6, [identifier, nothing, p.string("t")], ["3.1.2-9"], ["3.1.2-9"]),
        ]
        if version != p.V31:
            missing += [
                ("no-user-name", 0x82, [identifier], ["3.1.2-19"], ["3.1.2-19"]),
                ("no-password", 0xC2, [identifier, p.string("u")], ["3.1.2-21"], ["3.1.2-21"]),
            ]
        extra = [
            ("user-name-without-flag", 2, [identifier, p.string("u")], ["3.1.2-18"], ["3.1.2-18"]),
            ("password-without-flag", 0x82, [identifier, p.string("u"), p.string("p")], ["3.1.2-20"], ["3.1.2-20"]),
            ("will-without-flag", 2, [identifier, nothing, p.string("t"), p.string("w")], ["3.1.2-11"], ["3.1.2-11"]),
            ("fields-in-another-order", 6, [nothing, p.string("t"), p.string("w"), identifier + b"x"], ["3.1.3-1"], ["3.1.3-1"]),
        ]
        for name, bits, fields, older, newer in missing + extra:
            sequence = chapter.sequence(f"{label}-{name}", version, name.replace("-", " "), *ids(version, older, newer))
            sequence.send("a", body(bits, *fields), "CONNECT").connect_refused()
        for cut in range(2, 12):
            data = p.connect(version, "c")[2:][:cut]
            sequence = chapter.sequence(f"{label}-cut-after-{cut}", version, f"a CONNECT of {cut} bytes",
                                        *ids(version, ["3.1.4-1"], ["3.1.4-1"]))
            sequence.send("a", p.packet(p.CONNECT, data), "CONNECT")
            # From the level on it is known how to answer.
            known = 9 if version == p.V31 else 7
            sequence.connect_refused() if version == p.V5 and cut >= known else sequence.closed()
    sequence = chapter.sequence("v31-user-name-missing", p.V31, "MQTT 3.1 lets an announced user name be left out")
    sequence.send("a", p.connect(p.V31, sequence.client(), flags=0x82), "CONNECT").expect("a", "20 02 00 00", "CONNACK").alive()


def client_identifiers(chapter):
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for version in VERSIONS:
        label = LABEL[version]
        for size in [1, 22, 23]:
            sequence = chapter.sequence(f"{label}-identifier-of-{size}", version, f"identifiers of {size} bytes",
                                        *ids(version, ["3.1.3-5"], ["3.1.3-5"]))
            sequence.connect(client=(letters[version:] + letters)[:size]).alive()
        for start in [0, 23, 46]:
            sequence = chapter.sequence(f"{label}-identifier-of-letters-{start}", version, "all letters and digits",
                                        *ids(version, ["3.1.3-5"], ["3.1.3-5"]))
            sequence.connect(client=(letters + letters)[start + 10 * version:][:23]).alive()
    sequence = chapter.sequence("v5-assigned-identifier", p.V5, "an empty identifier gets a new one",
                                "5:MQTT-3.1.3-6", "5:MQTT-3.1.3-7", "5:MQTT-3.2.2-16")
    sequence.send("a", p.connect(p.V5, ""), "CONNECT").expect("a", "20 .. 00 00 * 12 00 .. * ", "CONNACK").alive()
    sequence = chapter.sequence("v5-assigned-identifier-without-clean-start", p.V5, "also without clean start",
                                "5:MQTT-3.1.3-6", "5:MQTT-3.2.2-16")
    sequence.send("a", p.connect(p.V5, "", clean=False), "CONNECT").expect("a", "20 .. 00 00 * 12 00 .. *", "CONNACK").alive()
    sequence = chapter.sequence("v311-empty-identifier", p.V311, "an empty identifier of a clean session",
                                "3.1.1:MQTT-3.1.3-6", "3.1.1:MQTT-3.1.3-7")
    sequence.connect(client="").alive()
    sequence = chapter.sequence("v311-empty-identifier-of-a-session-that-stays", p.V311, "needs an identifier",
                                "3.1.1:MQTT-3.1.3-8", "3.1.1:MQTT-3.1.3-9", "3.1.1:MQTT-3.1.3-7")
    sequence.send("a", p.connect(p.V311, "", clean=False), "CONNECT").expect("a", "20 02 00 02", "CONNACK 2").closed()
    sequence = chapter.sequence("v31-empty-identifier", p.V31, "MQTT 3.1 has no empty identifiers")
    sequence.send("a", p.connect(p.V31, ""), "CONNECT").expect("a", "20 02 00 02", "CONNACK 2").closed()
    for version in VERSIONS:
        sequence = chapter.sequence(f"{LABEL[version]}-two-identifiers-are-two-sessions", version,
                                    "state is kept by identifier", *ids(version, ["3.1.3-2"], ["3.1.3-2"]))
        topic = sequence.topic()
        sequence.connect("a", **expiring(version)).subscribed("a", [(topic, 1)]).drop("a")
        sequence.connect("b", **expiring(version)).connect("a", present=True, **expiring(version)).alive("b")


def order(chapter):
    """The client takes over its own session, and another user's credentials are looked at first."""
    for version in VERSIONS:
        label = LABEL[version]
        sequence = chapter.sequence(f"{label}-takeover", version, "a second connection takes the session",
                                    *ids(version, ["3.1.4-2"], ["3.1.4-3"]))
        client = sequence.client("same")
        sequence.connect("a", client=client).connect("b", client=client).refused("a", 0x8E).alive("b")
        sequence = chapter.sequence(f"{label}-takeover-of-a-session-that-stays", version, "with its subscriptions",
                                    *ids(version, ["3.1.4-2", "3.1.2-4"], ["3.1.4-3", "3.1.2-5"]))
        client, topic = sequence.client("same"), sequence.topic()
        sequence.connect("a", client=client, **expiring(version)).subscribed("a", [(topic, 0)])
        sequence.connect("b", client=client, present=True, **expiring(version)).refused("a", 0x8E)
        sequence.publish("b", topic).receives("b", topic).alive("b")


CONFIG = """
[[users]]
name = "guest"
password = "guest"
permissions = [{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]

[[users]]
name = "other"
password = "other"
permissions = [{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]
"""


def credentials():
    chapter = Chapter("credentials", "User names and passwords (3.1.3.5, 3.1.3.6, 5.4)", config=CONFIG)
    chapter.settings = []
    for version in VERSIONS:
        label = LABEL[version]
        sequence = chapter.sequence(f"{label}-wrong-password", version, "credentials are checked",
                                    *ids(version, ["3.1.4-2"], ["3.1.4-2"]))
        data = p.connect(version, sequence.client(), user="guest", password="wrong")
        sequence.send("a", data, "CONNECT").connect_refused(reason=0x86, code=4)
        sequence = chapter.sequence(f"{label}-unknown-user", version, "an unknown user is told no more than that",
                                    *ids(version, ["3.1.4-2"], ["3.1.4-2"]))
        data = p.connect(version, sequence.client(), user="nobody", password="x")
        sequence.send("a", data, "CONNECT").connect_refused(reason=0x86, code=4)
        sequence = chapter.sequence(f"{label}-right-password", version, "the right password")
        sequence.connect(user="guest", password="guest").alive()
        sequence = chapter.sequence(f"{label}-no-credentials", version, "a server may want a user name",
                                    *ids(version, ["3.1.4-2"], ["3.1.4-2"]))
        sequence.send("a", p.connect(version, sequence.client()), "CONNECT").connect_refused(reason=0x87, code=5)
        sequence = chapter.sequence(f"{label}-user-name-only", version, "a user name without a password")
        sequence.send("a", p.connect(version, sequence.client(), user="guest"), "CONNECT").connect_refused(reason=0x86, code=4)
        sequence = chapter.sequence(f"{label}-another-users-session", version, "a session is its user's (MQ-10, MQ-14)")
        client, stay = sequence.client("same"), expiring(version)
        sequence.connect("a", client=client, user="guest", password="guest", **stay)
        sequence.send("b", p.connect(version, client, user="other", password="other", **stay), "CONNECT of another user")
        sequence.connect_refused("b", reason=0x87, code=5).alive("a").drop("a")
        sequence.send("b", p.connect(version, client, user="other", password="other"), "and when it is away")
        sequence.connect_refused("b", reason=0x87, code=5)
        sequence.connect("a", client=client, user="guest", password="guest", present=True, **stay).alive()
    sequence = chapter.sequence("v5-password-without-user-name", p.V5, "version 5 has passwords alone: nobody's here")
    sequence.send("a", p.connect(p.V5, "c", password="guest"), "CONNECT").connect_refused(reason=0x86)
    sequence = chapter.sequence("v31-password-missing", p.V31, "MQTT 3.1 lets an announced password be left out: it is wrong then")
    data = p.connect(p.V31, sequence.client(), flags=0xC2, user="guest")
    sequence.send("a", data, "CONNECT").expect("a", "20 02 00 04", "CONNACK 4").closed()
    return chapter


def sessions():
    chapter = Chapter("sessions", "Sessions (3.1.2.4, 3.2.2.2, 4.1, 4.4)")
    for version in VERSIONS:
        label = LABEL[version]
        stay = expiring(version)
        sequence = chapter.sequence(f"{label}-session-stays", version, "subscriptions outlive the connection",
                                    *ids(version, ["3.1.2-4", "3.2.2-2", "4.1.0-1"], ["3.1.2-5", "3.2.2-3", "3.1.2-25", "4.1.0-1"]))
        topic = sequence.topic()
        sequence.connect(**stay).subscribed(filters=[(topic, 0)]).drop()
        sequence.connect(present=True, **stay).publish("a", topic).receives("a", topic).alive()
        sequence = chapter.sequence(f"{label}-session-present-is-0-at-first", version, "a session is new at first",
                                    *ids(version, ["3.2.2-3"], ["3.1.2-6", "3.2.2-3"]))
        sequence.connect(**stay).alive()
        sequence = chapter.sequence(f"{label}-clean-forgets", version, "a clean start forgets the session",
                                    *ids(version, ["3.1.2-6", "3.2.2-1"], ["3.1.2-4", "3.2.2-2", "3.1.4-4"]))
        topic = sequence.topic()
        sequence.connect(**stay).subscribed(filters=[(topic, 0)]).drop().connect()
        sequence.publish("a", topic).alive().drop().connect(**stay).alive()
        sequence = chapter.sequence(f"{label}-clean-session-is-not-kept", version, "a clean session ends with its connection",
                                    *ids(version, ["3.1.2-6"], ["4.1.0-2"]))
        topic = sequence.topic()
        sequence.connect().subscribed(filters=[(topic, 0)]).send("a", p.disconnect(version), "DISCONNECT").closed()
        sequence.connect(**stay).publish("a", topic).alive()
        for qos in [1, 2]:
            sequence = chapter.sequence(f"{label}-offline-qos-{qos}", version, f"QoS {qos} waits for the client",
                                        *ids(version, ["3.1.2-5", "4.5.0-1"], ["4.5.0-1", "4.4.0-1"]))
            topic = sequence.topic()
            sequence.connect(**stay).subscribed(filters=[(topic, 2)]).drop().connect("b")
            for number in [1, 2, 3]:
                sequence.publish("b", topic, f"m{number}", qos, number)
            sequence.connect(present=True, **stay)
            for number in [1, 2, 3]:
                sequence.receives("a", topic, f"m{number}", qos)
            sequence.alive()
            sequence = chapter.sequence(f"{label}-unacknowledged-qos-{qos}", version, "what is not acknowledged comes again",
                                        *ids(version, ["4.4.0-1", "3.3.1-1"], ["4.4.0-1", "3.3.1-1", "4.3.2-3" if qos == 1 else "4.3.3-3"]))
            topic = sequence.topic()
            sequence.connect(**stay).subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", qos, 9)
            sequence.receives("a", topic, "m", qos).steps.pop()
            sequence.drop().connect(present=True, **stay).receives("a", topic, "m", qos, dup=True).alive()
            # Acknowledged now: it is gone.
            sequence.drop().connect(present=True, **stay).alive()
        sequence = chapter.sequence(f"{label}-pubrel-again", version, "PUBREL comes again until PUBCOMP",
                                    *ids(version, ["4.4.0-1", "4.3.3-1"], ["4.4.0-1", "4.3.3-5", "4.3.3-6", "4.3.3-4"]))
        topic = sequence.topic()
        sequence.connect(**stay).subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", 2, 9)
        sequence.comes("a", topic, "m", 2).acknowledges("a", p.PUBREC, 1).expects_of("a", p.PUBREL, 1).drop()
        pubrel = "62 02 .. .."
        sequence.connect(present=True, **stay).expect("a", pubrel, "PUBREL again").drop().connect(present=True, **stay)
        sequence.expect("a", pubrel, "PUBREL once more")
        sequence.steps.append({"on": "a", "send": "70 02 id1 id1", "note": "PUBCOMP"})
        sequence.alive().drop().connect(present=True, **stay).alive()
    expiry(chapter)
    return chapter


def expiry(chapter):
    five = p.V5
    sequence = chapter.sequence("v5-expired", five, "a session ends when its time is over", "5:MQTT-4.1.0-2")
    options = expiring(five, 1)
    sequence.connect(**options).drop().pause(1_600).connect(present=False, **options).alive()
    sequence = chapter.sequence("v5-no-expiry-is-0", five, "without an expiry the session ends with its connection",
                                "5:MQTT-4.1.0-2")
    sequence.connect(clean=False).drop().connect(clean=False).alive()
    sequence = chapter.sequence("v5-disconnect-changes-expiry", five, "DISCONNECT may let the session end at once",
                                "5:MQTT-4.1.0-2")
    options = expiring(five)
    sequence.connect(**options).send("a", p.disconnect(five, 0, [(p.SESSION_EXPIRY, 0)]), "DISCONNECT").closed()
    sequence.connect(present=False, **options).alive()
    sequence = chapter.sequence("v5-disconnect-prolongs", five, "DISCONNECT may prolong a session", "5:MQTT-3.1.2-25")
    sequence.connect(**expiring(five, 1)).send("a", p.disconnect(five, 0, [(p.SESSION_EXPIRY, 60)]), "DISCONNECT").closed()
    sequence.pause(1_600).connect(present=True, **options).alive()
    sequence = chapter.sequence("v5-resumed-by-another-version", p.V311, "a session of version 5 goes on in 3.1.1")
    topic = sequence.topic()
    sequence.connect(version=five, **options).subscribed(filters=[(topic, 0)], version=five).drop()
    sequence.connect(clean=False, present=True).publish("a", topic).receives("a", topic).alive()
    sequence = chapter.sequence("v5-expiry-largest", five, "the session that never expires is there")
    options = expiring(five, 0xFFFFFFFF)
    sequence.connect(**options).drop().connect(present=True, **options).alive()
    sequence.send("a", p.disconnect(five, 0, [(p.SESSION_EXPIRY, 0)]), "DISCONNECT").closed()


def wills():
    chapter = Chapter("wills", "Wills (3.1.2.5, 3.1.3.2, 3.14.4)")
    for version in VERSIONS:
        label = LABEL[version]
        for qos in [0, 1, 2]:
            for how in ["network-lost", "protocol-error"]:
                sequence = chapter.sequence(f"{label}-qos-{qos}-{how}", version, "an end without a goodbye sends the will",
                                            *ids(version, ["3.1.2-8", "3.1.2-10"], ["3.1.2-7", "3.1.2-8", "3.1.2-10"]))
                topic = sequence.topic("will")
                sequence.connect("b").subscribed("b", [(topic, 2)]).connect(will=(topic, "gone", qos, False, ()))
                if how == "network-lost":
                    sequence.drop()
                else:
                    sequence.send("a", p.packet(p.CONNACK, b"\0\0"), "CONNACK").refused("a", 0x82)
                sequence.receives("b", topic, "gone", qos).alive("b")
        sequence = chapter.sequence(f"{label}-goodbye", version, "a goodbye takes the will back",
                                    *ids(version, ["3.1.2-10", "3.14.4-3"], ["3.14.4-3", "3.1.2-10"]))
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect(will=(topic, "gone", 0, False, ()))
        sequence.send("a", p.disconnect(version), "DISCONNECT").closed().publish("b", topic, "mark")
        sequence.receives("b", topic, "mark").alive("b")
        sequence = chapter.sequence(f"{label}-no-will", version, "without a will nothing is sent",
                                    *ids(version, ["3.1.2-12"], ["3.1.2-12"]))
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect().drop().publish("b", topic, "mark")
        sequence.receives("b", topic, "mark").alive("b")
        for retain in [False, True]:
            numbers = ids(version, ["3.1.2-17" if retain else "3.1.2-16"], ["3.1.2-17" if retain else "3.1.2-16"])
            sequence = chapter.sequence(f"{label}-retain-{retain}".lower(), version, "a will is retained if it says so", *numbers)
            topic = sequence.topic("will")
            sequence.connect("b").subscribed("b", [(topic, 1)]).connect(will=(topic, "gone", 1, retain, ()))
            sequence.drop().receives("b", topic, "gone", 1).connect("c").subscribed("c", [(topic, 1)])
            if retain:
                sequence.receives("c", topic, "gone", 1, retain=True)
                sequence.publish("c", topic, "", retain=True).receives("c", topic, "")
            sequence.alive("c")
        sequence = chapter.sequence(f"{label}-empty-will", version, "a will may have no payload")
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect(will=(topic, "", 0, False, ())).drop()
        sequence.receives("b", topic, "").alive("b")
        sequence = chapter.sequence(f"{label}-keep-alive", version, "a client that falls silent is gone",
                                    *ids(version, ["3.1.2-24", "3.1.2-8"], ["3.1.2-24", "3.2.2-22"]))
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect(keep_alive=1, will=(topic, "gone", 0, False, ()))
        sequence.refused("a", 0x8D).receives("b", topic, "gone").alive("b")
    delays(chapter)
    return chapter


def delays(chapter):
    five, stay = p.V5, expiring(p.V5)

    def begin(name, about, *numbers, seconds=2, session=stay):
        sequence = chapter.sequence(name, five, about, *[f"5:MQTT-{number}" for number in numbers])
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)])
        sequence.connect(will=(topic, "gone", 0, False, [(p.WILL_DELAY, seconds)]), **session)
        return sequence, topic

    sequence, topic = begin("v5-delay", "a will waits as long as it says", "3.1.2-8")
    sequence.drop().publish("b", topic, "mark").receives("b", topic, "mark").receives("b", topic, "gone").alive("b")
    sequence, topic = begin("v5-delay-cancelled", "a client that comes back cancels its will", "3.1.2-26", "3.1.2-8")
    sequence.drop().connect(present=True, **stay).pause(2_400).publish("b", topic, "mark").receives("b", topic, "mark")
    sequence.alive("b")
    sequence, topic = begin("v5-delay-ends-with-the-session", "a will is sent when its session ends", "3.1.2-8",
                            seconds=3600, session=dict(clean=True))
    sequence.drop().receives("b", topic, "gone").alive("b")
    sequence, topic = begin("v5-delay-longer-than-the-session", "whichever is sooner", "3.1.2-8", seconds=3600,
                            session=expiring(five, 1))
    sequence.drop().receives("b", topic, "gone").alive("b")
    sequence, topic = begin("v5-delay-and-clean-start", "a clean start ends the session: the will is sent", "3.1.2-8",
                            seconds=3600)
    sequence.drop().connect(clean=True).receives("b", topic, "gone").alive("b")
    sequence, topic = begin("v5-delay-and-takeover", "a connection that takes the session over cancels the will", "3.1.2-26")
    client = sequence.client()
    sequence.connect("c", client=client, present=True, **stay).refused("a", 0x8E).pause(2_400)
    sequence.publish("b", topic, "mark").receives("b", topic, "mark").alive("b")
    sequence = chapter.sequence("v5-disconnect-with-will", five, "DISCONNECT 0x04 sends the will", "5:MQTT-3.14.4-3")
    topic = sequence.topic("will")
    sequence.connect("b").subscribed("b", [(topic, 0)]).connect(will=(topic, "gone", 0, False, ()))
    sequence.send("a", p.disconnect(five, 4), "DISCONNECT 0x04").closed().receives("b", topic, "gone").alive("b")
    for reason in [0x80, 0x81, 0x97]:
        sequence = chapter.sequence(f"v5-disconnect-{reason:02x}", five, "an unhappy goodbye sends the will", "5:MQTT-3.14.4-3")
        topic = sequence.topic("will")
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect(will=(topic, "gone", 0, False, ()))
        sequence.send("a", p.disconnect(five, reason), "DISCONNECT").closed().receives("b", topic, "gone").alive("b")
    sequence = chapter.sequence("v5-properties", five, "a will's properties reach its readers", "5:MQTT-3.3.2-17",
                                "5:MQTT-3.3.2-20", "5:MQTT-3.3.2-16", "5:MQTT-3.3.2-15", "5:MQTT-3.3.2-4")
    topic = sequence.topic("will")
    properties = [(p.PAYLOAD_FORMAT, 1), (p.CONTENT_TYPE, "text/plain"), (p.RESPONSE_TOPIC, "answer/here"),
                  (p.CORRELATION, b"\1\2"), (p.USER, ("a", "1")), (p.USER, ("a", "2"))]
    sequence.connect("b").subscribed("b", [(topic, 0)])
    sequence.connect(will=(topic, "gone", 0, False, [*properties, (p.MESSAGE_EXPIRY, 1000)])).drop()
    sequence.receives("b", topic, "gone", properties=[*properties, (p.MESSAGE_EXPIRY, 1000)]).alive("b")


def keep_alive():
    chapter = Chapter("keep-alive", "Keep-alive and PINGREQ (3.1.2.10, 3.12)")
    for version in VERSIONS:
        label = LABEL[version]
        sequence = chapter.sequence(f"{label}-pingresp", version, "PINGREQ is answered", *ids(version, ["3.12.4-1"], ["3.12.4-1"]))
        sequence.connect().alive().alive().alive()
        sequence = chapter.sequence(f"{label}-silence", version, "silence for one and a half keep-alives ends the connection",
                                    *ids(version, ["3.1.2-24"], ["3.1.2-24"]))
        sequence.connect(keep_alive=1).refused(reason=0x8D)
        sequence = chapter.sequence(f"{label}-no-keep-alive", version, "keep-alive 0 is none")
        sequence.connect(keep_alive=0).pause(1_800).alive()
        sequence = chapter.sequence(f"{label}-pings-keep-it", version, "pings keep the connection")
        sequence.connect(keep_alive=2).pause(1_500).alive().pause(1_500).alive().pause(1_500).alive()
        sequence = chapter.sequence(f"{label}-any-packet-keeps-it", version, "so does any packet")
        sequence.connect(keep_alive=2)
        for _ in range(3):
            sequence.pause(1_500).publish("a", sequence.topic())
        sequence.alive()
        sequence = chapter.sequence(f"{label}-longest", version, "the longest keep-alive")
        sequence.connect(keep_alive=65_535).alive()
    return chapter


def goodbyes():
    chapter = Chapter("disconnect", "DISCONNECT and AUTH (3.14, 3.15, 4.13)")
    for version in VERSIONS:
        sequence = chapter.sequence(f"{LABEL[version]}-plain", version, "a goodbye ends the connection",
                                    *ids(version, ["3.14.4-1"], ["3.14.4-1"]))
        sequence.connect().send("a", p.disconnect(version), "DISCONNECT").closed()
        sequence = chapter.sequence(f"{LABEL[version]}-nothing-after-it", version, "what follows a goodbye is not looked at",
                                    *ids(version, ["3.14.4-2"], []))
        topic = sequence.topic()
        sequence.connect("b").subscribed("b", [(topic, 0)]).connect()
        sequence.send("a", p.disconnect(version) + p.publish(version, topic, "never"), "DISCONNECT, PUBLISH").closed()
        sequence.publish("b", topic, "mark").receives("b", topic, "mark").alive("b")
    # Table 3.13: what a client may say.
    good = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
    for reason in range(256):
        if reason in good:
            sequence = chapter.sequence(f"v5-reason-{reason:02x}", p.V5, f"a client may say 0x{reason:02X}", "5:MQTT-3.14.2-1")
            sequence.connect().send("a", p.disconnect(p.V5, reason), "DISCONNECT").closed()
        elif reason in [0x01, 0x02, 0x18, 0x7F, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0,
                        0xA1, 0xA2, 0xA3, 0xFF]:
            sequence = chapter.sequence(f"v5-reason-{reason:02x}", p.V5, f"0x{reason:02X} is no reason of a client",
                                        "5:MQTT-3.14.2-1")
            sequence.connect().send("a", p.disconnect(p.V5, reason), "DISCONNECT").refused(reason=0x82)
    sequence = chapter.sequence("v5-long-form", p.V5, "a reason with empty properties")
    sequence.connect().send("a", p.disconnect(p.V5, 0, []), "DISCONNECT").closed()
    for reason in [0x00, 0x18, 0x19]:
        sequence = chapter.sequence(f"v5-auth-{reason:02x}-without-a-method", p.V5, "AUTH wants a method in CONNECT",
                                    "5:MQTT-4.12.0-7", "5:MQTT-4.12.0-6")
        sequence.connect().send("a", p.auth(reason, [(p.AUTH_METHOD, "m")]), "AUTH").refused(reason=0x82)
    sequence = chapter.sequence("v5-auth-empty", p.V5, "AUTH wants a method in CONNECT", "5:MQTT-4.12.0-7")
    sequence.connect().send("a", p.auth(), "AUTH").refused(reason=0x82)
    sequence = chapter.sequence("v5-unknown-method", p.V5, "an authentication method that nobody knows", "5:MQTT-4.12.0-1")
    sequence.send("a", p.connect(p.V5, "c", properties=[(p.AUTH_METHOD, "X-NOBODY")]), "CONNECT").connect_refused(reason=0x8C)
    return chapter


def offers():
    """What the server may leave out, and says so (3.2.2.3)."""
    limits = Chapter("offers", "A server that offers less (3.2.2.3)", [
        "mqtt.qos_max=1", "mqtt.retain=false", "mqtt.wildcard_subscriptions=false", "mqtt.subscription_identifiers=false",
        "mqtt.shared_subscriptions=false", "mqtt.keep_alive_ms_max=60000", 'mqtt.packet_bytes_max="1KiB"',
        'mqtt.response_information="answers/{client_id}/"', "mqtt.receive_maximum=2", "mqtt.topic_alias_maximum=3",
        "mqtt.session_expiry_ms_max=100000", "mqtt.assigned_client_ids=false"])
    five = p.V5

    def sequence(name, about, *statements, version=five):
        return limits.sequence(name, version, about, *statements)

    for name, pattern, statements in [
        ("maximum-qos", "24 01", ["5:MQTT-3.2.2-9"]), ("retain-available", "25 00", []),
        ("wildcard-available", "28 00", []), ("identifiers-available", "29 00", []), ("shared-available", "2a 00", []),
        ("receive-maximum", "21 00 02", []), ("topic-alias-maximum", "22 00 03", []),
        ("maximum-packet-size", "27 00 00 04 00", []), ("server-keep-alive", "13 00 3c", []),
    ]:
        one = sequence(f"says-{name}", f"CONNACK has {name}", *statements)
        one.send("a", p.connect(five, one.client()), "CONNECT").expect("a", f"20 .. 00 00 * {pattern} *", "CONNACK").alive()
    one = sequence("session-expiry-is-cut", "CONNACK says how long the session may last")
    one.send("a", p.connect(five, one.client(), properties=[(p.SESSION_EXPIRY, 1000)]), "CONNECT")
    one.expect("a", "20 .. 00 00 * 11 00 00 00 64 *", "CONNACK").alive()
    one = sequence("keep-alive-is-kept", "a keep-alive within the bound is the client's", "5:MQTT-3.2.2-22")
    one.connect(keep_alive=1).refused(reason=0x8D)
    one = sequence("response-information", "for who asks for it")
    one.send("a", p.connect(five, "resp", properties=[(p.REQUEST_RESPONSE, 1)]), "CONNECT")
    text = p.prop(p.RESPONSE_INFORMATION, "answers/resp/")
    one.expect("a", f"20 .. 00 00 * {text.hex(' ')} *", "CONNACK").alive()
    for name, properties in [("unasked", ()), ("asked-for-none", [(p.REQUEST_RESPONSE, 0)])]:
        one = sequence(f"response-information-{name}", "not for who does not ask", "5:MQTT-3.1.2-31")
        one.send("a", p.connect(five, one.client(), properties=properties), "CONNECT")
        one.expect("a", "20 .. 00 00 *", "CONNACK", without="* 1a 00 .. 61 6e 73 *").alive()
    one = sequence("publish-qos-2", "QoS beyond the maximum", "5:MQTT-3.2.2-11")
    one.connect().send("a", p.publish(five, "t", "m", 2, 1), "PUBLISH").refused(reason=0x9B)
    one = sequence("v311-publish-qos-2", "QoS beyond the maximum", version=p.V311)
    one.connect(keep_alive=60).send("a", p.publish(p.V311, "t", "m", 2, 1), "PUBLISH").closed()
    one = sequence("subscribe-qos-2", "is accepted, with less", "5:MQTT-3.2.2-10", "5:MQTT-3.8.4-7")
    one.connect().subscribed(filters=[(one.topic(), 2), (one.topic("u"), 1)], codes=[1, 1]).alive()
    one = sequence("will-qos-2", "a will beyond the maximum QoS", "5:MQTT-3.2.2-12")
    one.send("a", p.connect(five, "c", will=("t", "w", 2, False, ())), "CONNECT").connect_refused(reason=0x9B)
    one = sequence("will-retain", "a will that is to be retained", "5:MQTT-3.2.2-13")
    one.send("a", p.connect(five, "c", will=("t", "w", 0, True, ())), "CONNECT").connect_refused(reason=0x9A)
    one = sequence("publish-retain", "RETAIN where there is none", "5:MQTT-3.2.2-14")
    one.connect().send("a", p.publish(five, "t", "m", retain=True), "PUBLISH").refused(reason=0x9A)
    one = sequence("wildcard", "a filter with a wildcard")
    one.connect().send("a", p.subscribe(five, 1, [("a/+", 0)]), "SUBSCRIBE").refused(reason=0xA2)
    one = sequence("v311-wildcard", "a filter with a wildcard", "3.1.1:MQTT-3.8.3-2", version=p.V311)
    one.connect(keep_alive=60).subscribed(filters=[("a/+", 0)], codes=[0x80]).alive()
    one = sequence("shared", "a shared subscription")
    one.connect().send("a", p.subscribe(five, 1, [("$share/g/t", 0)]), "SUBSCRIBE").refused(reason=0x9E)
    one = sequence("identifier", "a subscription identifier")
    data = p.subscribe(five, 1, [("t", 0)], [(p.SUBSCRIPTION_ID, 1)])
    one.connect().send("a", data, "SUBSCRIBE").refused(reason=0xA1)
    one = sequence("packet-too-large", "a packet beyond the maximum", "5:MQTT-3.2.2-15")
    one.connect().send("a", p.publish(five, "t", b"x" * 1024), "PUBLISH").refused(reason=0x95)
    one = sequence("packet-just-fits", "a packet of the maximum")
    one.connect().publish("a", "t", b"x" * (1024 - 3 - 3 - 1)).alive()
    one = sequence("v311-packet-too-large", "a packet beyond the maximum", version=p.V311)
    one.connect(keep_alive=60).send("a", p.publish(p.V311, "t", b"x" * 1024), "PUBLISH").closed()
    for version in [p.V31, p.V311]:
        for keep in [0, 61]:
            one = sequence(f"{LABEL[version]}-keep-alive-{keep}", "older clients cannot be told of another keep-alive",
                           version=version)
            one.send("a", p.connect(version, "c", keep_alive=keep), "CONNECT").expect("a", "20 02 00 02", "CONNACK 2").closed()
    one = sequence("topic-alias-at-the-maximum", "all aliases up to the maximum are taken", "5:MQTT-3.3.2-12")
    one.connect()
    for alias in [1, 2, 3]:
        one.publish("a", one.topic(str(alias)), properties=[(p.ALIAS, alias)])
    one.alive()
    one = sequence("topic-alias-beyond", "and none beyond it", "5:MQTT-3.3.2-9", "5:MQTT-3.2.2-17")
    one.connect().send("a", p.publish(five, "t", "m", properties=[(p.ALIAS, 4)]), "PUBLISH").refused(reason=0x94)
    one = sequence("no-assigned-identifiers", "a server may want an identifier", "5:MQTT-3.1.3-8")
    one.send("a", p.connect(five, ""), "CONNECT").connect_refused(reason=0x85)
    none = Chapter("no-aliases", "A server without topic aliases (3.2.2.3.8)", ["mqtt.topic_alias_maximum=0"])
    one = none.sequence("alias", five, "no alias is taken where none is offered", "5:MQTT-3.2.2-18")
    one.connect().send("a", p.publish(five, "t", "m", properties=[(p.ALIAS, 1)]), "PUBLISH").refused(reason=0x94)
    return [limits, none]


def problems():
    chapter = Chapter("problems", "Reasons in words, for who wants them (3.1.2.11.7)")
    quiet = dict(properties=[(p.PROBLEM_INFORMATION, 0)])
    sequence = chapter.sequence("suback", p.V5, "SUBACK has no words", "5:MQTT-3.1.2-32")
    sequence.connect(**quiet).subscribed(filters=[("+/" * 200, 0)], codes=[0x8F]).alive()
    sequence = chapter.sequence("unsuback", p.V5, "nor has UNSUBACK", "5:MQTT-3.1.2-32")
    sequence.connect(**quiet).send("a", p.unsubscribe(p.V5, 1, ["x"]), "UNSUBSCRIBE").expect("a", "b0 04 00 01 00 11", "UNSUBACK")
    for kind, data, answer in [("puback", p.publish(p.V5, "problems/1", "m", 1, 5), "40 03 00 05 10"),
                               ("pubrec", p.publish(p.V5, "problems/2", "m", 2, 5), "50 03 00 05 10"),
                               ("pubcomp", p.ack(p.V5, p.PUBREL, 5), "70 03 00 05 92"),
                               ("pubrel", p.ack(p.V5, p.PUBREC, 5), "62 03 00 05 92")]:
        sequence = chapter.sequence(kind, p.V5, f"nor has {kind.upper()}", "5:MQTT-3.1.2-32")
        sequence.connect(**quiet).send("a", data, "its cause").expect("a", answer, kind.upper()).alive()
    return chapter


def all_chapters():
    return [connect(), credentials(), sessions(), problems(), wills(), keep_alive(), goodbyes(), *offers()]
