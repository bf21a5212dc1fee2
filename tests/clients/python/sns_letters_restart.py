"""Subscriptions whose queue is gone or denies them, over kills: says "kill", and is told the new port."""

import json
import urllib.request

import pika

from aws_kills import clients, kill
from ports import PORTS, wait_for

ACCOUNT = "000000000000"


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def queue(name):
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def subscribe(topic, name, **attributes):
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn(name), "Attributes": texts}
    return sns.subscribe(**given)["SubscriptionArn"]


def letters_to(name):
    return {"deadLetterTargetArn": arn(name)}


def received(name, wait=0):
    """All that is there, and nothing of it afterwards."""
    url, got = sqs.get_queue_url(QueueName=name)["QueueUrl"], []
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while messages := sqs.receive_message(**asked, WaitTimeSeconds=0 if got else wait).get("Messages"):
        got += messages
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return got


def bodies(name, wait=0):
    return [message["Body"] for message in received(name, wait)]


def deny(name, **condition):
    statement = {"Effect": "Deny", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    statement |= {"Resource": arn(name), **condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], Attributes={"Policy": policy})


def allow(name):
    sqs.set_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], Attributes={"Policy": ""})


def publish(text, topic=None, **more):
    return sns.publish(TopicArn=topic or prices, Message=text, **more)["MessageId"]


def delete(name):
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])


def dropped():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORTS['management']}/metrics") as page:
        lines = page.read().decode().splitlines()
    name = "crossdock_sns_deliveries_total{"
    counts = [line.split()[-1] for line in lines if line.startswith(name) and 'protocol="sqs"' in line and "dropped" in line]
    return int(counts[0]) if counts else 0


sns, sqs = clients(PORTS["aws"])
prices = sns.create_topic(Name="prices")["TopicArn"]
for each in ("orders", "letters", "raws", "raw-letters", "plain"):
    queue(each)
orders = subscribe(prices, "orders", RedrivePolicy=letters_to("letters"))
raws = subscribe(prices, "raws", RedrivePolicy=letters_to("raw-letters"), RawMessageDelivery="true")
plain = subscribe(prices, "plain", RawMessageDelivery="true")

# A policy that denies the topic ends deliveries, and their end begins them again. What was delivered before stays what it is.
publish("before")
deny("orders", Condition={"ArnEquals": {"aws:SourceArn": prices}})
deny("raws")
attribute = {"kind": {"DataType": "String", "StringValue": "odd"}}
denied = publish("denied", MessageAttributes=attribute)
got = [json.loads(body)["Message"] for body in bodies("orders")]
assert got == ["before"], got
assert bodies("raws") == ["before"] and bodies("plain") == ["before", "denied"]
(letter,) = received("letters")
envelope = json.loads(letter["Body"])
assert envelope["Message"] == "denied" and envelope["MessageId"] == denied and envelope["TopicArn"] == prices, envelope
assert envelope["MessageAttributes"] == {"kind": {"Type": "String", "Value": "odd"}} and orders in envelope["UnsubscribeURL"]
assert "MessageAttributes" not in letter and "DeadLetterQueueSourceArn" not in letter["Attributes"]
(letter,) = received("raw-letters")
assert letter["Body"] == "denied" and set(letter["MessageAttributes"]) == {"kind"}, letter
deny("orders", Condition={"ArnEquals": {"aws:SourceArn": prices + "-of-others"}})
allow("raws")
publish("allowed")
assert len(received("orders")) == 1 and bodies("raws") == ["allowed"] and not received("letters")

# It is asked after Subscribe only: what is subscribed while it denies gets messages when it does not any more.
deny("orders")
later = sns.create_topic(Name="later")["TopicArn"]
subscribe(later, "orders")
publish("dropped", later)
allow("orders")
publish("taken", later)
assert [json.loads(body)["Message"] for body in bodies("orders")] == ["taken"]
assert dropped() == 1, dropped()

# RemovePermission takes away a statement that denies, too.
deny("orders", Sid="no")
publish("to letters")
sqs.remove_permission(QueueUrl=sqs.get_queue_url(QueueName="orders")["QueueUrl"], Label="no")
publish("to orders")
assert [json.loads(body)["Message"] for body in bodies("letters")] == ["to letters"]
assert [json.loads(body)["Message"] for body in bodies("orders")] == ["to orders"]
bodies("raws"), bodies("plain")

# Other protocols delete and make queues, too.
with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"])) as connection:
    connection.channel().queue_delete("raws")
publish("deleted by AMQP")
assert bodies("raw-letters") == ["deleted by AMQP"]
with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"])) as connection:
    connection.channel().queue_declare("raws", durable=True)
publish("made by AMQP")
assert bodies("raws") == ["made by AMQP"] and not received("raw-letters")
bodies("orders"), bodies("plain")

