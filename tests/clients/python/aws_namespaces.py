"""Accounts and regions are namespaces: what is made in one is not there in another."""

import base64
import json
import os
import sys
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
from botocore.exceptions import ClientError

PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
MANAGEMENT = json.loads(os.environ["CROSSDOCK_PORTS"])["management"]
HOME, OTHER, THIRD = "000000000000", "111111111111", "222222222222"


def clients(key, region, secret="secret"):
    make = lambda service: boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{PORT}",
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    return make("sqs"), make("sns"), make("sts")


def refused(code, call, **parameters):
    try:
        answer = call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(answer)


def names(sqs):
    return sorted(url.rsplit("/", 1)[1] for url in sqs.list_queues().get("QueueUrls", []))


def bodies(sqs, url, count):
    found = []
    while len(found) < count:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MaxNumberOfMessages=10)["Messages"]:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(message["Body"])
    return found


def same_names_are_other_queues():
    places = {}
    for key, account in (("test", HOME), (OTHER, OTHER)):
        for region in ("us-east-1", "eu-west-1"):
            sqs, sns, sts = clients(key, region)
            assert sts.get_caller_identity()["Account"] == account
            url = sqs.create_queue(QueueName="same")["QueueUrl"]
            assert url.endswith(f"/{account}/same"), url
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            assert arn == f"arn:aws:sqs:{region}:{account}:same", arn
            topic = sns.create_topic(Name="same")["TopicArn"]
            assert topic == f"arn:aws:sns:{region}:{account}:same", topic
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
            places[account, region] = sqs, sns, url, arn, topic
    for place, (sqs, sns, url, _, topic) in places.items():
        sns.publish(TopicArn=topic, Message=" ".join(place))
        assert names(sqs) == ["same"] and len(sns.list_topics()["Topics"]) == 1
    for place, (sqs, _, url, _, _) in places.items():
        assert bodies(sqs, url, 1) == [" ".join(place)]
    # The 60 seconds after a purge are those of one queue.
    for sqs, _, url, _, _ in places.values():
        sqs.purge_queue(QueueUrl=url)
    sqs, sns, url, _, _ = places[HOME, "us-east-1"]
    _, _, other_url, _, other_topic = places[OTHER, "us-east-1"]
    _, _, _, _, far_topic = places[HOME, "eu-west-1"]
    # Another account's has to be shared (aws_access.py).
    refused("AccessDenied", sqs.send_message, QueueUrl=other_url, MessageBody="x")
    refused("AuthorizationError", sns.publish, TopicArn=other_topic, Message="x")
    for missing in (other_url + "-not", other_url.replace(OTHER, "222222222222")):
        refused("AWS.SimpleQueueService.NonExistentQueue", sqs.send_message, QueueUrl=missing, MessageBody="x")
    refused("NotFound", sns.publish, TopicArn=other_topic + "-not", Message="x")
    refused("InvalidParameter", sns.publish, TopicArn=far_topic, Message="x")
    # A receipt handle of one namespace is none in another.
    sqs.send_message(QueueUrl=url, MessageBody="mine")
    handle = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    far_sqs, _, far_url, _, _ = places[HOME, "eu-west-1"]
    refused("ReceiptHandleIsInvalid", far_sqs.delete_message, QueueUrl=far_url, ReceiptHandle=handle)
    refused("SignatureDoesNotMatch", clients("test", "Nowhere")[0].list_queues)


