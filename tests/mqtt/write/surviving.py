"""What survives a crash of the broker, and what users may do."""

import packets as p
from connecting import expiring
from format import LABEL
from sequences import Chapter

VERSIONS = [p.V311, p.V5]


def again(sequence, who, topic, payload):
    """A QoS 1 message comes, with DUP or without."""
    tokens = p.publish(sequence.version, topic, payload, 1, 1).hex(" ").split()
    at = 4 + len(topic)
    tokens[0], tokens[at], tokens[at + 1] = "..", "..", ".."
    sequence.expect(who, " ".join(tokens), "PUBLISH again").steps.append({"on": who, "acknowledge": 1})
    return sequence


def restarts():
    chapter = Chapter("restarts", "After kill -9 (4.1, 4.3, 4.4)")
    for version in VERSIONS:
        label, stay, five = LABEL[version], expiring(version), version == p.V5

        def begin(name, about, older, newer, label=label, version=version):
            statements = [f"5:MQTT-{one}" for one in newer] if version == p.V5 else [f"3.1.1:MQTT-{one}" for one in older]
            sequence = chapter.sequence(f"{label}-{name}", version, about, *statements)
            return sequence, sequence.topic()

        sequence, topic = begin("session", "sessions, subscriptions and messages are there", ["4.1.0-1", "4.5.0-1"], ["4.5.0-1", "3.1.2-25"])
        sequence.connect(**stay).subscribed(filters=[(topic, 2)]).drop().connect("b").publish("b", topic, "1", 1, 1)
        sequence.publish("b", topic, "2", 2, 2).restart().connect(present=True, **stay).receives("a", topic, "1", 1)
        sequence.receives("a", topic, "2", 2).alive()
        sequence, topic = begin("retained", "retained messages are there", ["3.3.1-5"], ["3.3.1-5"])
        sequence.connect().publish("a", topic, "kept", 1, retain=True).restart().connect().subscribed(filters=[(topic, 0)])
        sequence.receives("a", topic, "kept", retain=True).alive()
        pubrec = "50 .. 00 05 *" if five else "50 02 00 05"
        sequence, topic = begin("qos-2-from-the-client", "a QoS 2 message that was received is received once (MQ-13)",
                                ["4.3.3-2"], ["4.3.3-10", "4.3.3-12"])
        sequence.connect("b", **stay).subscribed("b", [(topic, 1)]).connect(**stay)
        sequence.send("a", p.publish(version, topic, "once", 2, 5), "PUBLISH").expect("a", pubrec, "PUBREC")
        sequence.comes("b", topic, "once", 1).restart().connect(present=True, **stay)
        sequence.send("a", p.publish(version, topic, "once", 2, 5, dup=True), "PUBLISH again").expect("a", pubrec, "PUBREC")
        sequence.send("a", p.ack(version, p.PUBREL, 5), "PUBREL").expect("a", p.ack(version, p.PUBCOMP, 5), "PUBCOMP")
        # Whether a message was sent before is not kept: DUP may be 0 after a crash.
        again(sequence.connect("b", present=True, **stay), "b", topic, "once").publish("a", topic, "mark", 1, 9)
        sequence.receives("b", topic, "mark", 1).alive("b")
        sequence, topic = begin("qos-2-to-the-client", "PUBREL comes again after a crash", ["4.4.0-1"], ["4.4.0-1", "4.3.3-5"])
        sequence.connect(**stay).subscribed(filters=[(topic, 2)]).connect("b").publish("b", topic, "m", 2, 9)
        sequence.comes("a", topic, "m", 2).acknowledges("a", p.PUBREC, 1).expects_of("a", p.PUBREL, 1).restart()
        sequence.connect(present=True, **stay).expect("a", "62 02 .. ..", "PUBREL again").acknowledges("a", p.PUBCOMP, 1)
        sequence.alive().drop().connect(present=True, **stay).alive()
        sequence, topic = begin("unacknowledged", "what was not acknowledged comes again", ["4.4.0-1"], ["4.4.0-1", "3.3.1-1"])
        sequence.connect(**stay).subscribed(filters=[(topic, 1)]).connect("b").publish("b", topic, "m", 1, 9)
        sequence.comes("a", topic, "m", 1).restart().connect(present=True, **stay)
        again(sequence, "a", topic, "m").alive()
        sequence, topic = begin("shared", "messages of a shared subscription are there", [], ["4.8.2-4"])
        filter_ = f"$share/{sequence.token}/{topic}"
        sequence.connect(**stay).subscribed(filters=[(filter_, 1)]).drop().connect("b").publish("b", topic, "m", 1)
        sequence.restart().connect(present=True, **stay).receives("a", topic, "m", 1).alive()
    return chapter


