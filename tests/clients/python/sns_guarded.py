"""SNS with signatures that are checked and addresses that are refused: 127.0.0.2 is allowed, 127.0.0.1 is not."""

import json
import os
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.exceptions import ClientError

PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
BASE = f"http://127.0.0.1:{PORT}"


def client(key, service="sns"):
    return boto3.client(
        service, endpoint_url=BASE, region_name="eu-west-1", aws_access_key_id=key, aws_secret_access_key="secret"
    )


class Receiver:
    def __init__(self, address, status=200, location=None):
        self.requests = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.requests.put(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                if location:
                    self.send_header("location", location)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer((address, 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()


def status_of(url):
    try:
        return urllib.request.urlopen(url).status
    except urllib.error.HTTPError as error:
        return error.code


def posted(kind="application/x-www-form-urlencoded", **parameters):
    """Status and code of a form that nobody has signed."""
    form = urllib.parse.urlencode(parameters).encode()
    try:
        return urllib.request.urlopen(urllib.request.Request(BASE, form, {"content-type": kind})).status, None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().split("<Code>")[1].split("</Code>")[0]


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"not refused: {arguments}")


orders, limited = client("AKIDORDERS"), client("AKIDLIMITED")
arn = orders.create_topic(Name="alarms")["TopicArn"]
hidden, allowed = Receiver("127.0.0.1"), Receiver("127.0.0.2")

# What names an address is refused at once.
for host in (
    "127.0.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0.0.0.0", "[::]", "[::1]", "10.0.0.1",
    "[64:ff9b::7f00:1]", "224.0.0.1", "[fe80::1]", "192.168.0.1", "user:pass@127.0.0.1",
):  # fmt: skip
    endpoint = f"http://{host}:{hidden.port}/"
    text = refused("InvalidParameter", orders.subscribe, TopicArn=arn, Protocol="http", Endpoint=endpoint)
    assert text.startswith("Invalid parameter: Endpoint Reason: deliveries to ") and "aws.deliveries.allow" in text, text
# Other spellings are looked at when something is sent.
for host in ("localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1"):
    orders.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"http://{host}:{hidden.port}/")
# Nobody without the right to it has messages sent outwards.
refused("AuthorizationError", limited.subscribe, TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.2:{allowed.port}/")

endpoint = f"http://127.0.0.2:{allowed.port}/"
subscription = orders.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint, ReturnSubscriptionArn=True)["SubscriptionArn"]
question = json.loads(allowed.requests.get(timeout=20))
url = question["SubscribeURL"]
# A key is needed for all but what the message says.
assert status_of(f"{BASE}/?Action=ListTopics") == 403
assert status_of(f"{BASE}/?Action=Publish&TopicArn={arn}&Message=x&Token={question['Token']}") == 403
assert status_of(url[:-1]) == 400 and status_of(url.replace("eu-west-1", "us-east-1")) == 400
assert status_of(f"{BASE}/?Action=Unsubscribe&SubscriptionArn={arn}:none") == 404
assert status_of(f"{BASE}/SimpleNotificationService-{'0' * 32}.pem") == 403
assert status_of(f"{BASE}/../SimpleNotificationService-x.pem") == 403
assert status_of(url) == 200
attributes = orders.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
assert attributes["SubscriptionPrincipal"].endswith(":user/orders") and attributes["PendingConfirmation"] == "false"
assert attributes["ConfirmationWasAuthenticated"] == "false"
orders.publish(TopicArn=arn, Message="allowed")
message = json.loads(allowed.requests.get(timeout=20))
assert message["Message"] == "allowed" and message["TopicArn"] == arn
assert b"BEGIN CERTIFICATE" in urllib.request.urlopen(message["SigningCertURL"]).read()
assert status_of(message["UnsubscribeURL"]) == 200
assert json.loads(allowed.requests.get(timeout=20))["Type"] == "UnsubscribeConfirmation"

# The same as forms, which are short and say nothing else.
orders.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)
token = json.loads(allowed.requests.get(timeout=20))["Token"]
confirmation = {"Action": "ConfirmSubscription", "Version": "2010-03-31", "TopicArn": arn, "Token": token}
assert posted(Action="ListTopics", Version="2010-03-31") == (403, "MissingAuthenticationToken")
assert posted(Action="Publish", TopicArn=arn, Message="x", Token=token) == (403, "MissingAuthenticationToken")
assert posted(**confirmation, AuthenticateOnUnsubscribe="true") == (403, "MissingAuthenticationToken")
assert posted(**confirmation, Padding="x" * 4096) == (403, "MissingAuthenticationToken")
assert posted(**confirmation | {"Token": "randomtoken"}) == (400, "InvalidParameter")
assert posted(**confirmation | {"Token": token[:-1] + ("1" if token[-1] == "0" else "0")}) == (400, "InvalidParameter")
assert posted(**confirmation | {"TopicArn": arn + "-not"}) == (400, "InvalidParameter")
assert posted(**confirmation, kind="application/x-amz-json-1.0") == (403, "MissingAuthenticationToken")
assert posted(**confirmation) == (200, None)
confirmed = orders.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
confirmed = [one["SubscriptionArn"] for one in confirmed if one["SubscriptionArn"].startswith(arn)]
assert len(confirmed) == 1, confirmed
assert posted(Action="Unsubscribe", SubscriptionArn=confirmed[0] + "0") == (404, "NotFound")
assert posted(Action="Unsubscribe", SubscriptionArn=confirmed[0]) == (200, None)
assert json.loads(allowed.requests.get(timeout=20))["Type"] == "UnsubscribeConfirmation"

# One that only its owner may end.
orders.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)
token = json.loads(allowed.requests.get(timeout=20))["Token"]
locked = orders.confirm_subscription(TopicArn=arn, Token=token, AuthenticateOnUnsubscribe="true")["SubscriptionArn"]
assert orders.get_subscription_attributes(SubscriptionArn=locked)["Attributes"]["ConfirmationWasAuthenticated"] == "true"
assert status_of(f"{BASE}/?Action=Unsubscribe&SubscriptionArn={locked}") == 403
assert posted(Action="Unsubscribe", SubscriptionArn=locked) == (403, "MissingAuthenticationToken")
orders.unsubscribe(SubscriptionArn=locked)
allowed.requests.get(timeout=20)

# A redirect leads nowhere.
redirecting = Receiver("127.0.0.2", 307, f"http://127.0.0.1:{hidden.port}/")
orders.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.2:{redirecting.port}/")
redirecting.requests.get(timeout=20)
time.sleep(1)
# All of them were tried.
management = json.loads(os.environ["CROSSDOCK_PORTS"])["management"]
metrics = urllib.request.urlopen(f"http://127.0.0.1:{management}/metrics").read().decode()
line = 'crossdock_sns_deliveries_total{protocol="http",outcome="failed"} '
assert int(metrics.split(line)[1].split("\n")[0]) >= 6, metrics
assert hidden.requests.empty() and allowed.requests.empty()
