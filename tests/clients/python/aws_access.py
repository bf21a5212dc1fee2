"""Access policies through boto3: what a policy gives to users of the own account and of another one, and to nobody else.

Users: `owner` may do everything in account HOME, `poor` and `eve` of the same account nothing, `half` what concerns the
queues called `half…`, `reader` may read these, and `wide` also publish to the default exchange. In account OTHER `bills`
may do everything, and `limited` what concerns queues and topics called `orders…`."""

import json
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue

import pika

from accounts import HOME, OTHER, action_of, arn_of, client, not_authorized, refused
from ports import PORTS

USERS = ["owner", "poor", "eve", "half", "reader", "wide", "bills", "limited"]
MISSING = "AWS.SimpleQueueService.NonExistentQueue"
SQS = {user: client("sqs", user) for user in USERS}
SNS = {user: client("sns", user) for user in USERS}


def statement(principal, action, **more):
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", **more}


class Queue:
    """A queue of the owner's, and what others try with it."""

    def __init__(self, name, region="us-east-1"):
        self.owner = client("sqs", "owner", region)
        self.name = name
        self.url = self.owner.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{region}:{HOME}:{name}"

    def policy(self, *statements):
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}) if statements else ""
        self.owner.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": text})

    def refuses(self, user, action, why, code="AccessDenied", sqs=None, **parameters):
        text = not_authorized(user, "sqs:" + action.removesuffix("Batch").lower(), self.arn, why)
        refused(code, action_of(sqs or SQS[user], action), text=text, QueueUrl=self.url, **parameters)

    def send(self, user, body="m"):
        SQS[user].send_message(QueueUrl=self.url, MessageBody=body)

    def receive(self, user):
        return SQS[user].receive_message(QueueUrl=self.url, WaitTimeSeconds=1).get("Messages", [])


def a_policy_gives_a_user_what_permissions_do_not():
    queue, secret = Queue("orders"), Queue("secret")
    queue.refuses("poor", "SendMessage", "identity", MessageBody="m")
    queue.policy(statement({"AWS": arn_of("poor")}, "sqs:SendMessage"))
    queue.send("poor")
    entries = [{"Id": "1", "MessageBody": "m"}, {"Id": "2", "MessageBody": "m"}]
    assert len(SQS["poor"].send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]) == 2
    # Nothing else, nobody else, nowhere else.
    queue.refuses("poor", "ReceiveMessage", "identity")
    queue.refuses("poor", "PurgeQueue", "identity")
    queue.refuses("poor", "GetQueueAttributes", "identity", AttributeNames=["All"])
    queue.refuses("eve", "SendMessage", "identity", MessageBody="m")
    queue.refuses("eve", "SendMessageBatch", "identity", Entries=entries)
    queue.refuses("bills", "SendMessage", "resource", MessageBody="m")
    secret.refuses("poor", "SendMessage", "identity", MessageBody="m")
    far = Queue("orders", "eu-west-1")
    far.refuses("poor", "SendMessage", "identity", sqs=client("sqs", "poor", "eu-west-1"), MessageBody="m")
    refused("AccessDenied", SQS["poor"].list_queues)
    refused("AccessDenied", SQS["poor"].create_queue, QueueName="new")
    queue.policy(statement({"AWS": arn_of("poor")}, "sqs:SendMessage"), statement("*", "sqs:SendMessage", Effect="Deny"))
    queue.refuses("poor", "SendMessage", "deny", MessageBody="m")
    queue.refuses("owner", "SendMessage", "deny", MessageBody="m")
    queue.policy()
    queue.refuses("poor", "SendMessage", "identity", MessageBody="m")


