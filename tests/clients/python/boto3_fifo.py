"""boto3 against SQS FIFO queues: groups, order, deduplication, attributes, dead letters."""

import hashlib
import json
import os

import boto3
from botocore.config import Config

PORTS = json.loads(os.environ["CROSSDOCK_PORTS"])

sqs = boto3.client(
    "sqs",
    endpoint_url=f"http://127.0.0.1:{PORTS['aws']}",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(retries={"total_max_attempts": 1}),
)


def queue(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})["QueueUrl"]


def send(url, group, body, **arguments):
    return sqs.send_message(QueueUrl=url, MessageGroupId=group, MessageBody=body, **arguments)


def receive(url, count=10, wait=1, **arguments):
    arguments = {"AttributeNames": ["All"], **arguments}
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, WaitTimeSeconds=wait, **arguments)
    return answer.get("Messages", [])


def delete(url, messages):
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def bodies(messages):
    return [message["Body"] for message in messages]


def test_attributes():
    url = queue("attributes.fifo")
    names = ["FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert [attributes[name] for name in names] == ["true", "false", "queue", "perQueue"], attributes
    high = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=high)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert [attributes[name] for name in names] == ["true", "false", "messageGroup", "perMessageGroupId"], attributes
    assert url in sqs.list_queues(QueueNamePrefix="attributes")["QueueUrls"]


def test_groups():
    url = queue("groups.fifo", ContentBasedDeduplication="true")
    entries = [
        {"Id": str(number), "MessageBody": f"{group}{number}", "MessageGroupId": group}
        for number, group in enumerate(["a", "a", "b", "a", "c"])
    ]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    numbers = [int(one["SequenceNumber"]) for one in sent]
    assert numbers == sorted(numbers) and len(set(numbers)) == 5 and len(str(numbers[0])) == 20, sent
    first = receive(url, 1)
    assert bodies(first) == ["a0"], first
    attributes = first[0]["Attributes"]
    assert attributes["MessageGroupId"] == "a" and attributes["SequenceNumber"] == sent[0]["SequenceNumber"]
    assert attributes["MessageDeduplicationId"] == hashlib.sha256(b"a0").hexdigest(), attributes
    assert bodies(receive(url)) == ["b2", "c4"]
    assert receive(url, wait=0) == []
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"], VisibilityTimeout=0)
    again = receive(url)
    assert bodies(again) == ["a0", "a1", "a3"], again
    delete(url, again)
    assert receive(url, wait=0) == []


def test_deduplication():
    url = queue("known.fifo")
    one = send(url, "g", "first", MessageDeduplicationId="x")
    delete(url, receive(url))
    two = send(url, "h", "second", MessageDeduplicationId="x")
    assert (two["MessageId"], two["SequenceNumber"]) == (one["MessageId"], one["SequenceNumber"]), (one, two)
    three = send(url, "g", "third", MessageDeduplicationId="y")
    assert three["MessageId"] != one["MessageId"] and int(three["SequenceNumber"]) > int(one["SequenceNumber"])
    assert bodies(receive(url)) == ["third"]


def test_scope_of_the_group():
    url = queue("scope.fifo", DeduplicationScope="messageGroup", ContentBasedDeduplication="true")
    for group in ["a", "b", "a"]:
        send(url, group, "same")
    assert bodies(receive(url)) == ["same", "same"]


def test_dead_letters():
    dead = queue("dead.fifo")
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = queue("alive.fifo", RedrivePolicy=policy, VisibilityTimeout="0")
    for number in range(2):
        send(url, "g", str(number), MessageDeduplicationId=str(number))
    assert bodies(receive(url, 1)) == ["0"]
    letters = receive(dead, wait=5)
    assert bodies(letters) == ["0"] and letters[0]["Attributes"]["MessageGroupId"] == "g", letters
    assert bodies(receive(url, 1)) == ["1"]


def test_purge():
    url = queue("purge.fifo")
    for number in range(3):
        send(url, "g", str(number), MessageDeduplicationId=str(number))
    held = receive(url, 1)
    sqs.purge_queue(QueueUrl=url)
    delete(url, held)
    send(url, "g", "new", MessageDeduplicationId="new")
    assert bodies(receive(url)) == ["new"]


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(name, "passed")