# A queue that is deleted does not take its subscriptions with it.
deny("raws")
delete("orders")
delete("plain")
known = {one["SubscriptionArn"] for one in sns.list_subscriptions_by_topic(TopicArn=prices)["Subscriptions"]}
assert known == {orders, raws, plain}, known
lost = dropped()
publish("without a queue")
assert [json.loads(body)["Message"] for body in bodies("letters")] == ["without a queue"]
assert bodies("raw-letters") == ["without a queue"] and dropped() == lost + 1
sns.set_subscription_attributes(
    SubscriptionArn=orders, AttributeName="FilterPolicy", AttributeValue='{"kind":["wanted"]}'
)
sns.set_subscription_attributes(SubscriptionArn=plain, AttributeName="RedrivePolicy", AttributeValue=json.dumps(letters_to("letters")))
publish("left in letters")

sns, sqs = kill()
known = {one["SubscriptionArn"] for one in sns.list_subscriptions()["Subscriptions"]}
assert {orders, raws, plain} < known, known
attributes = sns.get_subscription_attributes(SubscriptionArn=orders)["Attributes"]
assert attributes["FilterPolicy"] == '{"kind":["wanted"]}' and attributes["Endpoint"] == arn("orders"), attributes
assert bodies("letters") == ["left in letters"] and bodies("raw-letters") == ["left in letters"]
publish("after a kill", MessageAttributes={"kind": {"DataType": "String", "StringValue": "wanted"}})
# A queue gets a message once, for how many subscriptions ever.
assert len(received("letters")) == 1 and bodies("raw-letters") == ["after a kill"]
assert not received("raws")
allow("raws")
queue("orders")
publish("not wanted")
publish("again", MessageAttributes={"kind": {"DataType": "String", "StringValue": "wanted"}})
assert [json.loads(body)["Message"] for body in bodies("orders")] == ["again"]
assert bodies("raws") == ["not wanted", "again"] and bodies("letters") == ["not wanted", "again"]

# A subscription without its queue ends as others do.
sns.unsubscribe(SubscriptionArn=plain)
publish("after Unsubscribe")
assert not received("letters")
assert plain not in {one["SubscriptionArn"] for one in sns.list_subscriptions()["Subscriptions"]}

# A notification that dies in its queue keeps its envelope, and so does one that is moved back.
policy = json.dumps({**letters_to("dead"), "maxReceiveCount": 1})
queue("dead"), queue("back")
fragile = sqs.create_queue(QueueName="fragile", Attributes={"RedrivePolicy": policy})["QueueUrl"]
news = sns.create_topic(Name="news")["TopicArn"]
subscribe(news, "fragile")


def die(text):
    publish(text, news)
    body = sqs.receive_message(QueueUrl=fragile, VisibilityTimeout=0)["Messages"][0]["Body"]
    assert json.loads(body)["Message"] == text


die("here")
letter = json.loads(received("dead", 5)[0]["Body"])
assert (letter["Type"], letter["Message"], letter["TopicArn"]) == ("Notification", "here", news), letter
die("over a kill")
dead = {"QueueUrl": sqs.get_queue_url(QueueName="dead")["QueueUrl"], "AttributeNames": ["All"]}
wait_for("a letter", lambda: sqs.get_queue_attributes(**dead)["Attributes"]["ApproximateNumberOfMessages"] == "1")

sns, sqs = kill()
sqs.start_message_move_task(SourceArn=arn("dead"), DestinationArn=arn("back"))
(moved,) = bodies("back", 10)
assert json.loads(moved)["Message"] == "over a kill", moved

# FIFO: the letters keep group, identity and place.
fifo = sns.create_topic(Name="lines.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
for each in ("lines.fifo", "letters.fifo"):
    queue(each)
lines = subscribe(fifo, "lines.fifo", RedrivePolicy=letters_to("letters.fifo"))


def line(number):
    publish(str(number), fifo, MessageGroupId="g", MessageDeduplicationId=str(number))


line(1)
deny("lines.fifo")
line(2)
line(2)
delete("lines.fifo")
line(3)
got = received("letters.fifo")
assert [json.loads(letter["Body"])["Message"] for letter in got] == ["2", "3"], got
assert {letter["Attributes"]["MessageGroupId"] for letter in got} == {"g"}
assert [letter["Attributes"]["MessageDeduplicationId"] for letter in got] == ["2", "3"]

sns, sqs = kill()
line(3)
line(4)
assert [json.loads(body)["Message"] for body in bodies("letters.fifo")] == ["4"]
queue("lines.fifo")
line(5)
assert [json.loads(body)["Message"] for body in bodies("lines.fifo")] == ["5"]
sns.delete_topic(TopicArn=fifo)
assert not [one for one in sns.list_subscriptions()["Subscriptions"] if one["SubscriptionArn"] == lines]
