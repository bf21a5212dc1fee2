"""What SNS actions do: one function for each behaviour."""

import base64
import concurrent.futures
import datetime
import http.client
import json
import os
import time

import sns_direct
from aws_wire import ACCOUNT, ENDPOINT, REGION, queue
from aws_wire import arn as queue_arn
from aws_wire import ok as sqs_ok
from sns_wire import arn, call, ok, topic


def fifo_queue(name, **attributes):
    return queue(name, FifoQueue="true", **attributes)


def receive(url, count, wait=2):
    """So many messages, or all that come; each is deleted."""
    found = []
    while len(found) < count:
        answer = sqs_ok("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, AttributeNames=["All"], MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        if not messages:
            break
        for message in messages:
            sqs_ok("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += messages
    return found


def bodies(messages):
    return [message["Body"] for message in messages]


def subscribe(topic_arn, name, **attributes):
    given = {"Protocol": "sqs", "Endpoint": queue_arn(name), "ReturnSubscriptionArn": True, "Attributes": attributes}
    return ok("Subscribe", TopicArn=topic_arn, **given)["SubscriptionArn"]


def publish(topic_arn, text, **more):
    return ok("Publish", TopicArn=topic_arn, Message=text, **more)


def in_order(topic_arn, text, group="g"):
    return publish(topic_arn, text, MessageGroupId=group, MessageDeduplicationId=text)


def attribute(subscription, name):
    return ok("GetSubscriptionAttributes", SubscriptionArn=subscription)["Attributes"].get(name)


def change(subscription, name, value):
    ok("SetSubscriptionAttributes", SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)


def moment(ago_s=0):
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago_s)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def replay_of(start, end=None):
    return json.dumps({"PointType": "Timestamp", "StartingPoint": start, **({"EndingPoint": end} if end else {})})


def completed(subscription):
    for _ in range(200):
        status = attribute(subscription, "ReplayStatus")
        if status == "Completed":
            return
        assert status in ("Pending", "In progress"), status
        time.sleep(0.05)
    raise AssertionError(status)


def does_know_messages_of_fifo_topics():
    where, url = topic("known.fifo", FifoTopic="true"), fifo_queue("known-sns.fifo")
    subscribe(where, "known-sns.fifo", RawMessageDelivery="true")
    once = in_order(where, "once")
    again = publish(where, "another text", MessageGroupId="other", MessageDeduplicationId="once")
    assert again == once, (once, again)
    second = in_order(where, "second")
    assert int(second["SequenceNumber"]) > int(once["SequenceNumber"]) and len(once["SequenceNumber"]) == 20, (once, second)
    assert bodies(receive(url, 2)) == ["once", "second"]
    in_order(where, "once")
    assert receive(url, 1, wait=0) == []


def does_know_contents():
    where, url = topic("contents.fifo", FifoTopic="true", ContentBasedDeduplication="true"), fifo_queue("contents-sns.fifo")
    subscribe(where, "contents-sns.fifo", RawMessageDelivery="true")
    one, two = (publish(where, "same", MessageGroupId=group) for group in "ab")
    assert one == two and bodies(receive(url, 1)) == ["same"]
    ok("SetTopicAttributes", TopicArn=where, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    texts = [publish(where, "of groups", MessageGroupId=group)["MessageId"] for group in "aab"]
    assert texts[0] == texts[1] != texts[2], texts


def does_deliver_to_queues_of_both_types():
    where, fifo, plain = topic("both.fifo", FifoTopic="true"), fifo_queue("both-sns.fifo"), queue("both-sns")
    for name in ("both-sns.fifo", "both-sns"):
        subscribe(where, name)
    sent = in_order(where, "text")
    for url in (fifo, plain):
        [message] = receive(url, 1)
        envelope = json.loads(message["Body"])
        assert (envelope["Message"], envelope["SequenceNumber"]) == ("text", sent["SequenceNumber"]), envelope
        assert envelope["MessageId"] == sent["MessageId"] and envelope["TopicArn"] == where and "Replayed" not in envelope


def does_keep_an_archive():
    where = topic("kept.fifo", FifoTopic="true", ArchivePolicy=json.dumps({"MessageRetentionPeriod": "7"}))
    shown = ok("GetTopicAttributes", TopicArn=where)["Attributes"]
    assert json.loads(shown["ArchivePolicy"]) == {"MessageRetentionPeriod": "7"}, shown
    assert shown["BeginningArchiveTime"] <= moment() and shown["BeginningArchiveTime"] > moment(60), shown
    refused = call("DeleteTopic", TopicArn=where)
    assert (refused.status, refused.code) == (400, "InvalidState"), refused
    set_policy = lambda policy: ok("SetTopicAttributes", TopicArn=where, AttributeName="ArchivePolicy", AttributeValue=policy)
    set_policy('{"MessageRetentionPeriod":"365"}')
    set_policy("{}")
    shown = ok("GetTopicAttributes", TopicArn=where)["Attributes"]
    assert "ArchivePolicy" not in shown and "BeginningArchiveTime" not in shown, shown
    ok("DeleteTopic", TopicArn=where)


def does_replay_everything():
    where = topic("again.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}')
    before, url = moment(), fifo_queue("again-sns.fifo")
    subscription = subscribe(where, "again-sns.fifo")
    sent = [in_order(where, str(number), group=str(number % 3)) for number in range(150)]
    assert len(receive(url, 150)) == 150
    change(subscription, "ReplayPolicy", replay_of(before))
    completed(subscription)
    in_order(where, "new")
    found = [json.loads(body) for body in bodies(receive(url, 151))]
    for group in range(3):
        texts = [one["Message"] for one in found if one["Message"].isdigit() and int(one["Message"]) % 3 == group]
        assert texts == [str(number) for number in range(150) if number % 3 == group], texts
    ids = {one["Message"]: (one["MessageId"], one["SequenceNumber"]) for one in found if one["Message"] != "new"}
    assert ids == {str(number): (one["MessageId"], one["SequenceNumber"]) for number, one in enumerate(sent)}
    replayed = {one["Message"] for one in found if one.get("Replayed") == "true"}
    assert replayed == {str(number) for number in range(150)} and found[-1]["Message"] == "new", found[-1]


def does_replay_a_part():
    where = topic("part.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}')
    url = fifo_queue("part-sns.fifo")
    in_order(where, "before")
    time.sleep(0.05)
    start = moment()
    time.sleep(0.05)
    for text, kind in (("one", "a"), ("two", "b"), ("three", "a")):
        value = {"kind": {"DataType": "String", "StringValue": kind}}
        publish(where, text, MessageGroupId="g", MessageDeduplicationId=text, MessageAttributes=value)
    time.sleep(0.05)
    end = moment()
    time.sleep(0.05)
    in_order(where, "after")
    policy = {"ReplayPolicy": replay_of(start, end), "FilterPolicy": '{"kind":["a"]}', "RawMessageDelivery": "true"}
    subscription = subscribe(where, "part-sns.fifo", **policy)
    completed(subscription)
    found = receive(url, 2)
    assert bodies(found) == ["one", "three"], found
    assert found[0]["MessageAttributes"]["Replayed"] == {"DataType": "String", "StringValue": "true"}, found
    # A replay with an end is all that the subscription gets, until it is taken away.
    value = {"kind": {"DataType": "String", "StringValue": "a"}}
    publish(where, "unseen", MessageGroupId="g", MessageDeduplicationId="unseen", MessageAttributes=value)
    assert receive(url, 1, wait=0) == []
    change(subscription, "ReplayPolicy", "{}")
    assert attribute(subscription, "ReplayStatus") is None and attribute(subscription, "ReplayPolicy") is None
    publish(where, "seen", MessageGroupId="g", MessageDeduplicationId="seen", MessageAttributes=value)
    assert bodies(receive(url, 1)) == ["seen"]


def does_replay_what_is_published_meanwhile():
    where = topic("meanwhile.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}')
    before, url = moment(), fifo_queue("meanwhile-sns.fifo")
    for number in range(100):
        in_order(where, str(number))
    subscription = subscribe(where, "meanwhile-sns.fifo", ReplayPolicy=replay_of(before), RawMessageDelivery="true")
    for number in range(100, 200):
        in_order(where, str(number))
    completed(subscription)
    found = bodies(receive(url, 200))
    assert sorted(found, key=int) == [str(number) for number in range(200)], found
    assert receive(url, 1, wait=0) == []
    ok("Unsubscribe", SubscriptionArn=subscription)
    assert call("GetSubscriptionAttributes", SubscriptionArn=subscription).code == "NotFound"


def does_take_an_empty_filter_policy_away():
    where, url = topic("empty-filter"), queue("empty-filter")
    subscription = subscribe(where, "empty-filter", RawMessageDelivery="true", FilterPolicyScope="MessageBody", FilterPolicy='{"a":[1]}')
    publish(where, "filtered")
    change(subscription, "FilterPolicy", "{ }")
    assert attribute(subscription, "FilterPolicy") is None and attribute(subscription, "FilterPolicyScope") is None
    publish(where, "no JSON")
    assert bodies(receive(url, 2, wait=1)) == ["no JSON"]
    # What subscribes without a policy subscribes the same.
    assert subscribe(where, "empty-filter", FilterPolicy="{}") == subscribe(where, "empty-filter") == subscription


def does_not_filter_by_binary_attributes():
    where = topic("binary-filter")
    urls = [queue(f"binary-filter-{exists}") for exists in ("true", "false")]
    for exists in ("true", "false"):
        policy = f'{{"a":[{{"exists":{exists}}}]}}'
        subscribe(where, f"binary-filter-{exists}", RawMessageDelivery="true", FilterPolicy=policy)
    publish(where, "binary", MessageAttributes={"a": {"DataType": "Binary", "BinaryValue": "AA=="}})
    publish(where, "text", MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
    assert [bodies(receive(url, 2, wait=1)) for url in urls] == [["text"], ["binary"]]


def does_bound_filter_policies():
    where = topic("bounded")
    for number in range(201):
        queue(f"bounded-{number}")
        given = {} if number == 200 else {"FilterPolicy": '{"a":["b"]}'}
        last = subscribe(where, f"bounded-{number}", **given)
    bad = call("SetSubscriptionAttributes", SubscriptionArn=last, AttributeName="FilterPolicy", AttributeValue='{"a":["b"]}')
    assert (bad.status, bad.code) == (403, "FilterPolicyLimitExceeded"), bad
    queue("bounded-more")
    more = {"Protocol": "sqs", "Endpoint": queue_arn("bounded-more"), "Attributes": {"FilterPolicy": '{"a":["b"]}'}}
    bad = call("Subscribe", TopicArn=where, **more)
    assert (bad.status, bad.code) == (403, "FilterPolicyLimitExceeded"), bad
    change(last, "FilterPolicy", "")
    first = next(one for one in pages("ListSubscriptionsByTopic", "Subscriptions", TopicArn=where) if one["Endpoint"].endswith("-0"))
    change(first["SubscriptionArn"], "FilterPolicy", '{"a":["c"]}')


def does_bound_replays():
    where = topic("busy.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}')
    policy = replay_of(moment(), moment(-3_600))
    for number in range(101):
        fifo_queue(f"busy-{number}.fifo")
        given = {} if number == 100 else {"ReplayPolicy": policy}
        last = subscribe(where, f"busy-{number}.fifo", **given)
    bad = call("SetSubscriptionAttributes", SubscriptionArn=last, AttributeName="ReplayPolicy", AttributeValue=policy)
    assert (bad.status, bad.code) == (403, "ReplayLimitExceeded"), bad
    # Without the archive they fail, and new messages come directly.
    ok("SetTopicAttributes", TopicArn=where, AttributeName="ArchivePolicy", AttributeValue="")
    first = next(one for one in pages("ListSubscriptionsByTopic", "Subscriptions", TopicArn=where) if one["Endpoint"].endswith("-0.fifo"))
    assert attribute(first["SubscriptionArn"], "ReplayStatus") == "Failed"
    in_order(where, "new")
    assert len(receive(f"{ENDPOINT}/{ACCOUNT}/busy-0.fifo", 1)) == 1


def pages(action, member, **given):
    token = None
    while True:
        answer = ok(action, **given, **({"NextToken": token} if token else {}))
        yield from answer[member]
        token = answer.get("NextToken")
        if not token:
            return


def does_list_all_pages():
    names = {topic(f"page-{number:03}") for number in range(250)}
    seen = [one["TopicArn"] for one in pages("ListTopics", "Topics")]
    assert names <= set(seen) and len(seen) == len(set(seen)), len(seen)
    by_topic = list(pages("ListSubscriptionsByTopic", "Subscriptions", TopicArn=arn("bounded")))
    all_of_them = [one for one in pages("ListSubscriptions", "Subscriptions") if one["TopicArn"] == arn("bounded")]
    assert len(by_topic) == len(all_of_them) == 201, (len(by_topic), len(all_of_them))


def does_bound_large_messages():
    where = topic("large")
    ok("Subscribe", TopicArn=where, Protocol="sms", Endpoint="+15551234567")
    grow = {"TopicArn": where, "AttributeName": "MaximumMessageSize", "AttributeValue": "1048576"}
    assert call("SetTopicAttributes", **grow).code == "InvalidParameter"
    where, url = topic("larger", MaximumMessageSize="1048576"), queue("larger-sns", MaximumMessageSize=1_048_576)
    assert call("Subscribe", TopicArn=where, Protocol="sms", Endpoint="+15551234567").code == "InvalidParameter"
    subscribe(where, "larger-sns", RawMessageDelivery="true")
    publish(where, "m" * 1_000_000)
    assert [len(body) for body in bodies(receive(url, 1))] == [1_000_000]


def does_send_each_protocol_its_text():
    where, url = topic("texts"), queue("texts-sns")
    subscribe(where, "texts-sns", RawMessageDelivery="true")
    endpoints = {"sms": "+15550001001", "email": "texts@example.com", "lambda": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:texts"}
    for protocol, endpoint in endpoints.items():
        ok("Subscribe", TopicArn=where, Protocol=protocol, Endpoint=endpoint)
    token = sns_direct.wait_for("texts@example.com")[0]["Token"]
    ok("ConfirmSubscription", TopicArn=where, Token=token)
    texts = {"default": "for all", "sqs": "for queues", "sms": "for phones", "lambda": "for functions"}
    publish(where, json.dumps(texts), MessageStructure="json", Subject="s")
    assert bodies(receive(url, 1)) == ["for queues"]
    assert sns_direct.wait_for(endpoints["sms"])[0]["Message"] == "for phones"
    assert sns_direct.wait_for(endpoints["lambda"])[0]["Message"] == "for functions"
    assert sns_direct.wait_for("texts@example.com", 2)[1]["Message"] == "for all"


def does_publish_to_numbers_and_endpoints():
    number = "+15550002001"
    ok("Publish", PhoneNumber=number, Message="by number")
    assert sns_direct.wait_for(number)[0]["Message"] == "by number"
    assert call("OptOutPhoneNumber", phoneNumber=number).status == 200
    assert ok("CheckIfPhoneNumberIsOptedOut", phoneNumber=number)["isOptedOut"] is True
    ok("Publish", PhoneNumber=number, Message="unwanted")
    ok("OptInPhoneNumber", phoneNumber=number)
    ok("Publish", PhoneNumber=number, Message="wanted again")
    assert [one["Message"] for one in sns_direct.wait_for(number, 2)] == ["by number", "wanted again"]
    given = {"Name": "acts", "Platform": "GCM", "Attributes": {"PlatformCredential": "c"}}
    application = ok("CreatePlatformApplication", **given)["PlatformApplicationArn"]
    endpoint = ok("CreatePlatformEndpoint", PlatformApplicationArn=application, Token="t")["EndpointArn"]
    ok("Publish", TargetArn=endpoint, Message='{"default":"d","GCM":"for GCM"}', MessageStructure="json")
    assert sns_direct.wait_for(endpoint)[0]["Message"] == "for GCM"
    where = topic("devices")
    ok("Subscribe", TopicArn=where, Protocol="application", Endpoint=endpoint)
    publish(where, "by topic")
    assert sns_direct.wait_for(endpoint, 2)[1]["Message"] == "by topic"
    ok("DeletePlatformApplication", PlatformApplicationArn=application)
    assert call("GetEndpointAttributes", EndpointArn=endpoint).code == "NotFound"


def does_protect_data():
    identifiers = "arn:aws:dataprotection::aws:data-identifier/"
    mask = {"Deidentify": {"MaskConfig": {"MaskWithCharacter": "*"}}}
    statement = {"DataDirection": "Inbound", "Principal": ["*"], "DataIdentifier": [identifiers + "EmailAddress"], "Operation": mask}
    where, url = topic("masked"), queue("masked-sns")
    subscribe(where, "masked-sns", RawMessageDelivery="true")
    policy = json.dumps({"Name": "n", "Version": "2021-06-01", "Statement": [statement]})
    ok("PutDataProtectionPolicy", ResourceArn=where, DataProtectionPolicy=policy)
    assert ok("GetDataProtectionPolicy", ResourceArn=where)["DataProtectionPolicy"] == policy
    publish(where, "write to a@b.example")
    assert bodies(receive(url, 1)) == ["write to ***********"]


def does_tag():
    where = topic("labelled")
    tags = lambda: {tag["Key"]: tag["Value"] for tag in ok("ListTagsForResource", ResourceArn=where).get("Tags", [])}
    ok("TagResource", ResourceArn=where, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    ok("TagResource", ResourceArn=where, Tags=[{"Key": "a", "Value": "2"}])
    assert tags() == {"a": "2", "b": ""}, tags()
    ok("UntagResource", ResourceArn=where, TagKeys=["b", "none"])
    assert tags() == {"a": "2"}, tags()


def together(actions):
    """Does all of them at the same time; gives what they give."""
    with concurrent.futures.ThreadPoolExecutor(len(actions)) as threads:
        return [one.result() for one in [threads.submit(action) for action in actions]]


def does_not_lose_what_others_change_at_the_same_time():
    keys = [f"k{number}" for number in range(12)]
    for turn in range(10):
        where = topic(f"busy-{turn}")
        tag = lambda key: lambda: ok("TagResource", ResourceArn=where, Tags=[{"Key": key, "Value": "v"}])
        name = lambda: ok("SetTopicAttributes", TopicArn=where, AttributeName="DisplayName", AttributeValue="busy")
        together([tag(key) for key in keys] + [name])
        assert {one["Key"] for one in ok("ListTagsForResource", ResourceArn=where)["Tags"]} == set(keys)
        assert ok("GetTopicAttributes", TopicArn=where)["Attributes"]["DisplayName"] == "busy"


def does_subscribe_once_what_is_subscribed_twice_at_the_same_time():
    for turn in range(10):
        where, name = topic(f"asked-twice-{turn}"), f"asked-twice-sns-{turn}"
        queue(name)
        number = {"TopicArn": where, "Protocol": "sms", "Endpoint": "+15550003001", "ReturnSubscriptionArn": True}
        arns = together([lambda: subscribe(where, name)] * 6)
        others = together([lambda: ok("Subscribe", **number)["SubscriptionArn"]] * 6)
        assert len(set(arns)) == 1 and len(set(others)) == 1, (arns, others)
        listed = {one["SubscriptionArn"] for one in ok("ListSubscriptionsByTopic", TopicArn=where)["Subscriptions"]}
        assert listed == {arns[0], others[0]}, listed


def does_leave_nothing_of_topics_whose_names_are_too_long():
    limits = [("n" * 255, {}), ("n" * 237 + ".fifo", {"FifoTopic": "true"})]
    limits.append(("n" * 234 + ".fifo", {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod":"1"}'}))
    for name, attributes in limits:
        answer = call("CreateTopic", Name="x" + name, Attributes=attributes)
        assert answer.code == "InvalidParameter" and call("GetTopicAttributes", TopicArn=arn("x" + name)).code == "NotFound", answer
        ok("CreateTopic", Name=name, Attributes=attributes)


def does_make_an_archive_that_is_missing():
    policy = {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod":"1"}'}
    ports = json.loads(os.environ["CROSSDOCK_PORTS"])
    headers = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}
    for name, mend in (
        ("half-made.fifo", lambda: topic("half-made.fifo", **policy)),
        ("half-kept.fifo", lambda: ok("SetTopicAttributes", TopicArn=arn("half-kept.fifo"), AttributeName="ArchivePolicy", AttributeValue='{"MessageRetentionPeriod":"2"}')),
    ):
        archive = f"/api/queues/%2F/aws.sns.archive.{name}"

        def management(method):
            connection = http.client.HTTPConnection("127.0.0.1", ports["management"], timeout=60)
            connection.request(method, archive, headers=headers)
            return connection.getresponse().status

        topic(name, **policy)
        assert management("DELETE") == 204 and management("GET") == 404
        mend()
        assert management("GET") == 200


def check_actions():
    tests = [test for name, test in globals().items() if name.startswith("does_")]
    for test in tests:
        begun = time.monotonic()
        test()
        print(f"  {test.__name__}: {time.monotonic() - begun:.1f} s")
    return len(tests)
