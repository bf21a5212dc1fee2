"""What every client program needs: the ports, and a way to wait that is not a hope."""

import json
import os
import time

PORTS = json.loads(os.environ["CROSSDOCK_PORTS"])
PATIENCE_S = 30


def wait_for(what, ask):
    """Asks until the answer is true, and gives it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")
