"""SNS to HTTP endpoints, as their owners see it: confirmation, signatures, headers, retries, dead letters."""

import base64
import json
import os
import queue
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
BASE = f"http://127.0.0.1:{PORT}"
QUICK = {"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 3, "numNoDelayRetries": 2}}


def client(service):
    return boto3.client(
        service, endpoint_url=BASE, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


sns, sqs = client("sns"), client("sqs")


class Receiver:
    """Answers as it is told, and keeps what it gets."""

    def __init__(self):
        self.requests = queue.Queue()
        self.answer = lambda path: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.put((time.monotonic(), self.path, dict(self.headers.items()), body))
                status = receiver.answer(self.path)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def next(self, timeout=20):
        return self.requests.get(timeout=timeout)

    def is_silent(self, seconds):
        try:
            got = self.requests.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(f"not silent: {got}")


CERTIFICATES = {}


def verify(message):
    """As the SDKs' validators do it."""
    url = message["SigningCertURL"]
    assert url.startswith(BASE + "/SimpleNotificationService-") and url.endswith(".pem"), url
    if url not in CERTIFICATES:
        pem = urllib.request.urlopen(url).read()
        CERTIFICATES[url] = x509.load_pem_x509_certificate(pem)
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[message["SignatureVersion"]]
    signature = base64.b64decode(message["Signature"])
    CERTIFICATES[url].public_key().verify(signature, text.encode(), padding.PKCS1v15(), digest)


def refused(text, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        assert text == message, message
        return
    raise AssertionError(f"not refused: {text}")


def topic(name, **attributes):
    return sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]


def subscribe(arn, receiver, path, **attributes):
    """A confirmed subscription."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}
    answer = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url(path), Attributes=texts)
    assert answer["SubscriptionArn"] == "pending confirmation"
    _, _, _, body = receiver.next()
    return sns.confirm_subscription(TopicArn=arn, Token=json.loads(body)["Token"])["SubscriptionArn"]


def count(arn):
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    return tuple(int(attributes[f"Subscriptions{name}"]) for name in ("Confirmed", "Pending", "Deleted"))


def confirmation():
    receiver, arn = Receiver(), topic("confirmed")
    answer = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url("a"), ReturnSubscriptionArn=True)
    subscription = answer["SubscriptionArn"]
    assert subscription.startswith(arn + ":") and count(arn) == (0, 1, 0)
    _, path, headers, body = receiver.next()
    headers = {name.lower(): value for name, value in headers.items()}
    assert path == "/a" and headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    assert headers["user-agent"] == "Amazon Simple Notification Service Agent"
    message = json.loads(body)
    assert headers["x-amz-sns-message-id"] == message["MessageId"] and headers["x-amz-sns-topic-arn"] == arn
    assert "x-amz-sns-subscription-arn" not in headers
    assert list(message) == [
        "Type", "MessageId", "Token", "TopicArn", "Message", "SubscribeURL", "Timestamp",
        "SignatureVersion", "Signature", "SigningCertURL",
    ], list(message)  # fmt: skip
    verify(message)
    listed = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert [one["SubscriptionArn"] for one in listed] == ["PendingConfirmation"] and listed[0]["Protocol"] == "http"
    sns.publish(TopicArn=arn, Message="nobody has confirmed it")
    assert receiver.is_silent(0.5)
    # Again: another confirmation.
    again = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url("a"))
    assert again["SubscriptionArn"] == "pending confirmation"
    verify(json.loads(receiver.next()[3]))
    refused("Invalid parameter: Token", sns.confirm_subscription, TopicArn=arn, Token="abc123")
    refused("Invalid parameter: Topic", sns.confirm_subscription, TopicArn="randomstring", Token=message["Token"])
    # Whoever follows the link has no key.
    assert subscription in urllib.request.urlopen(message["SubscribeURL"]).read().decode()
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert attributes["PendingConfirmation"] == "false" and attributes["ConfirmationWasAuthenticated"] == "false"
    assert json.loads(attributes["EffectiveDeliveryPolicy"])["healthyRetryPolicy"]["numRetries"] == 3
    assert count(arn) == (1, 0, 0)
    assert sns.confirm_subscription(TopicArn=arn, Token=message["Token"])["SubscriptionArn"] == subscription
    return receiver, arn, subscription


def notification(receiver, arn, subscription):
    attributes = {"kind": {"DataType": "String", "StringValue": "order"}}
    published = sns.publish(TopicArn=arn, Message="hello\nworld", Subject="greeting", MessageAttributes=attributes)
    _, _, headers, body = receiver.next()
    headers = {name.lower(): value for name, value in headers.items()}
    message = json.loads(body)
    assert list(message) == [
        "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
        "SigningCertURL", "UnsubscribeURL", "MessageAttributes",
    ], list(message)  # fmt: skip
    assert message["MessageId"] == published["MessageId"] == headers["x-amz-sns-message-id"]
    assert message["Message"] == "hello\nworld" and message["MessageAttributes"]["kind"]["Value"] == "order"
    assert headers["x-amz-sns-subscription-arn"] == subscription
    assert headers["x-amz-sns-message-type"] == "Notification" and message["SignatureVersion"] == "1"
    verify(message)
    sns.set_topic_attributes(TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="2")
    sns.publish(TopicArn=arn, Message="two")
    message = json.loads(receiver.next()[3])
    assert message["SignatureVersion"] == "2"
    verify(message)
    texts = {"default": "for all", "http": "for http", "sqs": "for queues"}
    sns.publish(TopicArn=arn, Message=json.dumps(texts), MessageStructure="json")
    assert json.loads(receiver.next()[3])["Message"] == "for http"
    urllib.request.urlopen(message["UnsubscribeURL"]).read()
    _, _, headers, body = receiver.next()
    goodbye = json.loads(body)
    assert goodbye["Type"] == "UnsubscribeConfirmation" == headers["x-amz-sns-message-type"]
    verify(goodbye)
    assert count(arn) == (0, 0, 1)
    sns.publish(TopicArn=arn, Message="nobody hears it")
    assert receiver.is_silent(0.5)


def raw_and_filters():
    receiver, arn = Receiver(), topic("raw")
    policy = {"requestPolicy": {"headerContentType": "application/json"}}
    only = {"kind": ["wanted"]}
    subscribe(arn, receiver, "raw", RawMessageDelivery="true", DeliveryPolicy=policy, FilterPolicy=only)
    for kind in ("other", "wanted"):
        sns.publish(
            TopicArn=arn, Message=f'{{"kind":"{kind}"}}',
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )  # fmt: skip
    _, _, headers, body = receiver.next()
    headers = {name.lower(): value for name, value in headers.items()}
    assert body == b'{"kind":"wanted"}' and headers["x-amz-sns-rawdelivery"] == "true"
    assert headers["content-type"] == "application/json"
    assert receiver.is_silent(0.3)


def retries():
    """Two at once, one after a second, then the dead-letter queue, with the envelope and nothing else."""
    receiver, arn = Receiver(), topic("retried")
    url = sqs.create_queue(QueueName="letters")["QueueUrl"]
    dead_letters = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:letters"}
    subscription = subscribe(arn, receiver, "r", DeliveryPolicy=QUICK, RedrivePolicy=dead_letters)
    receiver.answer = lambda path: 503
    published = sns.publish(TopicArn=arn, Message="four times")
    times = [receiver.next()[0] for _ in range(4)]
    assert times[2] - times[0] < 0.9 and 0.8 < times[3] - times[2] < 5, times
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, AttributeNames=["All"])["Messages"][0]
    message = json.loads(got["Body"])
    assert message["MessageId"] == published["MessageId"] and message["Message"] == "four times"
    assert "DeadLetterQueueSourceArn" not in got["Attributes"] and "MessageAttributes" not in got
    verify(message)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    # What the endpoint will never have is not sent again.
    receiver.answer = lambda path: 404
    sns.publish(TopicArn=arn, Message="once")
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]
    assert json.loads(got["Body"])["Message"] == "once"
    receiver.next()
    assert receiver.is_silent(0.3)
    # One that recovers, one that moves, one that hangs up.
    for trouble in (429, 302, None):
        answers = iter([trouble, 200])
        receiver.answer = lambda path: next(answers)
        sns.publish(TopicArn=arn, Message=f"trouble {trouble}")
        paths = [receiver.next()[1] for _ in range(2)]
        assert paths == ["/r", "/r"], paths
        assert receiver.is_silent(0.3)
    sns.set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    receiver.answer = lambda path: 400
    text = {"a": {"DataType": "Number", "StringValue": "1"}}
    sns.publish(TopicArn=arn, Message="raw", MessageAttributes=text)
    got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MessageAttributeNames=["All"])["Messages"][0]
    assert got["Body"] == "raw" and got["MessageAttributes"]["a"]["StringValue"] == "1"


def the_slow_do_not_stop_the_others():
    slow, quick, arn = Receiver(), Receiver(), topic("slow")
    subscribe(arn, slow, "s")
    subscribe(arn, quick, "q")
    gate = threading.Event()
    slow.answer = lambda path: gate.wait(10) and 200
    begun = time.monotonic()
    for number in range(50):
        sns.publish(TopicArn=arn, Message=str(number))
    got = {json.loads(quick.next()[3])["Message"] for _ in range(50)}
    assert len(got) == 50 and time.monotonic() - begun < 8
    gate.set()
    late = {json.loads(slow.next()[3])["Message"] for _ in range(50)}
    assert len(late) == 50


def sinks():
    """Nothing is configured: messages are in the outbox."""
    arn = topic("people")
    phone = sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint="+15551234567")["SubscriptionArn"]
    assert phone.startswith(arn)
    mail = sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@example.com")["SubscriptionArn"]
    assert mail == "pending confirmation"
    sns.publish(TopicArn=arn, Message="to people")
    got = [outbox(), outbox()]
    [text] = [one for one in got if one["Protocol"] == "sms"]
    assert text["Endpoint"] == "+15551234567" and text["Message"] == "to people"
    [question] = [one for one in got if one["Protocol"] == "email"]
    assert question["Type"] == "SubscriptionConfirmation"
    urllib.request.urlopen(question["SubscribeURL"]).read()
    texts = {"default": "short", "email": "a long letter"}
    sns.publish(TopicArn=arn, Message=json.dumps(texts), MessageStructure="json", Subject="news")
    got = {one["Protocol"]: one for one in (outbox(), outbox())}
    assert got["email"]["Message"] == "a long letter" and got["email"]["Subject"] == "news"
    assert got["sms"]["Message"] == "short"


def outbox():
    """The next of the outbox, by the management API."""
    port = json.loads(os.environ["CROSSDOCK_PORTS"])["management"]
    question = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    for _ in range(100):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/queues/%2F/aws.sns.outbox/get",
            json.dumps(question).encode(),
            {"content-type": "application/json", "authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="},
        )
        try:
            messages = json.load(urllib.request.urlopen(request))
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            messages = []
        if messages:
            return json.loads(messages[0]["payload"])
        time.sleep(0.1)
    raise AssertionError("nothing in the outbox")


def refusals():
    arn = topic("refusing")
    prefix = "Invalid parameter: "
    http = {"TopicArn": arn, "Protocol": "http", "Endpoint": "http://127.0.0.1:1/"}
    for arguments, text in [
        ({**http, "Endpoint": "https://x"}, prefix + "Endpoint must match the specified protocol"),
        ({**http, "Protocol": "test-protocol"}, prefix + "Amazon SNS does not support this protocol string: test-protocol"),
        ({**http, "Protocol": "sms", "Endpoint": "NAA+15551234567"}, "Invalid SMS endpoint: NAA+15551234567"),
        (
            {**http, "Attributes": {"RedrivePolicy": '{"deadLetterTargetArn":"wrong"}'}},
            prefix + "Attributes Reason: RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
    ]:
        refused(text, sns.subscribe, **arguments)
    subscription = sns.subscribe(**http, ReturnSubscriptionArn=True)["SubscriptionArn"]
    broken = {"SubscriptionArn": subscription, "AttributeName": "RedrivePolicy", "AttributeValue": "{invalid}"}
    refused(
        prefix + "RedrivePolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote "
        "to start field name\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, "
        "column: 2]",
        sns.set_subscription_attributes,
        **broken,
    )
    refused(
        prefix + "RedrivePolicy: deadLetterTargetArn is an invalid arn",
        sns.set_subscription_attributes,
        **{**broken, "AttributeValue": '{"deadLetterTargetArn":"arn"}'},
    )
    sns.delete_topic(TopicArn=arn)
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="aws")


confirmed = confirmation()
notification(*confirmed)
raw_and_filters()
retries()
the_slow_do_not_stop_the_others()
sinks()
refusals()
