"""Messages for nobody with a URL: to a webhook and to files, as the settings of the test say."""

import json
import os
import pathlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
FOLDER = pathlib.Path(os.environ["CROSSDOCK_SINK_FOLDER"])
got = []


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        got.append((self.path, self.headers["content-type"], json.loads(self.rfile.read(int(self.headers["content-length"])))))
        # The first is refused, so that it is sent again.
        self.send_response(200 if len(got) > 1 else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def wait(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(got)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["CROSSDOCK_WEBHOOK_PORT"])), Webhook)
threading.Thread(target=server.serve_forever, daemon=True).start()
sns = boto3.client(
    "sns", endpoint_url=f"http://127.0.0.1:{PORT}", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
)
arn = sns.create_topic(Name="sinks")["TopicArn"]
function = "arn:aws:lambda:us-east-1:000000000000:function:f"
subscription = sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function)["SubscriptionArn"]
for number in ("+15551234567", "+15557654321"):
    sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint=number)
published = sns.publish(TopicArn=arn, Message="hello", Subject="greeting")

wait(lambda: len(got) == 2)
(path, kind, event), (_, _, again) = got
assert path == "/functions" and kind == "application/json" and event == again
[record] = event["Records"]
assert record["EventSource"] == "aws:sns" and record["EventSubscriptionArn"] == subscription
assert record["Sns"]["Message"] == "hello" and record["Sns"]["MessageId"] == published["MessageId"]
assert record["Sns"]["SigningCertUrl"] and record["Sns"]["UnsubscribeUrl"] and record["Sns"]["Subject"] == "greeting"

wait(lambda: FOLDER.exists() and len(list(FOLDER.glob("sms-*.json"))) == 2)
files = [json.loads(file.read_text()) for file in FOLDER.iterdir() if not file.name.startswith(".")]
assert sorted(file["Endpoint"] for file in files) == ["+15551234567", "+15557654321"]
assert all(file["Message"] == "hello" and file["MessageId"] == published["MessageId"] for file in files)
