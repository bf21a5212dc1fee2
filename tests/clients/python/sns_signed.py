"""Notifications in queues with signatures, as the SDKs' validators check them (`aws.sign_queue_notifications`)."""

import base64
import json
import urllib.request

import boto3
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from ports import PORTS

BASE = f"http://127.0.0.1:{PORTS['aws']}"
SIGNED = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
DIGESTS = {"1": hashes.SHA1(), "2": hashes.SHA256()}


def clients(key):
    make = lambda service: boto3.client(
        service, endpoint_url=BASE, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key="secret"
    )
    return make("sns"), make("sqs")


sns, sqs = clients("test")
ATTRIBUTES = {"kind": {"DataType": "String", "StringValue": "odd"}}


def queue(name, sqs=sqs):
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def received(url, sqs=sqs):
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, VisibilityTimeout=0)["Messages"]
    return json.loads(message["Body"])


def certificate(message):
    url = message["SigningCertURL"]
    assert url.startswith(BASE + "/SimpleNotificationService-") and url.endswith(".pem"), url
    return x509.load_pem_x509_certificate(urllib.request.urlopen(url).read())


def verify(message):
    text = "".join(f"{name}\n{message[name]}\n" for name in SIGNED if name in message)
    signature, digest = base64.b64decode(message["Signature"]), DIGESTS[message["SignatureVersion"]]
    certificate(message).public_key().verify(signature, text.encode(), padding.PKCS1v15(), digest)


def is_forged(message):
    try:
        verify(message)
    except InvalidSignature:
        return True
    return False


def topics_sign_as_they_say():
    for version, texts in (("1", {"Subject": "s"}), ("2", {}), (None, {"Subject": 'a "b"'})):
        attributes = {"SignatureVersion": version} if version else {}
        topic = sns.create_topic(Name=f"signed-{version}", Attributes=attributes)["TopicArn"]
        queues = [queue(f"signed-{version}-{number}") for number in range(2)]
        for _, arn in queues:
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        sns.publish(TopicArn=topic, Message='line 1\nline 2 "ü"', MessageAttributes=ATTRIBUTES, **texts)
        one, other = [received(url) for url, _ in queues]
        for message in (one, other, received(queues[0][0])):
            assert message["SignatureVersion"] == (version or "1"), message
            verify(message)
            assert message["UnsubscribeURL"].startswith(BASE + "/?Action=Unsubscribe"), message
        assert one["Signature"] == other["Signature"], "it is of the message, not of the subscription"
        for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"):
            assert is_forged(one | {name: one[name] + "x"}), name
        # AWS's order.
        names = ["Type", "MessageId", "TopicArn", *texts, "Message", "Timestamp", "SignatureVersion", "Signature"]
        assert list(one) == names + ["SigningCertURL", "UnsubscribeURL", "MessageAttributes"], list(one)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue="2")
    assert received(queues[0][0])["SignatureVersion"] == "2"
    verify(received(queues[0][0]))


def the_place_in_a_fifo_topic_is_not_signed():
    topic = sns.create_topic(Name="signed.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url, arn = queue("signed.fifo")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="m", MessageGroupId="g", MessageDeduplicationId="1")
    message = received(url)
    assert message["SequenceNumber"]
    verify(message)


def raw_messages_are_not():
    topic = sns.create_topic(Name="raw")["TopicArn"]
    url, arn = queue("raw")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, Message="m")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]["Body"] == "m"


def letters_and_other_accounts_get_them_too():
    topic = sns.create_topic(Name="wide")["TopicArn"]
    (_, gone), (letters, letters_arn) = queue("gone"), queue("letters")
    redrive = json.dumps({"deadLetterTargetArn": letters_arn})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=gone, Attributes={"RedrivePolicy": redrive})
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="gone")["QueueUrl"])
    _, far = clients("111111111111")
    url, arn = queue("far", far)
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Statement": [statement | {"Resource": arn}]})
    far.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    urllib.request.urlopen(received(url, far)["SubscribeURL"]).read()
    far.delete_message(QueueUrl=url, ReceiptHandle=far.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"])
    sns.publish(TopicArn=topic, Message="m", Subject="s")
    here, there = received(letters), received(url, far)
    verify(here)
    verify(there)
    assert here["Signature"] == there["Signature"]


topics_sign_as_they_say()
the_place_in_a_fifo_topic_is_not_signed()
raw_messages_are_not()
letters_and_other_accounts_get_them_too()
