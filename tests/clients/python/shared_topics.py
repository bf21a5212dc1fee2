"""Topics, queues and endpoints for topics that other accounts subscribe."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue

from accounts import ACCOUNTS, HOME, OTHER, client

USERS = ["owner", "plain", "bills", "limited", "late", "third"]
SNS = {user: client("sns", user) for user in USERS}


class Topic:
    """A topic of the owner's, shared with account OTHER."""

    def __init__(self, name, accounts=(OTHER,), user="owner"):
        self.sns = SNS[user]
        attributes = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
        self.arn = self.sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
        if accounts:
            self.share(*accounts)

    def share(self, *accounts):
        self.sns.add_permission(TopicArn=self.arn, Label="shared", AWSAccountId=accounts, ActionName=["Subscribe"])

    def keep_archive(self, does):
        policy = '{"MessageRetentionPeriod":"1"}' if does else "{}"
        self.sns.set_topic_attributes(TopicArn=self.arn, AttributeName="ArchivePolicy", AttributeValue=policy)

    def publish(self, text, **more):
        self.sns.publish(TopicArn=self.arn, Message=text, **more)

    def subscribe(self, user, endpoint, protocol="sqs", *, shown=False, **attributes):
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
        given = {"TopicArn": self.arn, "Protocol": protocol, "Endpoint": endpoint, "Attributes": texts}
        return SNS[user].subscribe(**given, ReturnSubscriptionArn=shown)["SubscriptionArn"]

    def subscriptions(self):
        return self.sns.list_subscriptions_by_topic(TopicArn=self.arn)["Subscriptions"]


class Queue:
    def __init__(self, user, name, may_send=True, region="us-east-1"):
        self.sqs = client("sqs", user, region)
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{region}:{ACCOUNTS[user]}:{name}"
        if may_send:
            self.let_sns(True)

    def let_sns(self, may):
        statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        statement |= {"Resource": self.arn, "Condition": {"StringEquals": {"aws:SourceAccount": HOME}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}) if may else ""
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def receive(self, wait=10):
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in found]

    def collect(self, count):
        bodies = []
        while len(bodies) < count:
            bodies += self.receive()
        return bodies


class Endpoint:
    """An HTTP endpoint that answers 200."""

    def __init__(self):
        self.posts = posts = SimpleQueue()

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self):
                posts.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def post(self):
        return self.posts.get(timeout=20)
