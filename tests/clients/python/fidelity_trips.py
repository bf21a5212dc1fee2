"""There and back: what B got from A, B sends again as it is, and A has everything that A had said."""

from fidelity_hall import difference, send_and_receive
from fidelity_table import AMQP, MQTT5, ROWS, SQS, STOMP

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


def trip(doors, a, b, message):
    return send_and_receive(doors, b, send_and_receive(doors, a, message)[b])[a]