def a_consumer_by_policy():
    queue = Queue("consumed")
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
    queue.policy(statement({"AWS": arn_of("poor")}, actions))
    for body in "abc":
        queue.send("owner", body)
    first, second, third = (queue.receive("poor")[0] for _ in range(3))
    SQS["poor"].delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    visibility = {"ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 0}
    SQS["poor"].change_message_visibility(QueueUrl=queue.url, **visibility)
    done = [{"Id": "1", "ReceiptHandle": queue.receive("poor")[0]["ReceiptHandle"]}]
    assert SQS["poor"].delete_message_batch(QueueUrl=queue.url, Entries=done)["Successful"]
    queue.refuses("eve", "DeleteMessage", "identity", ReceiptHandle=third["ReceiptHandle"])
    queue.refuses("eve", "ReceiveMessage", "identity")
    queue.refuses("poor", "SendMessage", "identity", MessageBody="m")
    SQS["poor"].delete_message(QueueUrl=queue.url, ReceiptHandle=third["ReceiptHandle"])
    assert queue.receive("owner") == []


def who_is_meant():
    queue = Queue("meant")
    send = {"MessageBody": "m"}
    for principal, poor, eve, bills in [
        ("*", True, True, True),
        ({"AWS": "*"}, True, True, True),
        ({"AWS": HOME}, False, False, False),
        ({"AWS": f"arn:aws:iam::{HOME}:root"}, False, False, False),
        ({"AWS": OTHER}, False, False, True),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, False, False, True),
        ({"AWS": arn_of("bills")}, False, False, True),
        ({"AWS": [arn_of("eve"), f"arn:aws:iam::{HOME}:user/bills"]}, False, True, False),
        ({"Service": "sns.amazonaws.com"}, False, False, False),
    ]:
        queue.policy(statement(principal, "sqs:SendMessage"))
        for user, may in (("poor", poor), ("eve", eve), ("bills", bills)):
            if may:
                queue.send(user)
            else:
                queue.refuses(user, "SendMessage", "resource" if user == "bills" else "identity", **send)
    for condition, may in [
        ({"StringEquals": {"aws:username": "poor"}}, True),
        ({"StringEquals": {"aws:username": "eve"}}, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:000000000000:t"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"Null": {"aws:MultiFactorAuthAge": "true"}}, False),
    ]:
        queue.policy(statement("*", "sqs:*", Condition=condition))
        if may:
            queue.send("poor")
        else:
            queue.refuses("poor", "SendMessage", "identity", **send)
            queue.refuses("bills", "SendMessage", "resource", **send)
    # Who does not sign is nobody, whatever "*" says.
    queue.policy(statement("*", "sqs:*"))
    form = urllib.parse.urlencode({"Action": "SendMessage", "QueueUrl": queue.url, "MessageBody": "m"}).encode()
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORTS['aws']}/", form, timeout=20)
        raise AssertionError("an unsigned request was carried out")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"MissingAuthenticationToken" in error.read()


def no_policy_gives_what_is_the_owners():
    queue = Queue("kept")
    queue.policy(statement("*", "sqs:*"))
    queue.send("poor")
    mine = json.dumps({"Statement": [statement({"AWS": arn_of("eve")}, "sqs:*")]})
    for user, why in (("poor", "identity"), ("bills", "resource")):
        queue.refuses(user, "SetQueueAttributes", why, Attributes={"Policy": mine})
        queue.refuses(user, "AddPermission", why, Label="l", AWSAccountIds=[OTHER], Actions=["SendMessage"])
        queue.refuses(user, "RemovePermission", why, Label="l")
        queue.refuses(user, "DeleteQueue", why)
        queue.refuses(user, "TagQueue", why, Tags={"a": "b"})
        queue.refuses(user, "UntagQueue", why, TagKeys=["a"])
    queue.refuses("bills", "ListQueueTags", "resource")
    for user in ("poor", "bills"):
        for call in (SQS[user].start_message_move_task, SQS[user].list_message_move_tasks):
            refused("AccessDenied" if user == "poor" else "ResourceNotFoundException", call, SourceArn=queue.arn)


def what_permissions_give_a_policy_need_not():
    queue = Queue("half")
    queue.send("owner")
    assert len(queue.receive("half")) == 1
    queue.refuses("reader", "SendMessage", "identity", MessageBody="m")
    queue.policy(statement({"AWS": arn_of("reader")}, "sqs:SendMessage"))
    queue.send("reader", "by policy")
    assert [message["Body"] for message in queue.receive("half")] == ["by policy"]
    queue.policy(statement({"AWS": arn_of("half")}, "sqs:ReceiveMessage", Effect="Deny"))
    queue.refuses("half", "ReceiveMessage", "deny")


