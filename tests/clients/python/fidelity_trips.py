"""There and back: what B got from A, B sends again as it is, and A has everything that A had said."""

import time

from fidelity_doors import Late
from fidelity_hall import difference, send_and_receive
from fidelity_table import AMQP, MQTT5, ROWS, SNS, SQS, STOMP, between

DOORS = (AMQP, MQTT5, STOMP, SQS)
TRIPS = [(a, b) for a in DOORS for b in DOORS if a != b]


def there_and_back(doors):
    """Gives what is not back."""
    for a, b in ((a, b) for a, b in TRIPS if a in doors and b in doors):
        plain = trip(doors, a, b, {})
        for row in (row for row in ROWS if a in row.sends and b not in row.not_through):
            got = trip(doors, a, b, row.sends[a])
            if problem := difference(got, row.there_and_back(a), plain):
                yield f"{row.name}: {a} → {b} → {a}: {problem}"


LEFT_S = between(55, 58)


def what_is_left_of_time(doors):
    """A message that waited two seconds says so to a reader of MQTT 5, whoever sent it; gives where it does not."""
    late = Late()
    for name in (name for name in (AMQP, MQTT5, STOMP, SNS) if name in doors):
        late.leave()
        ttl = next(row for row in ROWS if row.name == "time to live").sends[name]
        send_and_receive(doors, name, ttl)
        time.sleep(2.1)
        left = late.left_s()
        if left != LEFT_S:
            yield f"time to live: {name} → MQTT 5 after 2 s: {left}"


def trip(doors, a, b, message):
    return send_and_receive(doors, b, send_and_receive(doors, a, message)[b])[a]
