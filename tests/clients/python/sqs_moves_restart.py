"""A message move task while the broker is killed: says "kill" when it likes, and is told the new port. Nothing is lost or doubled."""

import json
import os
import sys
import time

import boto3
from botocore.config import Config

KILLS = 4
MESSAGES = 3_000
PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]


def client(port):
    return boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def arn(name):
    return f"arn:aws:sqs:us-east-1:000000000000:{name}"


def url(name):
    return f"http://localhost/000000000000/{name}"


def kill():
    print("kill", flush=True)
    return client(int(sys.stdin.readline()))


def read(sqs, name):
    """Everything that is in the queue."""
    found = []
    while True:
        got = sqs.receive_message(QueueUrl=url(name), MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages", [])
        if not got:
            return found
        found += [int(message["Body"]) for message in got]


sqs = client(PORT)
sqs.create_queue(QueueName="letters")
policy = json.dumps({"deadLetterTargetArn": arn("letters"), "maxReceiveCount": 1})
sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy})
# Queues are spread over journals: some of these are in another one than the letters.
targets = ["target-0", "target-1", "target-2", "target-3"]
for name in targets:
    sqs.create_queue(QueueName=name)
for begin in range(0, MESSAGES, 10):
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(begin, begin + 10)]
    sqs.send_message_batch(QueueUrl=url("letters"), Entries=entries)
for attempt in range(KILLS):
    source = "letters" if attempt == 0 else targets[attempt - 1]
    if attempt:
        sqs.set_queue_attributes(QueueUrl=url("orders"), Attributes={"RedrivePolicy": policy.replace("letters", source)})
    sqs.start_message_move_task(SourceArn=arn(source), DestinationArn=arn(targets[attempt]))
    time.sleep(0.03 * attempt)
    sqs = kill()
    for _ in range(400):
        task = sqs.list_message_move_tasks(SourceArn=arn(source))["Results"][0]
        if task["Status"] != "RUNNING":
            break
        time.sleep(0.05)
    assert task["Status"] == "COMPLETED", task
    counts = [
        sqs.get_queue_attributes(QueueUrl=url(name), AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"]
        for name in (source, targets[attempt])
    ]
    assert counts == ["0", str(MESSAGES)], (attempt, counts)
assert sorted(read(sqs, targets[-1])) == list(range(MESSAGES))
