"""Topics that other accounts subscribe, through boto3.

Users: `owner` may do everything in account HOME, `plain` of it what concerns queues and topics called `plain…`. In account OTHER `bills` may do
everything, and `limited` what concerns queues and topics called `orders…`. `third` may do everything in account THIRD. `late` of OTHER is made at run time, by `boss`."""

import base64
import json
import sys
import urllib.error
import urllib.request

import pika

from accounts import HOME, OTHER, action_of, client, not_authorized, refused
from ports import PORTS, wait_for
from shared_topics import SNS, Endpoint, Queue, Topic

UNKNOWN = "00000000-0000-4000-8000-000000000000"
PENDING = "pending confirmation"


def unauthorized(user, action, topic, why, **parameters):
    text = not_authorized(user, "SNS:" + action, topic, why)
    refused("AuthorizationError", action_of(SNS[user], action), text=text, **parameters)


def attributes(user, arn):
    return SNS[user].get_subscription_attributes(SubscriptionArn=arn)["Attributes"]


def set_attribute(user, arn, name, value):
    SNS[user].set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)


def listed(user):
    pages = SNS[user].get_paginator("list_subscriptions").paginate()
    return [one for page in pages for one in page["Subscriptions"]]


def of_topic(user, topic):
    return [one for one in listed(user) if one["TopicArn"] == topic.arn]


def deliveries():
    """The lines of the metrics that count what SNS has sent."""
    url = f"http://127.0.0.1:{PORTS['management']}/metrics"
    lines = urllib.request.urlopen(url, timeout=20).read().decode().splitlines()
    return [line for line in lines if line.startswith("crossdock_sns_deliveries_total{")]


def dropped():
    return sum(int(line.rsplit(" ", 1)[1]) for line in deliveries() if 'outcome="dropped"' in line)


def the_topics_policy_decides():
    queue = Queue("bills", "decided")
    topic = Topic("decided", accounts=())
    subscription = {"TopicArn": topic.arn, "Protocol": "sqs", "Endpoint": queue.arn}
    unauthorized("bills", "Subscribe", topic.arn, "resource", **subscription)
    topic.share(OTHER)
    unauthorized("third", "Subscribe", topic.arn, "resource", **subscription)
    missing = topic.arn + "-not"
    refused("NotFound", SNS["bills"].subscribe, text="Topic does not exist", **subscription | {"TopicArn": missing})
    refused("InvalidParameter", client("sns", "bills", "eu-west-1").subscribe, **subscription)
    no_queue = "Invalid parameter: Endpoint Reason: there is no queue nothing"
    for region in ("us-east-1", "eu-west-1"):
        nothing = subscription | {"Endpoint": f"arn:aws:sqs:{region}:{OTHER}:nothing"}
        refused("InvalidParameter", SNS["bills"].subscribe, text=no_queue, **nothing)
    # What the user's own account does not let him do, another one cannot.
    unauthorized("limited", "Subscribe", topic.arn, "identity", **subscription)
    orders, own = Topic("orders"), Queue("bills", "orders-own")
    for protocol, endpoint in (("sqs", queue.arn), ("http", "http://127.0.0.1:9/"), ("sqs", Queue("third", "orders-in").arn)):
        parameters = {"TopicArn": orders.arn, "Protocol": protocol, "Endpoint": endpoint}
        unauthorized("limited", "Subscribe", orders.arn, "identity", **parameters)
    arn = orders.subscribe("limited", own.arn)
    orders.publish("to limited")
    assert json.loads(own.collect(1)[0])["Message"] == "to limited"
    for user in ("bills", "limited"):
        assert attributes(user, arn)["SubscriptionPrincipal"] == f"arn:aws:iam::{OTHER}:user/limited"
        set_attribute(user, arn, "RawMessageDelivery", "true")
    arns = [orders.subscribe("bills", queue.arn), topic.subscribe("bills", queue.arn)]
    for arn_of_bills, topic_arn in zip(arns, (orders.arn, topic.arn)):
        given = {"SubscriptionArn": arn_of_bills}
        unauthorized("limited", "Unsubscribe", topic_arn, "identity", **given)
        raw = given | {"AttributeName": "RawMessageDelivery", "AttributeValue": "true"}
        unauthorized("limited", "SetSubscriptionAttributes", topic_arn, "identity", **raw)
        SNS["bills"].unsubscribe(**given)
    SNS["limited"].unsubscribe(SubscriptionArn=arn)
    assert orders.subscriptions() == []


