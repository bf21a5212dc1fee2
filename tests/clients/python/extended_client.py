"""Amazon's extended client for Python: bodies too large for SQS are in S3, here a folder of bytes, and the queue has pointers to them."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import sqs_extended_client  # noqa: F401, it changes what boto3 makes

OBJECTS = {}


class Store(BaseHTTPRequestHandler):
    """What of S3 the client asks for."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        OBJECTS[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)

    def do_GET(self):
        self.answer(200, OBJECTS[self.path])

    def do_DELETE(self):
        del OBJECTS[self.path]
        self.answer(204)

    def log_message(self, *_):
        pass


def receive(url):
    return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]


def test_one(url, body):
    kind = {"kind": {"DataType": "String", "StringValue": "large"}}
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=dict(kind))
    assert list(OBJECTS.values()) == [body.encode()]
    message = receive(url)[0]
    assert message["Body"] == body and message["MessageAttributes"] == kind, message["MessageAttributes"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    message = receive(url)[0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert not OBJECTS


def test_many(url, body):
    """Often enough that every kind of receipt handle occurs."""
    for _ in range(5):
        bodies = [f"{number} {body}" for number in range(10)]
        entries = [{"Id": str(number), "MessageBody": text} for number, text in enumerate(bodies)]
        assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
        messages = receive(url)
        assert [message["Body"] for message in messages] == bodies
        handles = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)]
        longer = [{**handle, "VisibilityTimeout": 60} for handle in handles]
        assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=longer)["Successful"]) == 10
        assert len(sqs.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 10
        assert not OBJECTS


if __name__ == "__main__":
    store = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{store.server_port}"
    sqs = boto3.client("sqs")
    sqs.large_payload_support = "bucket"
    sqs.delete_payload_from_s3 = True
    url = sqs.create_queue(QueueName="extended")["QueueUrl"]
    test_one(url, "grüße " * 60_000)
    test_many(url, "x" * 270_000)
    print("good")
