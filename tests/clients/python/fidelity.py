"""The fidelity matrix: every property from every door to every door, there and back, as its table says.

`CROSSDOCK_WRITE_FIDELITY=1` writes `docs/fidelity.md`; otherwise it has to be what would be written.
"""

import os
import sys
from itertools import chain
from pathlib import Path

from fidelity_hall import difference, open_doors, send_and_receive
from fidelity_page import page
from fidelity_table import ROWS, SENDERS
from fidelity_trips import there_and_back, what_is_left_of_time
from ports import PORTS

PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"


def matrix(doors):
    """Every sender × every receiver × every property; gives what is not as the table says."""
    for sender in (sender for sender in SENDERS if sender in doors):
        plain = send_and_receive(doors, sender, {})
        for receiver, message in plain.items():
            if names := undeclared(sender, receiver, message):
                yield f"{sender} → {receiver}: {names} in a plain message: {message}"
        for row in (row for row in ROWS if sender in row.sends):
            for receiver, got in send_and_receive(doors, sender, row.sends[sender]).items():
                if problem := cell(row, sender, receiver, got, plain[receiver]):
                    yield f"{row.name}: {sender} → {receiver}: {problem}"


def cell(row, sender, receiver, got, plain):
    outcome = row.outcome(sender, receiver)
    return difference(got, outcome.got, plain) if outcome else f"the table says nothing: {got}"


def undeclared(sender, receiver, plain):
    """What a plain message has that no row speaks of."""
    outcomes = [row.outcome(sender, receiver) for row in ROWS if sender in row.sends]
    return set(plain) - {"body"} - {name for outcome in outcomes if outcome for name in outcome.got}


def missing_doors():
    return [f"the {door} door is missing" for door in ("amqp", "mqtt", "stomp", "aws") if door not in PORTS]


def check_page():
    text = page()
    if os.environ.get("CROSSDOCK_WRITE_FIDELITY"):
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        yield f"{PAGE} is not what the table says: CROSSDOCK_WRITE_FIDELITY=1 writes it"


if __name__ == "__main__":
    opened = open_doors()
    count = 0
    for problem in chain(missing_doors(), matrix(opened), there_and_back(opened), what_is_left_of_time(opened), check_page()):
        print(problem, flush=True)
        count += 1
    sys.exit(1 if count else 0)