def an_own_queue_needs_no_confirmation():
    topic, queue = Topic("own"), Queue("bills", "own", may_send=False)
    arn = topic.subscribe("bills", queue.arn)
    assert arn.startswith(topic.arn + ":"), arn
    assert topic.subscribe("bills", queue.arn) == arn
    different = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
    parameters = {"TopicArn": topic.arn, "Protocol": "sqs", "Endpoint": queue.arn}
    refused("InvalidParameter", SNS["bills"].subscribe, text=different, Attributes={"RawMessageDelivery": "true"}, **parameters)
    for user in ("bills", "owner"):
        found = attributes(user, arn)
        assert (found["Owner"], found["TopicArn"], found["SubscriptionArn"]) == (OTHER, topic.arn, arn), found
        assert found["SubscriptionPrincipal"] == f"arn:aws:iam::{OTHER}:user/bills"
        assert (found["PendingConfirmation"], found["Endpoint"]) == ("false", queue.arn), found
    item = {"SubscriptionArn": arn, "Owner": OTHER, "Protocol": "sqs", "Endpoint": queue.arn, "TopicArn": topic.arn}
    assert of_topic("bills", topic) == [item] and topic.subscriptions() == [item]
    assert of_topic("owner", topic) == [] and of_topic("third", topic) == []
    assert client("sns", "bills", "eu-west-1").list_subscriptions()["Subscriptions"] == []
    assert SNS["owner"].get_topic_attributes(TopicArn=topic.arn)["Attributes"]["SubscriptionsConfirmed"] == "1"
    # The queue's policy is asked for each message.
    before = dropped()
    topic.publish("not allowed")
    wait_for("a message that is dropped", lambda: dropped() > before)
    queue.let_sns(True)
    topic.publish("allowed")
    envelope = json.loads(queue.collect(1)[0])
    assert (envelope["Message"], envelope["TopicArn"]) == ("allowed", topic.arn) and arn in envelope["UnsubscribeURL"]
    set_attribute("bills", arn, "RawMessageDelivery", "true")
    set_attribute("bills", arn, "FilterPolicy", '{"kind":["wanted"]}')
    topic.publish("no")
    topic.publish("yes", MessageAttributes={"kind": {"DataType": "String", "StringValue": "wanted"}})
    assert queue.collect(1) == ["yes"]
    return topic, arn


def nobody_else_has_it():
    topic, arn = an_own_queue_needs_no_confirmation()
    raw = {"AttributeName": "RawMessageDelivery", "AttributeValue": "false"}
    for user, why in (("owner", "resource"), ("third", "resource")):
        unauthorized(user, "SetSubscriptionAttributes", topic.arn, why, SubscriptionArn=arn, **raw)
    unauthorized("third", "GetSubscriptionAttributes", topic.arn, "resource", SubscriptionArn=arn)
    unauthorized("third", "Unsubscribe", topic.arn, "resource", SubscriptionArn=arn)
    unauthorized("bills", "ListSubscriptionsByTopic", topic.arn, "resource", TopicArn=topic.arn)
    refused("AuthorizationError", SNS["plain"].unsubscribe, SubscriptionArn=arn)
    for user in ("bills", "third", "owner"):
        for missing in (f"{topic.arn}:{UNKNOWN}", f"{topic.arn}-not:{UNKNOWN}"):
            refused("NotFound", SNS[user].get_subscription_attributes, text="Subscription does not exist", SubscriptionArn=missing)
            SNS[user].unsubscribe(SubscriptionArn=missing)
    # An account has its own subscriptions of an endpoint, beside those of others.
    queue = Queue("bills", "own")
    assert topic.subscribe("owner", queue.arn) == PENDING
    assert len(topic.subscriptions()) == 2 and [one["Owner"] for one in of_topic("owner", topic)] == [HOME]
    unauthorized("bills", "GetSubscriptionAttributes", topic.arn, "resource", SubscriptionArn=topic.subscribe("owner", queue.arn, shown=True))


