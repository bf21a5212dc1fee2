"""The AWS command line, as people type it."""

import json
import os
import subprocess
import sys

ENVIRONMENT = {**os.environ, "AWS_MAX_ATTEMPTS": "1"}


def run(*arguments):
    # Version 1 of the command line does not read AWS_ENDPOINT_URL for SQS.
    command = [sys.executable, "-m", "awscli", "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "--output", "json"]
    return subprocess.run([*command, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def aws(*arguments):
    result = run(*arguments)
    assert result.returncode == 0, (arguments, result.stdout, result.stderr)
    return json.loads(result.stdout) if result.stdout.strip() else {}


def refused(text, *arguments):
    result = run(*arguments)
    assert result.returncode != 0 and text in result.stderr, (arguments, result.stdout, result.stderr)


assert aws("sts", "get-caller-identity")["Account"] == "000000000000"

url = aws("sqs", "create-queue", "--queue-name", "cli", "--attributes", "VisibilityTimeout=60")["QueueUrl"]
assert aws("sqs", "get-queue-url", "--queue-name", "cli")["QueueUrl"] == url
assert url in aws("sqs", "list-queues", "--queue-name-prefix", "cli")["QueueUrls"]
attributes = aws("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]
assert attributes["VisibilityTimeout"] == "60" and attributes["QueueArn"].endswith(":cli"), attributes

attribute = json.dumps({"k": {"DataType": "String", "StringValue": "v"}})
sent = aws("sqs", "send-message", "--queue-url", url, "--message-body", "hello", "--message-attributes", attribute)
received = aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "2", "--message-attribute-names", "All")
message = received["Messages"][0]
assert message["MessageId"] == sent["MessageId"] and message["Body"] == "hello", message
assert message["MessageAttributes"] == json.loads(attribute)
handle = ("--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
aws("sqs", "change-message-visibility", *handle, "--visibility-timeout", "30")
aws("sqs", "delete-message", *handle)
aws("sqs", "purge-queue", "--queue-url", url)
refused("AWS.SimpleQueueService.NonExistentQueue", "sqs", "get-queue-url", "--queue-name", "nowhere")

topic = aws("sns", "create-topic", "--name", "cli-topic")["TopicArn"]
subscribe = ("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint")
subscription = aws(*subscribe, attributes["QueueArn"], "--return-subscription-arn")["SubscriptionArn"]
assert [one["SubscriptionArn"] for one in aws("sns", "list-subscriptions")["Subscriptions"]] == [subscription]
published = aws("sns", "publish", "--topic-arn", topic, "--subject", "s", "--message", "news")
body = json.loads(aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "2")["Messages"][0]["Body"])
assert (body["Message"], body["Subject"], body["MessageId"]) == ("news", "s", published["MessageId"]), body
refused("Topic does not exist", "sns", "publish", "--topic-arn", topic + "-not", "--message", "x")

aws("sns", "unsubscribe", "--subscription-arn", subscription)
aws("sns", "delete-topic", "--topic-arn", topic)
aws("sqs", "delete-queue", "--queue-url", url)
print("good")
