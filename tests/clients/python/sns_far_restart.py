"""Topics that deliver to another account's queues, over kills: says "kill", and is told the new port."""

import json
import os
import sys
import urllib.parse
import urllib.request

import boto3

from ports import PORTS

HOME, OTHER = "000000000000", "111111111111"
COUNT = 200


def clients(key, port):
    make = lambda service: boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
    )
    return make("sns"), make("sqs")


def kill():
    global sns, sqs, far
    print("kill", flush=True)
    port = int(sys.stdin.readline())
    (sns, sqs), (_, far) = clients("test", port), clients(OTHER, port)
    return port


def arn(name, account=OTHER):
    return f"arn:aws:sqs:us-east-1:{account}:{name}"


def policy(name, effect):
    statement = {"Effect": effect, "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    statement |= {"Resource": arn(name), "Condition": {"StringEquals": {"aws:SourceAccount": HOME}}}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    far.set_queue_attributes(QueueUrl=far.get_queue_url(QueueName=name)["QueueUrl"], Attributes={"Policy": text})


def receive(sqs, name, wait=10):
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    messages = sqs.receive_message(**asked, WaitTimeSeconds=wait).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return messages


def collect(sqs, name, wanted):
    found = []
    while not wanted <= set(found):
        found += [message["Body"] for message in receive(sqs, name)]
    return found


def find(sqs, name, text):
    """What was sent again after a kill may come before it."""
    while True:
        for message in receive(sqs, name):
            if text in message["Body"]:
                return message


def confirm(name, port):
    question = json.loads(find(far, name, "SubscriptionConfirmation")["Body"])
    assert question["Type"] == "SubscriptionConfirmation" and question["Signature"], question
    assert question["SubscribeURL"].endswith(f"&TopicArn={question['TopicArn']}&Token={question['Token']}")
    link = urllib.parse.urlsplit(question["SubscribeURL"])
    urllib.request.urlopen(link._replace(netloc=f"127.0.0.1:{port}").geturl(), timeout=20).read()


def subscribe(topic, name, **attributes):
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn(name), "Attributes": texts}
    assert sns.subscribe(**given)["SubscriptionArn"] == "pending confirmation"
    return sns.subscribe(**given, ReturnSubscriptionArn=True)["SubscriptionArn"]


port = PORTS["aws"]
(sns, sqs), (_, far) = clients("test", port), clients(OTHER, port)
topic = sns.create_topic(Name="far")["TopicArn"]
sqs.create_queue(QueueName="letters")
far.create_queue(QueueName="inbox")
policy("inbox", "Allow")
letters = {"deadLetterTargetArn": arn("letters", HOME)}
subscription = subscribe(topic, "inbox", RawMessageDelivery="true", RedrivePolicy=letters)
sns.publish(TopicArn=topic, Message="before anybody has confirmed")

# The question is asked with each Subscribe, and survives.
port = kill()
confirm("inbox", port)
assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["PendingConfirmation"] == "false"

# What was published arrives, raw with its attributes, whatever is killed.
attribute = {"kind": {"DataType": "String", "StringValue": "odd"}}
for number in range(COUNT):
    sns.publish(TopicArn=topic, Message=str(number), MessageAttributes=attribute)
port = kill()
for number in range(COUNT, 2 * COUNT):
    sns.publish(TopicArn=topic, Message=str(number), MessageAttributes=attribute)
found = collect(far, "inbox", {str(number) for number in range(2 * COUNT)})
assert "before anybody has confirmed" not in found
sns.publish(TopicArn=topic, Message="whole", MessageAttributes=attribute)
message = find(far, "inbox", "whole")
assert message["MessageAttributes"]["kind"]["StringValue"] == "odd", message

# The queue's policy is asked for each message; what it does not allow goes to the dead-letter queue of the topic's account at once.
policy("inbox", "Deny")
sns.publish(TopicArn=topic, Message="denied")
assert [message["Body"] for message in receive(sqs, "letters")] == ["denied"]
far.set_queue_attributes(QueueUrl=far.get_queue_url(QueueName="inbox")["QueueUrl"], Attributes={"Policy": ""})
sns.publish(TopicArn=topic, Message="not allowed")
assert [message["Body"] for message in receive(sqs, "letters")] == ["not allowed"]
policy("inbox", "Allow")
sns.set_subscription_attributes(
    SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="false"
)
sns.publish(TopicArn=topic, Message="allowed", Subject="again", MessageAttributes=attribute)
message = find(far, "inbox", "allowed")
envelope = json.loads(message["Body"])
assert (envelope["Message"], envelope["Subject"], envelope["TopicArn"]) == ("allowed", "again", topic), envelope
assert subscription in envelope["UnsubscribeURL"] and "Signature" not in envelope
assert envelope["MessageAttributes"]["kind"] == {"Type": "String", "Value": "odd"}
far.delete_queue(QueueUrl=far.get_queue_url(QueueName="inbox")["QueueUrl"])
sns.publish(TopicArn=topic, Message="gone")
assert [json.loads(message["Body"])["Message"] for message in receive(sqs, "letters")] == ["gone"]
sns.unsubscribe(SubscriptionArn=subscription)
assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []

# FIFO: in order and once, whatever is killed.
archived = {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod":"1"}'}
lines = sns.create_topic(Name="lines.fifo", Attributes=archived)["TopicArn"]
far.create_queue(QueueName="lines.fifo", Attributes={"FifoQueue": "true"})
policy("lines.fifo", "Allow")
sns.subscribe(TopicArn=lines, Protocol="sqs", Endpoint=arn("lines.fifo"), Attributes={"RawMessageDelivery": "true"})
confirm("lines.fifo", port)


def line(number):
    group = str(number % 3)
    sns.publish(TopicArn=lines, Message=str(number), MessageGroupId=group, MessageDeduplicationId=f"id-{number}")


for number in range(60):
    line(number)
port = kill()
for number in range(60, 120):
    line(number)


def all_in_order(name):
    # Each Subscribe asks once more; the question may come late.
    lines_of = lambda messages: [one for one in messages if "SubscriptionConfirmation" not in one["Body"]]
    got = []
    while len(got) < 120:
        got += lines_of(receive(far, name))
    assert not lines_of(receive(far, name, 1))
    for group in range(3):
        numbers = [int(one["Body"]) for one in got if one["Attributes"]["MessageGroupId"] == str(group)]
        assert numbers == list(range(group, 120, 3)), numbers
    return got


got = all_in_order("lines.fifo")
assert {one["Attributes"]["MessageDeduplicationId"] for one in got} == {f"id-{number}" for number in range(120)}

# So does what is replayed. It begins when the subscription is confirmed.
far.create_queue(QueueName="again.fifo", Attributes={"FifoQueue": "true"})
policy("again.fifo", "Allow")
replay = {"PointType": "Timestamp", "StartingPoint": "2026-01-01T00:00:00Z"}
again = subscribe(lines, "again.fifo", RawMessageDelivery="true", ReplayPolicy=replay)
port = kill()
confirm("again.fifo", port)
port = kill()
for one in all_in_order("again.fifo"):
    assert one["MessageAttributes"]["Replayed"]["StringValue"] == "true", one
sns.unsubscribe(SubscriptionArn=again)