def what_the_policy_gave_is_kept():
    topic, queue = Topic("kept"), Queue("bills", "kept")
    arn = topic.subscribe("bills", queue.arn, RawMessageDelivery="true")
    SNS["owner"].remove_permission(TopicArn=topic.arn, Label="shared")
    topic.publish("still")
    assert queue.collect(1) == ["still"]
    unauthorized("bills", "Subscribe", topic.arn, "resource", TopicArn=topic.arn, Protocol="sqs", Endpoint=queue.arn)
    set_attribute("bills", arn, "FilterPolicy", '{"kind":["wanted"]}')
    assert attributes("bills", arn)["FilterPolicy"] == '{"kind":["wanted"]}' and len(of_topic("bills", topic)) == 1
    SNS["bills"].unsubscribe(SubscriptionArn=arn)
    assert topic.subscriptions() == [] and of_topic("bills", topic) == []
    refused("NotFound", SNS["bills"].get_subscription_attributes, SubscriptionArn=arn)


def the_topics_owner_may_end_it():
    topic, queue = Topic("plain-topic", user="plain"), Queue("bills", "ended")
    arn = topic.subscribe("bills", queue.arn)
    # Whoever may configure the topic, though nothing else that SNS has.
    SNS["plain"].unsubscribe(SubscriptionArn=arn)
    assert topic.subscriptions() == [] and of_topic("bills", topic) == []
    topic = Topic("gone")
    arns = [topic.subscribe("bills", queue.arn), topic.subscribe("bills", "http://127.0.0.1:9/", "http", shown=True)]
    assert len(of_topic("bills", topic)) == 2 == len(topic.subscriptions())
    SNS["owner"].delete_topic(TopicArn=topic.arn)
    assert of_topic("bills", topic) == []
    for arn in arns:
        refused("NotFound", SNS["bills"].get_subscription_attributes, SubscriptionArn=arn)
        SNS["bills"].unsubscribe(SubscriptionArn=arn)


def dead_letters_are_the_subscribers():
    topic, queue, letters = Topic("dead"), Queue("bills", "dead", may_send=False), Queue("bills", "letters", may_send=False)
    theirs, far = Queue("owner", "letters"), Queue("bills", "letters", region="eu-west-1")
    policy = lambda arn: json.dumps({"deadLetterTargetArn": arn})
    parameters = {"TopicArn": topic.arn, "Protocol": "sqs", "Endpoint": queue.arn}
    for wrong in (theirs.arn, far.arn):
        text = "Invalid parameter: Attributes Reason: RedrivePolicy: deadLetterTargetArn is an invalid arn"
        refused("InvalidParameter", SNS["bills"].subscribe, text=text, Attributes={"RedrivePolicy": policy(wrong)}, **parameters)
    missing = f"arn:aws:sqs:us-east-1:{OTHER}:missing"
    text = f"Invalid parameter: Attributes Reason: RedrivePolicy: deadLetterTargetArn does not exist: {missing}"
    refused("InvalidParameter", SNS["bills"].subscribe, text=text, Attributes={"RedrivePolicy": policy(missing)}, **parameters)
    arn = topic.subscribe("bills", queue.arn, RawMessageDelivery="true", RedrivePolicy=policy(letters.arn))
    topic.publish("a letter")
    assert letters.collect(1) == ["a letter"] and theirs.receive(0) == []
    fifo = Queue("bills", "letters.fifo")
    standard = "Invalid parameter: RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic."
    parameters = {"SubscriptionArn": arn, "AttributeName": "RedrivePolicy", "AttributeValue": policy(fifo.arn)}
    refused("InvalidParameter", SNS["bills"].set_subscription_attributes, text=standard, **parameters)


