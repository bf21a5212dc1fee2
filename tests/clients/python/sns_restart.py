"""Subscriptions, confirmed or not, and messages that wait for an endpoint survive kills: says "kill", and is told the new port."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

COUNT = 30


def client(port):
    return boto3.client(
        "sns",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class Endpoint(BaseHTTPRequestHandler):
    status = 200
    token = None
    got: set = set()
    changed = threading.Condition()

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with Endpoint.changed:
            if message["Type"] == "SubscriptionConfirmation":
                Endpoint.token = message["Token"]
            elif Endpoint.status == 200:
                Endpoint.got.add(message["Message"])
            status = Endpoint.status
            Endpoint.changed.notify_all()
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def wait(condition):
    with Endpoint.changed:
        assert Endpoint.changed.wait_for(condition, timeout=60), len(Endpoint.got)


def kill():
    print("kill", flush=True)
    return int(sys.stdin.readline())


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
arn = client(port).create_topic(Name="restarted")["TopicArn"]
policy = {"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 60}}
client(port).subscribe(
    TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.1:{server.server_address[1]}/",
    Attributes={"DeliveryPolicy": json.dumps(policy)},
)  # fmt: skip
wait(lambda: Endpoint.token)
port = kill()
attributes = client(port).get_topic_attributes(TopicArn=arn)["Attributes"]
assert attributes["SubscriptionsPending"] == "1", attributes
client(port).confirm_subscription(TopicArn=arn, Token=Endpoint.token)
Endpoint.status = 503
for number in range(COUNT):
    client(port).publish(TopicArn=arn, Message=str(number))
port = kill()
for number in range(COUNT, 2 * COUNT):
    client(port).publish(TopicArn=arn, Message=str(number))
Endpoint.status = 200
wait(lambda: len(Endpoint.got) >= COUNT // 2)
kill()
wait(lambda: len(Endpoint.got) == 2 * COUNT)
