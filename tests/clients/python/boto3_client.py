"""boto3 against SQS, SNS and STS: what an application does with them, and what it reads in errors."""

import json
import os
import threading
import time
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PORTS = json.loads(os.environ["CROSSDOCK_PORTS"])
ENDPOINT = f"http://127.0.0.1:{PORTS['aws']}"
ACCOUNT = "000000000000"


def client(service):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


sqs, sns, sts = client("sqs"), client("sns"), client("sts")


def fails(code, call, message=None, status=400, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]
        assert got["Code"] == code, got
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        assert message is None or got["Message"] == message, got
        return
    raise AssertionError(f"{code} was expected")


def queue(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def receive(url, wait=5, **arguments):
    arguments = {"MessageAttributeNames": ["All"], "AttributeNames": ["All"], **arguments}
    return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait, **arguments).get("Messages", [])


def one(url, **arguments):
    messages = receive(url, **arguments)
    assert len(messages) == 1, messages
    return messages[0]


def delete(url, message):
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_queues():
    url = queue("orders", VisibilityTimeout="30", DelaySeconds="0")
    assert url == f"{ENDPOINT}/{ACCOUNT}/orders", url
    assert queue("orders", VisibilityTimeout="30") == url
    assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
    fails(
        "QueueAlreadyExists",
        sqs.create_queue,
        "A queue already exists with the same name and a different value for attribute DelaySeconds",
        QueueName="orders",
        Attributes={"DelaySeconds": "1"},
    )
    fails("InvalidAttributeName", sqs.create_queue, "Unknown Attribute Foo.", QueueName="x", Attributes={"Foo": "1"})
    fails("InvalidAttributeValue", sqs.create_queue, QueueName="x", Attributes={"DelaySeconds": "901"})
    fails("InvalidParameterValue", sqs.create_queue, QueueName="no dots.please")
    missing = "The specified queue does not exist."
    fails("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, missing, QueueName="nowhere")
    try:
        sqs.send_message(QueueUrl=f"{ENDPOINT}/{ACCOUNT}/nowhere", MessageBody="x")
        raise AssertionError("an error was expected")
    except sqs.exceptions.QueueDoesNotExist:
        pass


def test_list():
    for number in range(5):
        queue(f"list-{number}")
    urls = sqs.list_queues(QueueNamePrefix="list-")["QueueUrls"]
    assert [url.rsplit("/")[-1] for url in urls] == [f"list-{number}" for number in range(5)], urls
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="list-", PaginationConfig={"PageSize": 2})
    sizes = [len(page["QueueUrls"]) for page in pages]
    assert sizes == [2, 2, 1], sizes
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="nothing")
    fails("InvalidParameterValue", sqs.list_queues, NextToken="%%%", MaxResults=1)
    for url in urls:
        sqs.delete_queue(QueueUrl=url)
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="list-")