def nobody_forges_a_subscription():
    """Who may bind by AMQP where the topic is does not get at the queues of another account."""
    topic, letters, queue = Topic("forged"), Queue("bills", "forged-letters", may_send=False), f"aws.sns.{UNKNOWN}"
    before = len(listed("bills"))
    kept = {"id": UNKNOWN, "subscriber": "bills", "owner": OTHER, "region": "us-east-1", "raw": True}
    kept |= {"endpoint": f"arn:aws:sqs:us-east-1:{OTHER}:nothing"}
    kept |= {"redrive-policy": json.dumps({"deadLetterTargetArn": letters.arn})}
    credentials = pika.PlainCredentials("owner", "secret")
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORTS["amqp"], "/", credentials))
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    for arguments in ({"x-crossdock-sns": True}, {"x-crossdock-sns": True, "sns-subscription": kept}, kept):
        channel.queue_bind(queue, "forged", arguments=arguments)
    topic.publish("forged")
    assert topic.subscriptions() == [] and len(listed("bills")) == before
    assert letters.receive(2) == []
    assert channel.queue_delete(queue).method.message_count == 1, "what was published waits"
    connection.close()


def endpoints_are_confirmed():
    topic, endpoint = Topic("web"), Endpoint()
    arn = topic.subscribe("bills", endpoint.url, "http", shown=True)
    assert topic.subscribe("bills", endpoint.url, "http") == PENDING
    assert [one["SubscriptionArn"] for one in of_topic("bills", topic)] == ["PendingConfirmation"]
    assert attributes("bills", arn)["PendingConfirmation"] == "true"
    question = endpoint.post()
    link = lambda url: urllib.request.urlopen(url, timeout=20).read()
    link(question["SubscribeURL"])
    assert endpoint.post()["Type"] == "SubscriptionConfirmation", "asked twice"
    found = attributes("bills", arn)
    assert (found["PendingConfirmation"], found["ConfirmationWasAuthenticated"]) == ("false", "false")
    assert "EffectiveDeliveryPolicy" in found
    topic.publish("confirmed by a link")
    notification = endpoint.post()
    assert notification["Message"] == "confirmed by a link"
    link(notification["UnsubscribeURL"])
    assert endpoint.post()["Type"] == "UnsubscribeConfirmation"
    assert topic.subscriptions() == [] and of_topic("bills", topic) == []
    try:
        link(question["SubscribeURL"])
        raise AssertionError("what is gone was confirmed")
    except urllib.error.HTTPError as error:
        assert error.code == 400 and b"Invalid parameter: Token" in error.read()
    # By whoever has the token; what was locked is not ended by a link.
    for confirmer in ("bills", "third", "owner"):
        topic.subscribe("bills", endpoint.url, "http")
        confirm = {"TopicArn": topic.arn, "Token": endpoint.post()["Token"], "AuthenticateOnUnsubscribe": "true"}
        arn = SNS[confirmer].confirm_subscription(**confirm)["SubscriptionArn"]
        found = attributes("bills", arn)
        assert (found["Owner"], found["ConfirmationWasAuthenticated"]) == (OTHER, "true"), found
        topic.publish("locked")
        try:
            link(endpoint.post()["UnsubscribeURL"])
            raise AssertionError("nobody has signed")
        except urllib.error.HTTPError as error:
            assert error.code == 403
        SNS["owner" if confirmer == "bills" else "bills"].unsubscribe(SubscriptionArn=arn)
        assert endpoint.post()["Type"] == "UnsubscribeConfirmation" and topic.subscriptions() == []
    endpoint.server.shutdown()


def queues_of_others_are_confirmed_by_them():
    topic = Topic("others")
    for user in ("owner", "third"):
        queue = Queue(user, "others")
        assert topic.subscribe("bills", queue.arn) == PENDING
        topic.publish("before anybody has confirmed")
        question = json.loads(queue.collect(1)[0])
        assert question["Type"] == "SubscriptionConfirmation", question
        arn = SNS[user].confirm_subscription(TopicArn=topic.arn, Token=question["Token"])["SubscriptionArn"]
        set_attribute("bills", arn, "RawMessageDelivery", "true")
        topic.publish("confirmed")
        assert queue.collect(1) == ["confirmed"]
        queue.let_sns(False)
        topic.publish("not allowed")
        assert queue.receive(1) == []
        assert attributes("bills", arn)["Owner"] == OTHER
        SNS["bills"].unsubscribe(SubscriptionArn=arn)
    assert topic.subscriptions() == []


