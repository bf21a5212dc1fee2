"""Queues of other protocols that SQS cannot call by name: boto3 reaches them through an escaped URL, and through their ARN."""

import json
import os

import boto3
import pika
from ports import PORTS

NAMES = {
    "orders.eu/äö": "orders.eu%2F%C3%A4%C3%B6",
    "with space & more?": "with%20space%20%26%20more%3F",
    "100%": "100%25",
    "x" * 200: "x" * 200,
    "a:b": "a%3Ab",
}
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "000000000000"

sqs = boto3.client("sqs")


def messages(url, **more):
    return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10, **more).get("Messages", [])


def test_messages(channel, name, url):
    channel.basic_publish("", name, b"of AMQP", pika.BasicProperties(headers={"kind": "amqp"}, delivery_mode=2))
    (message,) = messages(url, MessageAttributeNames=["kind"])
    assert message["Body"] == "of AMQP" and message["MessageAttributes"]["kind"]["StringValue"] == "amqp", message
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(3)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 3
    _, _, body = channel.basic_get(name, auto_ack=True)
    assert body == b"m0", body
    sqs.purge_queue(QueueUrl=url)


def test_dead_letters(arn, url):
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    source = sqs.create_queue(QueueName="source")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": policy})
    assert sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"] == [source]
    sqs.send_message(QueueUrl=source, MessageBody="poison")
    (message,) = messages(source)
    sqs.change_message_visibility(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (letter,) = messages(url, MessageSystemAttributeNames=["All"])
    assert letter["Attributes"]["DeadLetterQueueSourceArn"].endswith(":source"), letter
    sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
    sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": ""})


def test_name(channel, name, escaped):
    channel.queue_declare(name, durable=True)
    url = f"{ENDPOINT}/{ACCOUNT}/{escaped}"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url, name
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == f"arn:aws:sqs:{os.environ['AWS_REGION']}:{ACCOUNT}:{escaped}", attributes
    for form in (f"{ENDPOINT}/queue/{escaped}", f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{escaped}", escaped):
        assert sqs.get_queue_attributes(QueueUrl=form, AttributeNames=["All"])["Attributes"] == attributes, form
    test_messages(channel, name, url)
    test_dead_letters(attributes["QueueArn"], url)
    assert url not in sqs.list_queues().get("QueueUrls", []), "only names of SQS are listed"
    sqs.delete_queue(QueueUrl=url)
    for call in (lambda: sqs.get_queue_url(QueueName=name), lambda: sqs.purge_queue(QueueUrl=url)):
        try:
            call()
        except sqs.exceptions.QueueDoesNotExist:
            continue
        raise AssertionError(f"{name} was deleted")
    try:
        sqs.create_queue(QueueName=name)
    except sqs.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidParameterValue", error
        return
    raise AssertionError(f"SQS makes no queue {name}")


if __name__ == "__main__":
    login = pika.PlainCredentials("orders", "secret")
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], credentials=login)) as connection:
        for name, escaped in NAMES.items():
            test_name(connection.channel(), name, escaped)
    print("good")
