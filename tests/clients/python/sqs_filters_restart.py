"""A subscription's filter policy holds after a kill: says "kill", and is told the new port."""

import json
import os
import sys

from aws_kills import client


def arn(service, name):
    return f"arn:aws:{service}:us-east-1:000000000000:{name}"


port = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
client("sqs", port).create_queue(QueueName="orders")
client("sns", port).create_topic(Name="all")
filters = {"FilterPolicy": json.dumps({"kind": ["order"]}), "RawMessageDelivery": "true"}
client("sns", port).subscribe(TopicArn=arn("sns", "all"), Protocol="sqs", Endpoint=arn("sqs", "orders"), Attributes=filters)
for attempt in range(2):
    sqs, sns = client("sqs", port), client("sns", port)
    for kind in ("other", "order"):
        attribute = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=arn("sns", "all"), Message=kind, MessageAttributes=attribute)
    url = "http://localhost/000000000000/orders"
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    assert [message["Body"] for message in got] == ["order"], got
    sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
    if attempt == 0:
        print("kill", flush=True)
        port = int(sys.stdin.readline())