def who_may_write_to_a_queue_sends_to_it():
    queue, other = Queue("half-written"), Queue("not-half")
    fifo = SQS["owner"].create_queue(QueueName="half.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    entries = [{"Id": "1", "MessageBody": "batch"}]
    queue.send("half", "one")
    assert len(SQS["half"].send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]) == 1
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    assert SQS["half"].send_message(QueueUrl=fifo, MessageBody="m", **ids)["SequenceNumber"]
    # Who may publish to the default exchange may publish to all queues, as by AMQP; here, to those that he may look at.
    queue.send("wide", "two")
    assert sorted(message["Body"] for _ in range(3) for message in queue.receive("half")) == ["batch", "one", "two"]
    for user in ("half", "wide", "reader"):
        other.refuses(user, "SendMessage", "identity", MessageBody="m")
    for user in ("reader", "poor", "eve"):
        queue.refuses(user, "SendMessage", "identity", MessageBody="m")
        queue.refuses(user, "SendMessageBatch", "identity", Entries=entries)
    queue.policy(statement("*", "sqs:SendMessage", Effect="Deny"))
    for user in ("half", "wide"):
        queue.refuses(user, "SendMessage", "deny", MessageBody="m")
    queue.policy()
    # By AMQP it is the default exchange that is asked for.
    credentials = pika.PlainCredentials("half", "secret")
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], "/", credentials))
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", "half-written", b"by AMQP")
        raise AssertionError("AMQP let it through")
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 403, error
    connection.close()


def other_protocols_hear_of_no_policy():
    queue = Queue("amqp")
    queue.policy(statement("*", "sqs:*"))
    queue.send("poor")
    for user, vhost in (("poor", "/"), ("bills", "/")):
        credentials = pika.PlainCredentials(user, "secret")
        parameters = pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], vhost, credentials)
        try:
            pika.BlockingConnection(parameters)
            raise AssertionError(f"{user} has entered {vhost}")
        except pika.exceptions.AMQPConnectionError:
            pass
    credentials = pika.PlainCredentials("half", "secret")
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], "/", credentials))
    assert SQS["half"].receive_message(QueueUrl=queue.url)["Messages"], "by policy"
    channel = connection.channel()
    try:
        channel.basic_get("amqp")
        raise AssertionError("AMQP gave what SQS's policy gives")
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 403, error
    connection.close()