def fifo_topics_keep_their_order():
    topic, queue, standard = Topic("line.fifo"), Queue("bills", "line.fifo"), Queue("bills", "line")
    topic.keep_archive(True)
    only = "Invalid parameter: Endpoint Reason: only SQS queues can be subscribed to FIFO topics"
    web = {"TopicArn": topic.arn, "Protocol": "http", "Endpoint": "http://127.0.0.1:9/"}
    refused("InvalidParameter", SNS["bills"].subscribe, text=only, **web)
    topic.subscribe("bills", queue.arn, RawMessageDelivery="true")
    topic.subscribe("bills", standard.arn, RawMessageDelivery="true")
    for number in range(40):
        topic.publish(str(number), MessageGroupId="g", MessageDeduplicationId=str(number))
    assert queue.collect(40) == [str(number) for number in range(40)]
    assert set(standard.collect(40)) == {str(number) for number in range(40)}
    is_replayed(topic)


def is_replayed(topic):
    """Everything comes again to a subscription that asks for it later, and says so."""
    queue, policy = Queue("bills", "again.fifo"), {"PointType": "Timestamp", "StartingPoint": "2026-01-01T00:00:00Z"}
    arn = topic.subscribe("bills", queue.arn, ReplayPolicy=policy)
    envelopes = [json.loads(body) for body in queue.collect(40)]
    assert [one["Message"] for one in envelopes] == [str(number) for number in range(40)]
    assert {(one["Replayed"], one["TopicArn"]) for one in envelopes} == {("true", topic.arn)}, envelopes[0]
    wait_for("the replay", lambda: attributes("bills", arn)["ReplayStatus"] == "Completed")
    topic.publish("new", MessageGroupId="g", MessageDeduplicationId="new")
    [new] = [json.loads(body) for body in queue.collect(1)]
    assert new["Message"] == "new" and "Replayed" not in new, new
    set_attribute("bills", arn, "ReplayPolicy", "{}")
    set_attribute("bills", arn, "RawMessageDelivery", "true")
    topic.publish("raw", MessageGroupId="g", MessageDeduplicationId="raw")
    assert queue.collect(1) == ["raw"]
    # Without an archive it fails, and is taken away by who has subscribed.
    ends = policy | {"EndingPoint": "2999-01-01T00:00:00Z"}
    set_attribute("bills", arn, "ReplayPolicy", json.dumps(ends))
    topic.keep_archive(False)
    assert attributes("bills", arn)["ReplayStatus"] == "Failed"
    SNS["bills"].unsubscribe(SubscriptionArn=arn)


def lists_have_pages():
    queue, count = Queue("bills", "pages"), 60
    for number in range(count):
        for topic in (Topic(f"pages-{number}"), Topic(f"pages-{number}", accounts=(), user="bills")):
            topic.subscribe("bills", queue.arn)
    found = [one["SubscriptionArn"] for one in listed("bills") if "pages-" in one["TopicArn"]]
    assert len(found) == 2 * count and found == sorted(found), found
    assert sum(arn.startswith(f"arn:aws:sns:us-east-1:{HOME}:") for arn in found) == count
    first = SNS["bills"].list_subscriptions()
    assert len(first["Subscriptions"]) == 100 and first["NextToken"]
    for number in range(count):
        SNS["owner"].delete_topic(TopicArn=f"arn:aws:sns:us-east-1:{HOME}:pages-{number}")
    assert sum("pages-" in one["TopicArn"] for one in listed("bills")) == count


def manage(method, path, body=None):
    """An order of user `boss` to the management API."""
    text = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{PORTS['management']}/api/{path}", text, method=method)
    request.add_header("authorization", "Basic " + base64.b64encode(b"boss:secret").decode())
    request.add_header("content-type", "application/json")
    urllib.request.urlopen(request, timeout=20).read()


