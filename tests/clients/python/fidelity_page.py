"""`docs/fidelity.md`, printed from the table that the test asserts."""

from fidelity_table import NO_PROPERTIES, RECEIVERS, ROWS, SENDERS
from fidelity_trips import TRIPS

HEAD = """# What survives the way from one protocol to another

`tests/clients/python/fidelity.py` writes this page from the table that it checks: pika, paho, stomp.py and boto3 send each
property through every door, receive it through every door, and send it back. A message has what is written here and nothing else;
if the broker does anything else, or this page says anything else, the test fails.

| word | meaning |
|---|---|
| native | the receiver's own property, header or attribute has the value |
| envelope | it travels in a header, user property or attribute `crossdock.*`; sent back so, it is what it was |
| converted | it arrives in another form, as stated; sent back so, it is what it was |
| lost | it does not arrive, for the reason stated |
| – | there is no way: SendMessage goes to one queue, never through a topic |

A receiver of the sender's own protocol gets what was sent without any conversion. MQTT 3.1.1 receivers get topic, body and QoS
only, whatever was sent: the protocol has no properties.

`crossdock.ttl-ms` and `crossdock.priority` from SQS and SNS are obeyed like the properties that they stand for; from MQTT,
`crossdock.priority` is carried to the readers but does not change the order in which the broker hands messages out.
`crossdock.user-id` is the property only if it is the user who is logged in: readers may trust the property.

Names and values longer than 100 characters are cut here, not there.
"""


def page():
    details = [text for row in ROWS for text in detail(row)]
    return "\n".join([HEAD, *overview(), "", *losses(), "", *trips(), "", *details]).rstrip() + "\n"


def overview():
    """One line for each property: how it arrives, with the senders that differ."""
    yield "## At a glance\n"
    yield line("property", *RECEIVERS)
    yield line(*["---"] * (len(RECEIVERS) + 1))
    for row in ROWS:
        yield line(row.name, *(glance(row, receiver) for receiver in RECEIVERS))


def glance(row, receiver):
    ways = {}
    for sender in row.sends:
        if outcome := row.outcome(sender, receiver):
            ways.setdefault(outcome.how, []).append(sender)
    if len(ways) == 1:
        return next(iter(ways))
    return "; ".join(f"{way} ({', '.join(senders)})" for way, senders in ways.items()) or "–"


def losses():
    """Everything that does not arrive, with the reason, but for MQTT 3.1.1's having no properties."""
    yield "## What is lost\n"
    for row in ROWS:
        pairs = [(sender, receiver) for sender in row.sends for receiver in RECEIVERS]
        reasons = {}
        for sender, receiver in pairs:
            outcome = row.outcome(sender, receiver)
            if outcome and outcome.how == "lost" and outcome.note != NO_PROPERTIES:
                reasons.setdefault(outcome.note, []).append(f"{sender} → {receiver}")
        yield from (f"- {row.name}, {', '.join(ways)}: {why}" for why, ways in reasons.items())


def trips():
    """The way there and back."""
    yield "## There and back\n"
    yield "A message that B's client sends again with everything it was given has at A everything that A had said, types included:\n"
    for door in dict(TRIPS):
        yield f"- {', '.join(f'{a} → {b} → {a}' for a, b in TRIPS if a == door)}"
    for row in ROWS:
        for door, why in row.not_through.items():
            yield f"- except {row.name}, through {door}: {why}"


def detail(row):
    yield f"## {row.name[0].upper()}{row.name[1:]}\n"
    yield line("from", "as", *RECEIVERS)
    yield line(*["---"] * (len(RECEIVERS) + 2))
    for sender in (sender for sender in SENDERS if sender in row.sends):
        outcomes = [row.outcome(sender, receiver) for receiver in RECEIVERS]
        yield line(sender, shown(row.sends[sender]), *(outcome.how if outcome else "–" for outcome in outcomes))
    yield ""
    yield from received(row)
    yield ""


def received(row):
    """How it looks to the receivers; those who see the same share a line, and senders are named where it depends on them."""
    lines = {}
    for receiver in RECEIVERS:
        lines.setdefault(tuple(forms(row, receiver)), []).append(receiver)
    for texts, receivers in lines.items():
        yield from (f"- {', '.join(receivers)}{text}" for text in texts)


def forms(row, receiver):
    senders = {}
    for sender in row.sends:
        if outcome := row.outcome(sender, receiver):
            senders.setdefault(form(outcome), []).append(sender)
    if len(senders) == 1:
        return [f": {text}" for text in senders]
    return [f" from {', '.join(names)}: {text}" for text, names in senders.items()]


def form(outcome):
    note = f" ({outcome.note})" if outcome.note and outcome.got else outcome.note
    return (shown(outcome.got) if outcome.got else "" if outcome.note else "nothing is needed") + note


def shown(message):
    """Addresses and values, as short as they can be understood."""
    return ", ".join(f"`{name}` {value(what)}" for name, what in message.items()) or "as every message"


def value(what):
    kind, what = what if isinstance(what, tuple) else ("", what)
    text = str(readable(what)).replace("|", "\\|")
    return f"{kind} `{text}`".strip() if len(text) <= 100 else f"{kind} `{text[:60]}`…".strip()


def readable(what):
    """Bytes as text where they are text."""
    try:
        return what.decode() if isinstance(what, bytes) and what.decode().isprintable() else what
    except UnicodeDecodeError:
        return what


def line(*cells):
    return f"| {' | '.join(cells)} |"