def test_attributes_and_tags():
    url = sqs.create_queue(QueueName="attributes", tags={"team": "a"})["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == arn("attributes")
    assert attributes["VisibilityTimeout"] == "30" and attributes["MessageRetentionPeriod"] == "345600", attributes
    assert attributes["ApproximateNumberOfMessages"] == "0" and attributes["MaximumMessageSize"] == "1048576"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7", "MaximumMessageSize": "1024"})
    names = ["VisibilityTimeout", "MaximumMessageSize"]
    changed = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert changed == {"VisibilityTimeout": "7", "MaximumMessageSize": "1024"}, changed
    fails("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Foo"])
    too_long = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    fails("InvalidParameterValue", sqs.send_message, too_long, QueueUrl=url, MessageBody="x" * 1025)
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1024)
    sqs.tag_queue(QueueUrl=url, Tags={"team": "b", "stage": "test"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["stage"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "b"}


def test_messages():
    url = queue("messages")
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße <&>"},
        "number": {"DataType": "Number.int", "StringValue": "1.50"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
    sent = sqs.send_message(
        QueueUrl=url, MessageBody="hello\r\n ü", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert sent["MD5OfMessageAttributes"] and sent["MD5OfMessageSystemAttributes"]
    message = one(url)
    assert message["Body"] == "hello\r\n ü" and message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"] == attributes, message["MessageAttributes"]
    system = message["Attributes"]
    assert system["ApproximateReceiveCount"] == "1" and system["AWSTraceHeader"] == "Root=1-2-3", system
    assert system["SenderId"] == "guest" and int(system["SentTimestamp"]) > 1_600_000_000_000
    assert receive(url, wait=0) == []
    delete(url, message)
    delete(url, message)
    sqs.send_message(QueueUrl=url, MessageBody="selected", MessageAttributes=attributes)
    message = one(url, MessageAttributeNames=["te.*"], AttributeNames=["SenderId"])
    assert list(message["MessageAttributes"]) == ["text"] and list(message["Attributes"]) == ["SenderId"]
    delete(url, message)
    text = "Message (user) attribute 'a' must contain a non-empty value of type 'String'."
    broken = {"a": {"DataType": "String", "StringValue": ""}}
    fails("InvalidParameterValue", sqs.send_message, text, QueueUrl=url, MessageBody="x", MessageAttributes=broken)
    fails("InvalidMessageContents", sqs.send_message, QueueUrl=url, MessageBody="\x01")
    fails("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="garbage")
    wrong = "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
    fails("InvalidParameterValue", sqs.receive_message, wrong, QueueUrl=url, MaxNumberOfMessages=11)
    wrong = "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
    fails("InvalidParameterValue", sqs.receive_message, wrong, QueueUrl=url, WaitTimeSeconds=21)


def test_batches():
    url = queue("batches")
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    messages = receive(url, MaxNumberOfMessages=10)
    assert [message["Body"] for message in messages] == [f"m{number}" for number in range(10)], messages
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    change = [{**handle, "VisibilityTimeout": 60} for handle in handles]
    assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=change)["Successful"]) == 10
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=handles[:9] + [{"Id": "bad", "ReceiptHandle": "x"}])
    assert len(answer["Successful"]) == 9
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")], answer
    many = "Maximum number of entries per request are 10. You have sent 11."
    code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
    eleven = [{"Id": str(number), "MessageBody": "m"} for number in range(11)]
    fails(code, sqs.send_message_batch, many, QueueUrl=url, Entries=eleven)
    fails("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
    twice = [{"Id": "a", "MessageBody": "m"}, {"Id": "a", "MessageBody": "m"}]
    fails("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=twice)
    half = [{"Id": "a", "MessageBody": "m"}, {"Id": "b", "MessageBody": "\x02"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=half)
    assert [one["Id"] for one in answer["Successful"]] == ["a"] and answer["Failed"][0]["SenderFault"] is True
    long = [{"Id": "a", "MessageBody": "m" * 1_048_570}, {"Id": "b", "MessageBody": "n" * 7}]
    text = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."
    fails("AWS.SimpleQueueService.BatchRequestTooLong", sqs.send_message_batch, text, QueueUrl=url, Entries=long)


def test_long_polling():
    url = queue("polling", ReceiveMessageWaitTimeSeconds="10")
    begun = time.monotonic()
    timer = threading.Timer(0.5, lambda: client("sqs").send_message(QueueUrl=url, MessageBody="late"))
    timer.start()
    messages = sqs.receive_message(QueueUrl=url)["Messages"]
    assert messages[0]["Body"] == "late" and 0.4 < time.monotonic() - begun < 5
    timer.join()
    delete(url, messages[0])
    begun = time.monotonic()
    assert receive(url, wait=1) == [] and time.monotonic() - begun >= 0.9


def test_a_poll_that_hangs_up_takes_nothing():
    url = queue("hang-up")
    impatient = boto3.client(
        "sqs",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(read_timeout=1, retries={"total_max_attempts": 1}),
    )
    try:
        impatient.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        raise AssertionError("it should have given up")
    except Exception as error:
        assert "timeout" in str(error), error
    time.sleep(0.3)
    sqs.send_message(QueueUrl=url, MessageBody="still here")
    assert one(url)["Body"] == "still here"


def test_visibility():
    url = queue("visibility")
    sqs.send_message(QueueUrl=url, MessageBody="again")
    first = one(url, VisibilityTimeout=1)
    second = one(url)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["Attributes"]["ApproximateFirstReceiveTimestamp"] == first["Attributes"]["ApproximateFirstReceiveTimestamp"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    third = one(url, wait=0)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"], VisibilityTimeout=1)
    assert receive(url, wait=0) == []
    fourth = one(url)
    delete(url, fourth)
    handle = fourth["ReceiptHandle"]
    fails("InvalidParameterValue", sqs.change_message_visibility, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=5)
    fails(
        "InvalidParameterValue",
        sqs.change_message_visibility,
        QueueUrl=url,
        ReceiptHandle=handle,
        VisibilityTimeout=43201,
    )


def test_delay_and_purge():
    url = queue("delay")
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    assert receive(url, wait=0) == []
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert counts["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"
    delete(url, one(url))
    sqs.send_message(QueueUrl=url, MessageBody="gone")
    sqs.send_message(QueueUrl=url, MessageBody="held")
    sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=1)
    one(url, VisibilityTimeout=1)
    sqs.purge_queue(QueueUrl=url)
    assert receive(url, wait=2) == []


def test_redrive():
    dead = queue("dead")
    policy = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2})
    url = queue("risky", RedrivePolicy=policy, VisibilityTimeout="0")
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    assert shown == policy
    attributes = {"k": {"DataType": "String", "StringValue": "v"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="poison", MessageAttributes=attributes)
    one(url)
    one(url)
    message = one(dead)
    assert message["Body"] == "poison" and message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn("risky"), message
    assert receive(url, wait=0) == []
    fails("InvalidParameterValue", sqs.create_queue, QueueName="x", Attributes={"RedrivePolicy": "nonsense"})
    nowhere = json.dumps({"deadLetterTargetArn": arn("nowhere"), "maxReceiveCount": 1})
    fails("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={"RedrivePolicy": nowhere})


def test_topics():
    topic = sns.create_topic(Name="prices", Attributes={"DisplayName": "P"}, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
    assert topic == f"arn:aws:sns:us-east-1:{ACCOUNT}:prices"
    assert sns.create_topic(Name="prices")["TopicArn"] == topic
    text = "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
    fails("InvalidParameter", sns.create_topic, text, Name="prices", Attributes={"DisplayName": "Q"})
    text = "Invalid parameter: Tags Reason: Topic already exists with different tags"
    fails("InvalidParameter", sns.create_topic, text, Name="prices", Tags=[{"Key": "a", "Value": "c"}])
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Z")
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["DisplayName"] == "Z" and attributes["Owner"] == ACCOUNT, attributes
    assert attributes["SubscriptionsConfirmed"] == "0" and "__default_policy_ID" in attributes["Policy"]
    assert topic in [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "b"}]
    missing = topic + "-not"
    fails("NotFound", sns.get_topic_attributes, "Topic does not exist", status=404, TopicArn=missing)
    fails("NotFound", sns.publish, "Topic does not exist", status=404, TopicArn=missing, Message="x")
    text = "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"
    fails("InvalidParameter", sns.get_topic_attributes, text, TopicArn="randomstring")
    fails("InvalidParameter", sns.create_topic, "Invalid parameter: Topic Name", Name="a b")
    sns.publish(TopicArn=topic, Message="nobody hears it")
    many = [sns.create_topic(Name=f"many-{number}")["TopicArn"] for number in range(101)]
    listed = [one["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for one in page["Topics"]]
    assert set(many) < set(listed) and len(listed) == len(set(listed))
    for topic in many:
        sns.delete_topic(TopicArn=topic)


def test_fan_out():
    topic = sns.create_topic(Name="fan")["TopicArn"]
    raw, wrapped = queue("fan-raw"), queue("fan-wrapped")
    to_raw = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn("fan-raw"), Attributes={"RawMessageDelivery": "true"}
    )["SubscriptionArn"]
    to_wrapped = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("fan-wrapped"))["SubscriptionArn"]
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("fan-raw"))["SubscriptionArn"] == to_raw
    attributes = {
        "colour": {"DataType": "String", "StringValue": "red"},
        "list": {"DataType": "String.Array", "StringValue": '["a"]'},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x01\x02"},
    }
    sent = sns.publish(TopicArn=topic, Message='{"price": 1}', Subject="news", MessageAttributes=attributes)
    message = one(raw)
    assert message["Body"] == '{"price": 1}' and message["MessageAttributes"] == attributes, message
    message = one(wrapped)
    body = json.loads(message["Body"])
    assert body["Type"] == "Notification" and body["MessageId"] == sent["MessageId"]
    assert (body["TopicArn"], body["Subject"], body["Message"]) == (topic, "news", '{"price": 1}')
    assert body["MessageAttributes"]["bytes"] == {"Type": "Binary", "Value": "AQI="}
    assert body["Timestamp"].endswith("Z") and "MessageAttributes" not in message
    entries = [{"Id": str(number), "Message": f"m{number}"} for number in range(3)]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["0", "1", "2"]
    assert [message["Body"] for message in receive(raw, MaxNumberOfMessages=10)] == ["m0", "m1", "m2"]
    structure = json.dumps({"default": "d", "sqs": "for queues"})
    sns.publish(TopicArn=topic, Message=structure, MessageStructure="json")
    assert one(raw)["Body"] == "for queues"
    arns = [one["SubscriptionArn"] for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]]
    assert sorted(arns) == sorted([to_raw, to_wrapped]), arns
    assert set(arns) <= {one["SubscriptionArn"] for one in sns.list_subscriptions()["Subscriptions"]}
    shown = sns.get_subscription_attributes(SubscriptionArn=to_wrapped)["Attributes"]
    assert shown["RawMessageDelivery"] == "false" and shown["Endpoint"] == arn("fan-wrapped"), shown
    change = {"SubscriptionArn": to_wrapped, "AttributeName": "RawMessageDelivery"}
    sns.set_subscription_attributes(**change, AttributeValue="true")
    sqs.purge_queue(QueueUrl=wrapped)
    sns.publish(TopicArn=topic, Message="now raw")
    assert one(wrapped)["Body"] == "now raw"
    text = "Invalid parameter: RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false."
    fails("InvalidParameter", sns.set_subscription_attributes, text, **change, AttributeValue="test-ValUe")
    sns.unsubscribe(SubscriptionArn=to_wrapped)
    sns.unsubscribe(SubscriptionArn=to_wrapped)
    text = "Subscription does not exist"
    fails("NotFound", sns.get_subscription_attributes, text, status=404, SubscriptionArn=to_wrapped)
    sns.publish(TopicArn=topic, Message="one ear")
    assert receive(wrapped, wait=0) == []
    sns.delete_topic(TopicArn=topic)
    assert to_raw not in [one["SubscriptionArn"] for one in sns.list_subscriptions()["Subscriptions"]]


def test_sns_refusals():
    topic = sns.create_topic(Name="refusals")["TopicArn"]
    text = "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol"
    fails("InvalidParameter", sns.subscribe, text, TopicArn=topic, Protocol="test-protocol", Endpoint="x")
    text = "Invalid parameter: Endpoint must match the specified protocol"
    fails("InvalidParameter", sns.subscribe, text, TopicArn=topic, Protocol="https", Endpoint="http://example.org")
    text = "Invalid parameter: SQS endpoint ARN"
    fails("InvalidParameter", sns.subscribe, text, TopicArn=topic, Protocol="sqs", Endpoint="x")
    fails("InvalidParameter", sns.publish, "Invalid parameter: Empty message", TopicArn=topic, Message="")
    fails("InvalidParameter", sns.publish, "Invalid parameter: Subject", TopicArn=topic, Message="m", Subject="a\nb")
    text = "Invalid parameter: Message too long"
    fails("InvalidParameter", sns.publish, text, TopicArn=topic, Message="x" * 262_145)
    text = "Invalid parameter: Message Structure - No default entry in JSON message body"
    fails("InvalidParameter", sns.publish, text, TopicArn=topic, Message='{"sqs": "x"}', MessageStructure="json")
    text = "The message attribute 'attr1' with type 'Binary' must use field 'Binary'."
    broken = {"attr1": {"DataType": "Binary", "StringValue": "x"}}
    fails("ParameterValueInvalid", sns.publish, text, TopicArn=topic, Message="m", MessageAttributes=broken)
    twice = [{"Id": "a", "Message": "m"}, {"Id": "a", "Message": "m"}]
    text = "Two or more batch entries in the request have the same Id."
    call = sns.publish_batch
    fails("BatchEntryIdsNotDistinct", call, text, TopicArn=topic, PublishBatchRequestEntries=twice)


def test_filter_policies():
    topic, url = sns.create_topic(Name="filtered")["TopicArn"], queue("filtered-queue")
    where = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn("filtered-queue"), "ReturnSubscriptionArn": True}
    policy = json.dumps({"kind": ["order", {"prefix": "ret"}], "price": [{"numeric": [">", 10, "<=", 20]}]})
    subscription = sns.subscribe(**where, Attributes={"FilterPolicy": policy, "RawMessageDelivery": "true"})["SubscriptionArn"]

    def shown():
        attributes = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        return attributes.get("FilterPolicy"), attributes.get("FilterPolicyScope")

    def publish(body, kind=None, price=None):
        attributes = {}
        if kind:
            attributes["kind"] = {"DataType": "String", "StringValue": kind}
        if price:
            attributes["price"] = {"DataType": "Number", "StringValue": price}
        sns.publish(TopicArn=topic, Message=body, MessageAttributes=attributes)

    def got(count):
        found = []
        while len(found) < count:
            messages = receive(url, MaxNumberOfMessages=10)
            assert messages, (count, found)
            found += [message["Body"] for message in messages]
            for message in messages:
                delete(url, message)
        assert receive(url, wait=0) == []
        return sorted(found)

    def change(name, value):
        sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)

    assert shown() == (policy, "MessageAttributes"), shown()
    publish("a", "order", "15")
    publish("b", "return", "20")
    publish("c", "order", "10")
    publish("d", "other", "15")
    publish("e", "order")
    publish("f")
    assert got(2) == ["a", "b"]
    different = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
    fails("InvalidParameter", sns.subscribe, different, **where, Attributes={"FilterPolicy": "{}"})
    change("FilterPolicy", json.dumps({"customer": ["Ada", "Bob"]}))
    change("FilterPolicyScope", "MessageBody")
    assert shown() == (json.dumps({"customer": ["Ada", "Bob"]}), "MessageBody"), shown()
    change("FilterPolicy", json.dumps({"customer": {"name": ["Ada"]}}))
    for body in ('{"customer": {"name": "Ada"}}', '{"customer": {"name": "Bob"}}', '{"customer": [{"name": "Ada"}]}', "Ada"):
        publish(body)
    assert got(2) == ['{"customer": [{"name": "Ada"}]}', '{"customer": {"name": "Ada"}}']
    nested = "Invalid parameter: Filter policy scope MessageAttributes does not support nested filter policy"
    fails("InvalidParameter", change, nested, name="FilterPolicyScope", value="MessageAttributes")
    change("FilterPolicy", "")
    assert shown() == (None, None), shown()
    publish("everything")
    assert got(1) == ["everything"]
    for name, value, text in (
        ("FilterPolicyScope", "RandomValue", "FilterPolicyScope: Invalid value [RandomValue]. Please use either MessageBody or MessageAttributes"),
        (
            "FilterPolicy",
            '{"key_a":"value_one"}',
            'FilterPolicy: "key_a" must be an object or an array\n at [Source: (String)"{"key_a":"value_one"}"; line: 1, column: 11]',
        ),
        ("FilterPolicy", json.dumps({key: ["v"] for key in "abcdef"}), "FilterPolicy: Filter policy can not have more than 5 keys"),
        ("FilterPolicy", json.dumps({"a": ["v"] * 151}), "FilterPolicy: Filter policy is too complex"),
    ):
        fails("InvalidParameter", change, f"Invalid parameter: {text}", name=name, value=value)
        again = {**where, "Endpoint": arn("another-queue")}
        queue("another-queue")
        text = f"Invalid parameter: Attributes Reason: {text}"
        fails("InvalidParameter", sns.subscribe, text, **again, Attributes={name: value})


def test_topic_policies():
    topic = sns.create_topic(Name="guarded")["TopicArn"]
    policy = lambda: json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert policy()["Id"] == "__default_policy_ID"
    given = {"TopicArn": topic, "Label": "friends", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish", "Subscribe"]}
    sns.add_permission(**given)
    assert policy()["Statement"][1] == {
        "Sid": "friends",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": ["SNS:Publish", "SNS:Subscribe"],
        "Resource": topic,
    }, policy()
    fails("InvalidParameter", sns.add_permission, "Invalid parameter: Statement already exists", **given)
    out_of_scope = "Invalid parameter: Policy statement action out of service scope!"
    fails("InvalidParameter", sns.add_permission, out_of_scope, **{**given, "Label": "more", "ActionName": ["SendMessage"]})
    sns.remove_permission(TopicArn=topic, Label="friends")
    assert len(policy()["Statement"]) == 1

    def deny(**statement):
        whole = {"Statement": [{"Effect": "Deny", "Principal": "*", "Resource": topic, **statement}]}
        return sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(whole))

    deny(Action="sns:Publish")
    fails("AuthorizationError", sns.publish, status=403, TopicArn=topic, Message="m")
    deny(Action="sns:Publish", Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}})
    sns.publish(TopicArn=topic, Message="m")
    fails("InvalidParameter", deny, out_of_scope, Action="sqs:SendMessage")
    fails("InvalidParameter", deny, Action="sns:Publish", Resource="nonsense")
    url = queue("guarded-queue")
    service = {"Effect": "Deny", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    service["Condition"] = {"ArnEquals": {"aws:SourceArn": topic}}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [service]})})
    endpoint = {"Protocol": "sqs", "Endpoint": arn("guarded-queue")}
    unguarded = sns.create_topic(Name="unguarded")["TopicArn"]
    for arn_of_topic in (topic, unguarded):
        sns.subscribe(TopicArn=arn_of_topic, **endpoint)
        sns.publish(TopicArn=arn_of_topic, Message=arn_of_topic)
    assert json.loads(one(url)["Body"])["Message"] == unguarded
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_query_protocol():
    """Older SDKs speak Query to SQS too."""

    def call(path="/", **parameters):
        data = urllib.parse.urlencode({"Version": "2012-11-05", **parameters}).encode()
        try:
            with urllib.request.urlopen(ENDPOINT + path, data) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    answer = call(Action="CreateQueue", QueueName="old", **{"Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "0"})
    assert f"<QueueUrl>{ENDPOINT}/{ACCOUNT}/old</QueueUrl>" in answer, answer
    path = f"/{ACCOUNT}/old"
    attribute = {"MessageAttribute.1.Name": "k", "MessageAttribute.1.Value.DataType": "String"}
    sent = call(path, Action="SendMessage", MessageBody="a <b> & c", **attribute, **{"MessageAttribute.1.Value.StringValue": "v"})
    assert "<MD5OfMessageBody>" in sent, sent
    got = call(path, Action="ReceiveMessage", **{"MessageAttributeName.1": "All", "AttributeName.1": "All"})
    assert "<Body>a &lt;b&gt; &amp; c</Body>" in got and "<StringValue>v</StringValue>" in got, got
    missing = call(f"/{ACCOUNT}/nowhere", Action="SendMessage", MessageBody="x")
    assert "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in missing
    assert "The specified queue does not exist for this wsdl version." in missing
    assert "<Code>InvalidAction</Code>" in call(Action="Nonsense")


def test_identity():
    identity = sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT and identity["Arn"].endswith(":user/guest"), identity


for name, test in list(globals().items()):
    if name.startswith("test_"):
        begun = time.monotonic()
        test()
        print(f"{name}: good, {time.monotonic() - begun:.2f} s")
