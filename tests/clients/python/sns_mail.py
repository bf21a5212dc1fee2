"""E-mail over TLS to a real SMTP server (aiosmtpd), as MAIL_CASE says: over STARTTLS, over TLS from the first byte, with a certificate of an
unknown authority, and without TLS where it is wanted."""

import asyncio
import email
import email.policy
import json
import os
import re
import ssl
import threading
import time
import urllib.request

import boto3
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import AuthResult, LoginPassword

CASE = os.environ["MAIL_CASE"]
PORTS = json.loads(os.environ["CROSSDOCK_PORTS"])
FOLDER = os.environ["MAIL_CERTIFICATES"]


class Handler:
    """Takes mail over TLS only, but what it has an answer for."""

    def __init__(self):
        self.mails, self.logins, self.answers = [], [], {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        assert session.authenticated, "who has not logged in sends nothing"
        waiting = self.answers.get(address, [])
        if waiting:
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((session.ssl is not None, data.login, data.password))
        # The first one is refused: it may be that somebody is changing the password.
        return AuthResult(success=len(self.logins) > 1, handled=False)


def wait(condition, what):
    for _ in range(450):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(what())


def metric(outcome):
    page = urllib.request.urlopen(f"http://127.0.0.1:{PORTS['management']}/metrics").read().decode()
    found = re.search(rf'crossdock_sns_deliveries_total{{[^}}]*"email"[^}}]*"{outcome}"[^}}]*}} (\d+)', page)
    return int(found[1]) if found else 0


def client(service):
    given = {"region_name": "us-east-1", "aws_access_key_id": "t", "aws_secret_access_key": "t"}
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORTS['aws']}", **given)


def mails_to(address):
    return [mail for mail in handler.mails if mail["to"] == address]


def confirm(address):
    wait(lambda: mails_to(address), lambda: (handler.mails, handler.logins))
    assert urllib.request.urlopen(re.search(r"http://\S+", mails_to(address)[0].get_content())[0]).status == 200


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{FOLDER}/server.pem", f"{FOLDER}/server.key")
handler = Handler()
given = {"hostname": "127.0.0.1", "port": int(os.environ["MAIL_PORT"]), "authenticator": handler.authenticate, "auth_required": True}
given |= {
    "starttls": {"tls_context": context, "require_starttls": True},
    "wrapped": {"ssl_context": context, "auth_require_tls": False},
    "stranger": {"tls_context": context, "require_starttls": True},
    "without": {"auth_require_tls": False},
}[CASE]
# The controller with a thread tries whether it listens, and knows no authority either.
loop = asyncio.new_event_loop()
UnthreadedController(handler, loop=loop, **given).begin()
threading.Thread(target=loop.run_forever, daemon=True).start()
sns, sqs = client("sns"), client("sqs")
topic = sns.create_topic(Name="mailed")["TopicArn"]

if CASE in ("stranger", "without"):
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.org")
    wait(lambda: metric("failed") >= 1, lambda: "nothing was tried")
    assert not handler.mails and not handler.logins, (handler.mails, handler.logins)
    assert metric("accepted") == metric("dropped") == 0, "it is tried again"
    raise SystemExit

# A wrong password, and a mailbox that is busy: it is tried again.
sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.org")
confirm("somebody@example.org")
assert handler.logins == [(CASE == "starttls", b"crossdock", b"a secret")] * 2, handler.logins
handler.answers["somebody@example.org"] = ["451 later"]
published = sns.publish(TopicArn=topic, Message="Grüße", Subject="Über TLS")
wait(lambda: len(mails_to("somebody@example.org")) == 2, lambda: handler.mails)
message = mails_to("somebody@example.org")[1]
assert message["subject"] == "Über TLS" and message.get_content().strip() == "Grüße", message.as_string()
assert metric("dropped") == 0

# A mailbox that is gone: to the dead letters, and at once.
letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:letters"})
sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="gone@example.org", Attributes={"RedrivePolicy": policy})
confirm("gone@example.org")
handler.answers["gone@example.org"] = ["550 no such mailbox"]
sns.publish(TopicArn=topic, Message="for nobody")
[letter] = sqs.receive_message(QueueUrl=letters, WaitTimeSeconds=20)["Messages"]
assert json.loads(letter["Body"])["Message"] == "for nobody" and len(mails_to("gone@example.org")) == 1
wait(lambda: len(mails_to("somebody@example.org")) == 3, lambda: handler.mails)