CONFIG = """
[[users]]
name = "sensor"
password = "sensor"
permissions = [{ vhost = "/", configure = "^(session|share)", write = "^(session|share|amq.topic)", read = ".*" }]

[[users]]
name = "nothing"
password = "nothing"
permissions = [{ vhost = "/", configure = "^session", write = "^session", read = "^session" }]

[[users]]
name = "elsewhere"
password = "elsewhere"
permissions = [{ vhost = "other", configure = ".*", write = ".*", read = ".*" }]
"""


def permissions():
    chapter = Chapter("permissions", "What users may do (5.4)", config=CONFIG)
    chapter.settings = ['vhosts=["/", "other"]']
    for version in [p.V31, p.V311, p.V5]:
        label, five = LABEL[version], version == p.V5
        nothing = dict(user="nothing", password="nothing")
        sensor = dict(user="sensor", password="sensor")
        sequence = chapter.sequence(f"{label}-no-vhost", version, "a user without permissions in the vhost")
        data = p.connect(version, "c", user="elsewhere", password="elsewhere")
        sequence.send("a", data, "CONNECT").connect_refused(reason=0x87, code=5)
        sequence = chapter.sequence(f"{label}-named-vhost", version, "vhost:user names a vhost")
        sequence.connect(user="other:elsewhere", password="elsewhere").alive()
        sequence = chapter.sequence(f"{label}-unknown-vhost", version, "a vhost that is not there")
        data = p.connect(version, "c", user="nowhere:elsewhere", password="elsewhere")
        sequence.send("a", data, "CONNECT").connect_refused(reason=0x87, code=5)
        numbers = ["5:MQTT-3.9.3-2"] if five else ["3.1.1:MQTT-3.9.3-2"] if version == p.V311 else []
        sequence = chapter.sequence(f"{label}-subscribe", version, "SUBACK says that it is not allowed", *numbers)
        code = 0x87 if five else 0x80
        sequence.connect(**nothing).subscribed(filters=[(sequence.topic(), 0), (sequence.topic("#"), 1)], codes=[code, code])
        sequence.alive()
        for qos in [0, 1, 2]:
            numbers = ["3.1.1:MQTT-3.3.5-2"] if version == p.V311 else []
            sequence = chapter.sequence(f"{label}-publish-{qos}", version, "a message that is not allowed goes nowhere", *numbers)
            topic = sequence.topic()
            sequence.connect("b", **sensor).subscribed("b", [(topic, 0)]).connect(**nothing)
            sequence.send("a", p.publish(version, topic, "no", qos, 3), "PUBLISH")
            if five and qos:
                sequence.expect("a", p.ack(version, p.PUBACK if qos == 1 else p.PUBREC, 3, 0x87), "0x87").alive()
            else:
                sequence.refused("a", 0x87)
            sequence.publish("b", topic, "mark").receives("b", topic, "mark").alive("b")
        sequence = chapter.sequence(f"{label}-will", version, "a will that is not allowed is not sent (MQ-11)")
        topic = sequence.topic()
        sequence.connect("b", **sensor).subscribed("b", [(topic, 0)]).connect(will=(topic, "no", 0, False, ()), **nothing).drop()
        sequence.pause(100).publish("b", topic, "mark").receives("b", topic, "mark").alive("b")
        sequence = chapter.sequence(f"{label}-retained", version, "retained messages are not read by who may not (MQ-11)")
        topic = sequence.topic()
        sequence.connect("b", **sensor).publish("b", topic, "kept", retain=True).connect(**nothing)
        sequence.subscribed(filters=[(topic, 0)], codes=[code]).alive().publish("b", topic, "", retain=True).alive("b")
        sequence = chapter.sequence(f"{label}-shared", version, "nor through a shared subscription (MQ-11)")
        filter_ = f"$share/{sequence.token}/{sequence.topic()}"
        sequence.connect(**nothing).subscribed(filters=[(filter_, 0)], codes=[code]).alive()
        sequence = chapter.sequence(f"{label}-user-with-strange-name", version, "user names are names (MQ-9)")
        for name in ["#", "+", "/", ".*", "sensor\n", "x" * 65_535]:
            data = p.connect(version, "c", user=name, password="sensor")
            if len(name) > 1000:
                # Larger than a first packet may be.
                sequence.send("a", data, f"CONNECT of a long name").closed()
                continue
            sequence.send("a", data, f"CONNECT of {name!r}").connect_refused(reason=0x86, code=4)
    return chapter


def all_chapters():
    return [restarts(), permissions()]