def topics_deliver_to_other_regions():
    (_, near, _), (sqs, far, _) = clients("test", "us-east-1"), clients("test", "eu-west-1")
    topic, url = near.create_topic(Name="wide")["TopicArn"], sqs.create_queue(QueueName="wide")["QueueUrl"]
    wide = f"arn:aws:sqs:eu-west-1:{HOME}:wide"
    for wrong in ("arn:aws:sqs:EU:000000000000:wide", "arn:aws:sqs:eu-west-1:1:wide", wide + ".fifo", wide + ":x"):
        refused("InvalidParameter", near.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=wrong)
    # AWS has it so: Subscribe is called where the topic is.
    refused("InvalidParameter", far.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=wide)
    subscription = near.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wide)["SubscriptionArn"]
    assert near.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wide)["SubscriptionArn"] == subscription
    near.publish(TopicArn=topic, Message="far away")
    (envelope,) = bodies(sqs, url, 1)
    assert json.loads(envelope)["Message"] == "far away" and json.loads(envelope)["TopicArn"] == topic
    (shown,) = near.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (shown["SubscriptionArn"], shown["Endpoint"], shown["Protocol"]) == (subscription, wide, "sqs")
    attributes = near.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert attributes["PendingConfirmation"] == "false" and attributes["Endpoint"] == wide
    # The filter policy holds, and raw delivery.
    for name, value in (("FilterPolicy", '{"kind":["wanted"]}'), ("RawMessageDelivery", "true")):
        near.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)
    near.publish(TopicArn=topic, Message="no")
    wanted = {"kind": {"DataType": "String", "StringValue": "wanted"}}
    near.publish(TopicArn=topic, Message="yes", MessageAttributes=wanted)
    assert bodies(sqs, url, 1) == ["yes"]
    # Dead letters stay in the region of the topic.
    there = json.dumps({"deadLetterTargetArn": wide})
    redrive = {"SubscriptionArn": subscription, "AttributeName": "RedrivePolicy"}
    refused("InvalidParameter", near.set_subscription_attributes, **redrive, AttributeValue=there)
    near.unsubscribe(SubscriptionArn=subscription)
    near.publish(TopicArn=topic, Message="after the end", MessageAttributes=wanted)
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    near.delete_topic(TopicArn=topic), sqs.delete_queue(QueueUrl=url)


def links_lead_to_their_namespace():
    asked = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.release()

        def log_message(self, *_):
            pass

    arrived = threading.Semaphore(0)
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _, sns, _ = clients(OTHER, "eu-west-1")
    topic = sns.create_topic(Name="linked")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{server.server_port}/")
    assert arrived.acquire(timeout=20)
    assert asked[0]["TopicArn"] == topic
    urllib.request.urlopen(asked[0]["SubscribeURL"], timeout=20).read()
    sns.publish(TopicArn=topic, Message="far away")
    assert arrived.acquire(timeout=20)
    assert asked[1]["Message"] == "far away"
    urllib.request.urlopen(asked[1]["UnsubscribeURL"], timeout=20).read()
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    server.shutdown()


def an_account_has_the_same_queues_in_every_region():
    near, far, other = clients("test", "us-east-1")[0], clients("test", "eu-west-1")[0], clients(OTHER, "us-east-1")[0]
    url = near.create_queue(QueueName="shared")["QueueUrl"]
    far.send_message(QueueUrl=url, MessageBody="from far")
    assert bodies(near, url, 1) == ["from far"]
    assert names(far) == ["shared"] and names(other) == []


def permissions_hold_in_every_region():
    for region in ("us-east-1", "eu-west-1"):
        orders, _, _ = clients("AKIDORDERS", region)
        url = orders.create_queue(QueueName="orders-" + region)["QueueUrl"]
        orders.send_message(QueueUrl=url, MessageBody=region)
        refused("AccessDenied", orders.create_queue, QueueName="bills")
        bills, _, sts = clients("AKIDBILLS", region)
        assert sts.get_caller_identity()["Account"] == OTHER
        assert names(bills) == [], "orders are another account's"
        bills.create_queue(QueueName="bills-" + region)
        refused("SignatureDoesNotMatch", clients("AKIDBILLS", region, "wrong")[0].list_queues)


def manage(method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{MANAGEMENT}/api/{path}", method=method)
    request.add_header("authorization", "Basic " + base64.b64encode(b"boss:secret").decode())
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, body and json.dumps(body).encode(), timeout=20) as answer:
        return json.loads(answer.read() or "null")


def vhosts():
    return {vhost["name"] for vhost in manage("GET", "vhosts?columns=name")}


