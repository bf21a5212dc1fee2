"""Packets of MQTT 3.1, 3.1.1 and 5 as bytes, from the specifications' tables."""

V31, V311, V5 = 3, 4, 5

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

NAMES = ["reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]

# Section 2.1.3: the flags of each type; PUBLISH has its own.
FLAGS = {kind: 0 for kind in range(1, 16)} | {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

# Section 2.2.2.2, table 2-4: identifier, name, type, and the packets that may have it ("will" is the will's own section).
BYTE, TWO, FOUR, VARIABLE, TEXT, BINARY, PAIR = "byte", "two", "four", "variable", "text", "binary", "pair"
EVERYWHERE = {"CONNECT", "CONNACK", "PUBLISH", "will", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
              "UNSUBSCRIBE", "UNSUBACK", "DISCONNECT", "AUTH"}
PROPERTIES = [
    (0x01, "payload format", BYTE, {"PUBLISH", "will"}),
    (0x02, "message expiry", FOUR, {"PUBLISH", "will"}),
    (0x03, "content type", TEXT, {"PUBLISH", "will"}),
    (0x08, "response topic", TEXT, {"PUBLISH", "will"}),
    (0x09, "correlation data", BINARY, {"PUBLISH", "will"}),
    (0x0B, "subscription identifier", VARIABLE, {"PUBLISH", "SUBSCRIBE"}),
    (0x11, "session expiry", FOUR, {"CONNECT", "CONNACK", "DISCONNECT"}),
    (0x12, "assigned client identifier", TEXT, {"CONNACK"}),
    (0x13, "server keep alive", TWO, {"CONNACK"}),
    (0x15, "authentication method", TEXT, {"CONNECT", "CONNACK", "AUTH"}),
    (0x16, "authentication data", BINARY, {"CONNECT", "CONNACK", "AUTH"}),
    (0x17, "request problem information", BYTE, {"CONNECT"}),
    (0x18, "will delay", FOUR, {"will"}),
    (0x19, "request response information", BYTE, {"CONNECT"}),
    (0x1A, "response information", TEXT, {"CONNACK"}),
    (0x1C, "server reference", TEXT, {"CONNACK", "DISCONNECT"}),
    (0x1F, "reason string", TEXT, {"CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK",
                                   "DISCONNECT", "AUTH"}),
    (0x21, "receive maximum", TWO, {"CONNECT", "CONNACK"}),
    (0x22, "topic alias maximum", TWO, {"CONNECT", "CONNACK"}),
    (0x23, "topic alias", TWO, {"PUBLISH"}),
    (0x24, "maximum QoS", BYTE, {"CONNACK"}),
    (0x25, "retain available", BYTE, {"CONNACK"}),
    (0x26, "user property", PAIR, EVERYWHERE),
    (0x27, "maximum packet size", FOUR, {"CONNECT", "CONNACK"}),
    (0x28, "wildcard subscription available", BYTE, {"CONNACK"}),
    (0x29, "subscription identifiers available", BYTE, {"CONNACK"}),
    (0x2A, "shared subscription available", BYTE, {"CONNACK"}),
]
TYPES = {identifier: kind for identifier, _, kind, _ in PROPERTIES}

(PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION_ID, SESSION_EXPIRY, ASSIGNED_ID,
 SERVER_KEEP_ALIVE, AUTH_METHOD, AUTH_DATA, PROBLEM_INFORMATION, WILL_DELAY, REQUEST_RESPONSE, RESPONSE_INFORMATION,
 SERVER_REFERENCE, REASON_STRING, RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER,
 MAXIMUM_PACKET, WILDCARD_AVAILABLE, IDENTIFIERS_AVAILABLE, SHARED_AVAILABLE) = [entry[0] for entry in PROPERTIES]


def two(number):
    return number.to_bytes(2, "big")


def four(number):
    return number.to_bytes(4, "big")


def variable(number):
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(out)


def raw(value):
    return value.encode() if isinstance(value, str) else value


def string(value):
    return two(len(raw(value))) + raw(value)


def prop(identifier, value):
    kind = TYPES[identifier]
    if kind == BYTE:
        body = bytes([value])
    elif kind == TWO:
        body = two(value)
    elif kind == FOUR:
        body = four(value)
    elif kind == VARIABLE:
        body = variable(value)
    elif kind == PAIR:
        body = string(value[0]) + string(value[1])
    else:
        body = string(value)
    return bytes([identifier]) + body


def section(properties):
    """The properties with their length; bytes are taken as they are."""
    body = properties if isinstance(properties, bytes) else b"".join(prop(*entry) for entry in properties)
    return variable(len(body)) + body


def packet(kind, body=b"", flags=None):
    return bytes([kind << 4 | (FLAGS[kind] if flags is None else flags)]) + variable(len(body)) + body


def own(version, properties):
    """The property section, which only version 5 has."""
    return section(properties) if version == V5 else b""


def connect(version, client, clean=True, keep_alive=0, properties=(), will=None, user=None, password=None, flags=None,
            name=None, level=None):
    """`will` is (topic, payload, qos, retain, properties)."""
    name = ("MQIsdp" if version == V31 else "MQTT") if name is None else name
    bits = 2 if clean else 0
    payload = string(client)
    if will is not None:
        topic, message, qos, retain, will_properties = will
        bits |= 4 | qos << 3 | (32 if retain else 0)
        payload += own(version, will_properties) + string(topic) + string(message)
    if user is not None:
        bits |= 128
        payload += string(user)
    if password is not None:
        bits |= 64
        payload += string(password)
    head = string(name) + bytes([version if level is None else level, bits if flags is None else flags]) + two(keep_alive)
    return packet(CONNECT, head + own(version, properties) + payload)


def publish(version, topic, payload=b"", qos=0, identifier=0, retain=False, dup=False, properties=()):
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    head = string(topic) + (two(identifier) if qos else b"")
    return packet(PUBLISH, head + own(version, properties) + raw(payload), flags)


def ack(version, kind, identifier, reason=None, properties=None):
    body = two(identifier)
    if version == V5 and reason is not None:
        body += bytes([reason])
    if version == V5 and properties is not None:
        body += section(properties)
    return packet(kind, body)


def subscribe(version, identifier, filters, properties=()):
    """`filters` are (filter, options)."""
    body = b"".join(string(text) + bytes([options]) for text, options in filters)
    return packet(SUBSCRIBE, two(identifier) + own(version, properties) + body)


def unsubscribe(version, identifier, filters, properties=()):
    body = b"".join(string(text) for text in filters)
    return packet(UNSUBSCRIBE, two(identifier) + own(version, properties) + body)


def disconnect(version, reason=None, properties=None):
    body = b""
    if version == V5 and reason is not None:
        body += bytes([reason])
    if version == V5 and properties is not None:
        body += section(properties)
    return packet(DISCONNECT, body)


def auth(reason=None, properties=None):
    body = b"" if reason is None else bytes([reason])
    return packet(AUTH, body + (b"" if properties is None else section(properties)))