def topics():
    topic = SNS["owner"].create_topic(Name="prices")["TopicArn"]
    queue = Queue("prices-queue")
    SNS["owner"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    text = lambda user, action, why: not_authorized(user, "SNS:" + action, topic, why)

    def refuses(user, action, why, **parameters):
        refused("AuthorizationError", action_of(SNS[user], action), text=text(user, action.removesuffix("Batch"), why), TopicArn=topic, **parameters)

    refuses("poor", "Publish", "identity", Message="m")
    refuses("bills", "Publish", "resource", Message="m")
    # The statement that AWS begins every policy with gives the owner's users nothing.
    SNS["owner"].add_permission(TopicArn=topic, Label="shared", AWSAccountId=[OTHER], ActionName=["Publish", "GetTopicAttributes"])
    refuses("poor", "Publish", "identity", Message="m")
    SNS["bills"].publish(TopicArn=topic, Message="from another account")
    assert SNS["bills"].get_topic_attributes(TopicArn=topic)["Attributes"]["Owner"] == HOME
    assert [message["Body"] for message in queue.receive("owner")] == ["from another account"]
    refuses("limited", "Publish", "identity", Message="m")
    refuses("bills", "ListSubscriptionsByTopic", "resource")
    refuses("bills", "Subscribe", "resource", Protocol="sqs", Endpoint=queue.arn)
    refuses("bills", "SetTopicAttributes", "resource", AttributeName="DisplayName", AttributeValue="x")
    refuses("bills", "DeleteTopic", "resource")
    SNS["owner"].remove_permission(TopicArn=topic, Label="shared")
    refuses("bills", "Publish", "resource", Message="m")
    policy = {"Statement": [statement({"AWS": arn_of("poor")}, "sns:*"), statement(arn := {"AWS": arn_of("bills")}, "sns:*")]}
    SNS["owner"].set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
    entries = [{"Id": str(number), "Message": f"poor {number}"} for number in range(2)]
    assert len(SNS["poor"].publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 2
    assert len(SNS["bills"].publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 2
    assert len(SNS["bills"].list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1
    for user, why in (("poor", "identity"), ("bills", "resource")):
        refuses(user, "SetTopicAttributes", why, AttributeName="Policy", AttributeValue=json.dumps(policy))
        refuses(user, "AddPermission", why, Label="l", AWSAccountId=[OTHER], ActionName=["Publish"])
        refuses(user, "DeleteTopic", why)
    refused("AccessDenied", SQS["poor"].receive_message, QueueUrl=queue.url)
    for endpoint in ({"Protocol": "sqs", "Endpoint": queue.arn}, {"Protocol": "http", "Endpoint": "http://example.com/"}):
        # Within an account the topic's policy gives the topic, not the queue or the way outwards.
        refuses("poor", "Subscribe", "identity", **endpoint)
    # The account's endpoints and numbers are nobody's else.
    refused("NotFound", SNS["bills"].publish, TopicArn=topic[:-1] + "x", Message="m")
    refused("InvalidParameter", client("sns", "bills", "eu-west-1").publish, TopicArn=topic, Message="m")
    refused("InvalidParameter", SNS["bills"].publish, TargetArn=f"arn:aws:sns:us-east-1:{HOME}:endpoint/GCM/app/1", Message="m")


def who_may_subscribe_may_end_it():
    topic = SNS["owner"].create_topic(Name="news")["TopicArn"]
    queue = Queue("half-news")
    endpoint = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue.arn}
    text = not_authorized("half", "SNS:Subscribe", topic, "identity")
    refused("AuthorizationError", SNS["half"].subscribe, text=text, **endpoint)
    share = lambda condition: SNS["owner"].set_topic_attributes(
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=json.dumps({"Statement": [statement("*", "sns:Subscribe", Condition=condition)]}),
    )
    share({"StringEquals": {"sns:Protocol": "https"}})
    refused("AuthorizationError", SNS["half"].subscribe, text=text, **endpoint)
    share({"StringEquals": {"sns:Protocol": "sqs"}, "StringLike": {"sns:Endpoint": "arn:aws:sqs:*:*:half-*"}})
    refused("AuthorizationError", SNS["half"].subscribe, **endpoint | {"Endpoint": Queue("other-news").arn})
    subscription = SNS["half"].subscribe(**endpoint)["SubscriptionArn"]
    SNS["owner"].publish(TopicArn=topic, Message="to half")
    assert [json.loads(message["Body"])["Message"] for message in queue.receive("half")] == ["to half"]
    refused("AuthorizationError", SNS["half"].publish, TopicArn=topic, Message="m")
    raw = {"AttributeName": "RawMessageDelivery", "AttributeValue": "true"}
    SNS["owner"].set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue='{"Statement":[]}')
    # The topic's owner has taken it back: nothing can be changed, but it can be ended by who has begun it, and by nobody else.
    refused("AuthorizationError", SNS["half"].set_subscription_attributes, SubscriptionArn=subscription, **raw)
    refused("AuthorizationError", SNS["eve"].unsubscribe, SubscriptionArn=subscription)
    SNS["half"].unsubscribe(SubscriptionArn=subscription)
    assert SNS["owner"].list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    refused("AuthorizationError", SNS["half"].subscribe, text=text, **endpoint)


def who_has_the_token_confirms():
    asked = SimpleQueue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    topic = SNS["owner"].create_topic(Name="confirmed")["TopicArn"]
    endpoint = f"http://127.0.0.1:{server.server_port}/"
    SNS["owner"].subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint)
    token = asked.get(timeout=20)["Token"]
    confirm = SNS["bills"].confirm_subscription
    invalid = lambda text, **more: refused("InvalidParameter", confirm, text=text, **{"TopicArn": topic, "Token": token} | more)
    invalid("Invalid token", Token="randomtoken")
    invalid("Invalid parameter: Token", Token="ab" * 144)
    invalid("Invalid parameter: Token", TopicArn=SNS["owner"].create_topic(Name="unconfirmed")["TopicArn"])
    subscription = confirm(TopicArn=topic, Token=token)["SubscriptionArn"]
    attributes = SNS["owner"].get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert attributes["PendingConfirmation"] == "false" and attributes["SubscriptionPrincipal"] == arn_of("owner")
    SNS["owner"].publish(TopicArn=topic, Message="confirmed from another account")
    assert asked.get(timeout=20)["Message"] == "confirmed from another account"
    # The token confirms, and gives nothing else.
    refused("AuthorizationError", SNS["bills"].list_subscriptions_by_topic, TopicArn=topic)
    text = not_authorized("bills", "SNS:GetSubscriptionAttributes", topic, "resource")
    refused("AuthorizationError", SNS["bills"].get_subscription_attributes, text=text, SubscriptionArn=subscription)
    server.shutdown()


def fifo_topics():
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = SNS["owner"].create_topic(Name="ordered.fifo", Attributes=attributes)["TopicArn"]
    SNS["owner"].add_permission(TopicArn=topic, Label="shared", AWSAccountId=[OTHER], ActionName=["Publish"])
    assert SNS["bills"].publish(TopicArn=topic, Message="m", MessageGroupId="g")["SequenceNumber"]


def queues_of_another_account():
    queue, other = Queue("orders-in"), Queue("others")
    bills, url = SQS["bills"], {"QueueName": "orders-in", "QueueOwnerAWSAccountId": HOME}
    hidden = "The specified queue does not exist or you do not have access to it."
    refused(MISSING, bills.get_queue_url, text=hidden, **url)
    refused(MISSING, bills.get_queue_url, text=hidden, QueueName="nothing", QueueOwnerAWSAccountId=HOME)
    refused(MISSING, bills.send_message, QueueUrl=queue.url.replace("orders-in", "nothing"), MessageBody="m")
    refused(MISSING, bills.send_message, QueueUrl=queue.url.replace(HOME, "222222222222"), MessageBody="m")
    queue.refuses("bills", "SendMessage", "resource", MessageBody="m")
    queue.owner.add_permission(
        QueueUrl=queue.url, Label="shared", AWSAccountIds=[OTHER], Actions=["SendMessage", "GetQueueUrl"]
    )
    assert bills.get_queue_url(**url)["QueueUrl"] == queue.url
    queue.send("bills", "from another account")
    queue.send("limited", "of those who may")
    queue.refuses("bills", "ReceiveMessage", "resource")
    queue.refuses("bills", "GetQueueAttributes", "resource", AttributeNames=["All"])
    queue.refuses("poor", "SendMessage", "identity", MessageBody="m")
    other.refuses("bills", "SendMessage", "resource", MessageBody="m")
    assert sorted(m["Body"] for _ in range(2) for m in queue.receive("owner")) == ["from another account", "of those who may"]
    queue.owner.remove_permission(QueueUrl=queue.url, Label="shared")
    queue.refuses("bills", "SendMessage", "resource", MessageBody="m")
    # What the user's own account does not let him do, another one cannot.
    other.policy(statement({"AWS": arn_of("limited")}, "sqs:*"))
    other.refuses("limited", "SendMessage", "identity", MessageBody="m")
    other.refuses("limited", "GetQueueAttributes", "identity", AttributeNames=["All"])


def a_consumer_of_another_account():
    queue = Queue("orders-out")
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ListDeadLetterSourceQueues"]
    queue.policy(statement({"AWS": f"arn:aws:iam::{OTHER}:root"}, actions))
    redrive = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 3})
    source = Queue("orders-source")
    source.owner.set_queue_attributes(QueueUrl=source.url, Attributes={"RedrivePolicy": redrive})
    queue.send("owner", "for another account")
    found = queue.receive("limited")
    assert [message["Body"] for message in found] == ["for another account"]
    attributes = SQS["limited"].get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]
    assert attributes["QueueArn"] == queue.arn
    SQS["limited"].delete_message(QueueUrl=queue.url, ReceiptHandle=found[0]["ReceiptHandle"])
    assert SQS["limited"].list_dead_letter_source_queues(QueueUrl=queue.url)["queueUrls"] == [source.url]
    queue.refuses("limited", "PurgeQueue", "resource")
    far = Queue("orders-far", "eu-west-1")
    far.policy(statement({"AWS": OTHER}, "sqs:SendMessage"))
    client("sqs", "bills", "eu-west-1").send_message(QueueUrl=far.url, MessageBody="far away")
    refused(MISSING, SQS["bills"].send_message, QueueUrl=far.url, MessageBody="another region")


def policies_outlive_a_restart():
    queue = Queue("orders-kept")
    queue.policy(statement({"AWS": [arn_of("bills"), arn_of("poor")]}, "sqs:SendMessage"))


def policies_are_there_after_a_restart():
    queue = Queue("orders-kept")
    for user in ("bills", "poor"):
        queue.send(user)
    queue.refuses("eve", "SendMessage", "identity", MessageBody="m")
    queue.refuses("limited", "SendMessage", "resource", MessageBody="m")


SCENES = [
    a_policy_gives_a_user_what_permissions_do_not,
    a_consumer_by_policy,
    who_is_meant,
    no_policy_gives_what_is_the_owners,
    what_permissions_give_a_policy_need_not,
    who_may_write_to_a_queue_sends_to_it,
    other_protocols_hear_of_no_policy,
    topics,
    who_may_subscribe_may_end_it,
    who_has_the_token_confirms,
    fifo_topics,
    queues_of_another_account,
    a_consumer_of_another_account,
    policies_outlive_a_restart,
]

if __name__ == "__main__":
    for scene in SCENES if sys.argv[1] == "first" else [policies_are_there_after_a_restart]:
        scene()
        print(scene.__name__)