def only_who_may_make_something_makes_a_namespace():
    before = vhosts()
    no_queue = "AWS.SimpleQueueService.NonExistentQueue"
    for key, account in (("AKIDORDERS", HOME), ("AKIDBILLS", OTHER)):
        for region in ("nowhere-1", "nowhere-2"):
            sqs, sns, sts = clients(key, region)
            assert names(sqs) == [] and sts.get_caller_identity()["Account"] == account
            refused(no_queue, sqs.get_queue_url, QueueName="orders")
            url = f"http://127.0.0.1:{PORT}/{account}/orders"
            refused(no_queue, sqs.send_message, QueueUrl=url, MessageBody="x")
            refused(no_queue, sqs.receive_message, QueueUrl=url)
            refused(no_queue, sqs.delete_queue, QueueUrl=url)
            topic = f"arn:aws:sns:{region}:{account}:orders"
            assert sns.list_topics()["Topics"] == [] and sns.list_subscriptions()["Subscriptions"] == []
            assert sns.list_platform_applications()["PlatformApplications"] == []
            assert sns.get_sms_attributes()["attributes"] is not None
            refused("NotFound", sns.publish, TopicArn=topic, Message="x")
            refused("NotFound", sns.get_topic_attributes, TopicArn=topic)
            refused("NotFound", sns.subscribe, TopicArn=topic, Protocol="sms", Endpoint="+15005550006")
            sns.delete_topic(TopicArn=topic)
            sns.unsubscribe(SubscriptionArn=topic + ":12345678-1234-1234-1234-123456789012")
    orders, topics, _ = clients("AKIDORDERS", "nowhere-1")
    refused("AccessDenied", orders.create_queue, QueueName="bills")
    refused("AuthorizationError", topics.create_topic, Name="bills")
    refused("AuthorizationError", topics.publish, PhoneNumber="+15005550006", Message="x")
    late, late_topics, _ = clients("AKIDLATE", "nowhere-1")
    refused("AccessDenied", late.list_queues)
    refused("AccessDenied", late.create_queue, QueueName="late")
    refused("AuthorizationError", late_topics.create_topic, Name="late")
    assert vhosts() == before, vhosts() - before
    # Whoever may, makes it by what he makes there.
    url = orders.create_queue(QueueName="orders")["QueueUrl"]
    orders.send_message(QueueUrl=url, MessageBody="first")
    assert bodies(orders, url, 1) == ["first"]
    bills = clients("AKIDBILLS", "nowhere-1")[1]
    bills.set_sms_attributes(attributes={"DefaultSenderID": "bills"})
    assert bills.get_sms_attributes()["attributes"]["DefaultSenderID"] == "bills"
    clients("AKIDBILLS", "nowhere-2")[1].create_topic(Name="bills.fifo", Attributes={"FifoTopic": "true"})
    clients("AKIDBILLS", "nowhere-3")[1].publish(PhoneNumber="+15005550006", Message="x")
    made = {f"aws/{HOME}/nowhere-1"} | {f"aws/{OTHER}/nowhere-{number}" for number in (1, 2, 3)}
    assert vhosts() - before == made, vhosts() - before


def an_operator_gives_permissions_in_an_account_with_nothing():
    manage("PUT", f"vhosts/aws%2F{THIRD}")
    manage("PUT", f"permissions/aws%2F{THIRD}/late", {"configure": "^late", "write": "", "read": ""})
    for region in ("us-east-1", "eu-west-1"):
        late = clients("AKIDLATE", region)[0]
        assert names(late) == []
        refused("AccessDenied", late.create_queue, QueueName="early")
        late.create_queue(QueueName="late")
        assert names(late) == ["late"]


def everything_is_there_after_a_restart():
    for region in ("us-east-1", "eu-west-1"):
        orders, _, _ = clients("AKIDORDERS", region)
        assert names(orders) == ["orders-" + region]
        url = orders.get_queue_url(QueueName="orders-" + region)["QueueUrl"]
        assert bodies(orders, url, 1) == [region]
        assert names(clients("AKIDBILLS", region)[0]) == ["bills-" + region]


if __name__ == "__main__":
    match sys.argv[1]:
        case "apart":
            same_names_are_other_queues()
            topics_deliver_to_other_regions()
            links_lead_to_their_namespace()
        case "together":
            an_account_has_the_same_queues_in_every_region()
        case "signed":
            permissions_hold_in_every_region()
            only_who_may_make_something_makes_a_namespace()
            an_operator_gives_permissions_in_an_account_with_nothing()
        case "restarted":
            everything_is_there_after_a_restart()