def who_may_no_longer_gets_nothing():
    """User `late` is made, forbidden, and allowed again while the broker runs."""
    permissions = f"permissions/aws%2F{OTHER}/late"
    manage("PUT", "users/late", {"password": "secret", "tags": ""})
    allow = lambda: manage("PUT", permissions, {"configure": ".*", "write": ".*", "read": ".*"})
    allow()
    topic, queue = Topic("late"), Queue("late", "late")
    arn = topic.subscribe("late", queue.arn, RawMessageDelivery="true")
    topic.publish("in time")
    assert queue.collect(1) == ["in time"]
    manage("DELETE", permissions)
    topic.publish("too late")
    queue.sqs = client("sqs", "bills")
    assert queue.receive(2) == []
    manage("DELETE", "users/late")
    assert attributes("bills", arn)["SubscriptionPrincipal"] == f"arn:aws:iam::{OTHER}:user/late"
    manage("PUT", "users/late", {"password": "secret", "tags": ""})
    allow()
    # What changes a subscription has all of them looked at.
    set_attribute("bills", arn, "RawMessageDelivery", "true")
    wait_for("what waited", lambda: "too late" in queue.receive())
    manage("DELETE", permissions)
    refused("AuthorizationError", SNS["late"].get_subscription_attributes, SubscriptionArn=arn)
    SNS["late"].unsubscribe(SubscriptionArn=arn)
    assert topic.subscriptions() == []


def a_kill_comes():
    topic, queue = Topic("killed"), Queue("bills", "killed")
    letters = json.dumps({"deadLetterTargetArn": Queue("bills", "killed-letters", may_send=False).arn})
    topic.subscribe("bills", queue.arn, RawMessageDelivery="true", RedrivePolicy=letters, FilterPolicy='{"kind":["wanted"]}')
    for number in range(200):
        publish_wanted(topic, str(number))


def publish_wanted(topic, text):
    topic.publish(text, MessageAttributes={"kind": {"DataType": "String", "StringValue": "wanted"}})


def all_is_there_after_a_kill():
    topic, queue = Topic("killed", accounts=()), Queue("bills", "killed")
    (item,) = of_topic("bills", topic)
    assert item["Owner"] == OTHER and topic.subscriptions() == [item] and of_topic("owner", topic) == []
    found = set()
    while found < {str(number) for number in range(200)}:
        found |= set(queue.receive())
    queue.let_sns(False)
    publish_wanted(topic, "a letter")
    # What was on its way at the kill may come twice, here too.
    letters = Queue("bills", "killed-letters", may_send=False)
    wait_for("a letter", lambda: "a letter" in letters.receive())
    queue.let_sns(True)


def nothing_goes_out_for_who_may_not():
    topic = Topic("killed", accounts=())
    publish_wanted(topic, "waits")
    assert Queue("limited", "orders-own", may_send=False).receive(1) == [], "a second later"
    assert deliveries() == [], "nothing is sent since the start"
    unauthorized("owner", "SetSubscriptionAttributes", topic.arn, "resource", **{
        "SubscriptionArn": topic.subscriptions()[0]["SubscriptionArn"],
        "AttributeName": "FilterPolicy",
        "AttributeValue": "",
    })


def what_waited_goes_out():
    queue = Queue("bills", "killed")
    wait_for("what waited", lambda: "waits" in queue.receive())
    (item,) = of_topic("bills", Topic("killed", accounts=()))
    SNS["owner"].unsubscribe(SubscriptionArn=item["SubscriptionArn"])


SCENES = {
    "first": [
        the_topics_policy_decides,
        nobody_else_has_it,
        what_the_policy_gave_is_kept,
        the_topics_owner_may_end_it,
        dead_letters_are_the_subscribers,
        nobody_forges_a_subscription,
        endpoints_are_confirmed,
        queues_of_others_are_confirmed_by_them,
        fifo_topics_keep_their_order,
        lists_have_pages,
        who_may_no_longer_gets_nothing,
        a_kill_comes,
    ],
    "restarted": [all_is_there_after_a_kill],
    "forbidden": [nothing_goes_out_for_who_may_not],
    "allowed": [what_waited_goes_out],
}

if __name__ == "__main__":
    for scene in SCENES[sys.argv[1]]:
        scene()
        print(scene.__name__)
