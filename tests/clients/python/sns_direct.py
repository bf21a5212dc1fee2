"""What was handed to the outbox: the texts and pushes that Publish sends to one number or endpoint."""

import base64
import json
import os
import time
import urllib.error
import urllib.request

PORTS = json.loads(os.environ["CROSSDOCK_PORTS"])
COUNT_MAX = 10_000


def records():
    """Everything in the outbox; nothing is taken from it."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['management']}/api/queues/%2F/aws.sns.outbox/get",
        json.dumps({"count": COUNT_MAX, "ackmode": "ack_requeue_true", "encoding": "auto"}).encode(),
        {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return [json.loads(message["payload"]) for message in json.load(answer)]
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
        return []


def wait_for(endpoint, count=1):
    """What was sent there, when it is that much."""
    for _ in range(200):
        found = [record for record in records() if record["Endpoint"] == endpoint]
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError((endpoint, count, found))
