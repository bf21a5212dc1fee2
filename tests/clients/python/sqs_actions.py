"""What SQS actions do: one function for each behaviour."""

import hashlib
import json
import time

from aws_wire import ACCOUNT, ENDPOINT, arn, call_json, call_query, letters_to, ok, post, queue

RECEIVE = "Value {} for parameter {} is invalid. Reason: {}"


def receive(url, **more):
    return ok("ReceiveMessage", **{"QueueUrl": url, "WaitTimeSeconds": 2, "AttributeNames": ["All"], **more}).get("Messages", [])


def send(url, body, **more):
    return ok("SendMessage", QueueUrl=url, MessageBody=body, **more)


def bodies(messages):
    return [message["Body"] for message in messages]


def bury(source, count):
    """Messages that were received once too often are in the dead-letter queue now."""
    for _ in range(count):
        message = receive(source, VisibilityTimeout=60)[0]
        ok("ChangeMessageVisibility", QueueUrl=source, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def task(source):
    return ok("ListMessageMoveTasks", SourceArn=arn(source))["Results"][0]


def ended(source):
    for _ in range(100):
        last = task(source)
        if last["Status"] not in ("RUNNING", "CANCELLING"):
            return last
        time.sleep(0.05)
    raise AssertionError(last)


def does_move_back_to_where_messages_died():
    dead, source = queue("back-dead"), queue("back", RedrivePolicy=letters_to("back-dead"))
    for body in "abc":
        send(source, body)
    bury(source, 3)
    letters = receive(dead, VisibilityTimeout=0, MaxNumberOfMessages=10)
    assert letters[0]["Attributes"]["DeadLetterQueueSourceArn"] == arn("back"), letters
    time.sleep(0.1)
    handle = ok("StartMessageMoveTask", SourceArn=arn("back-dead"))["TaskHandle"]
    assert handle
    last = ended("back-dead")
    moved = last["ApproximateNumberOfMessagesMoved"], last["ApproximateNumberOfMessagesToMove"]
    assert (last["Status"], moved) == ("COMPLETED", (3, 3)), last
    assert "TaskHandle" not in last and "DestinationArn" not in last and last["SourceArn"] == arn("back-dead"), last
    assert abs(last["StartedTimestamp"] / 1000 - time.time()) < 60, last
    back = receive(source, MaxNumberOfMessages=10)
    assert sorted(bodies(back)) == ["a", "b", "c"], back
    ids = {message["MessageId"] for message in back}
    assert len(ids) == 3 and ids.isdisjoint(message["MessageId"] for message in letters), "each is another message now"
    assert all(message["Attributes"]["ApproximateReceiveCount"] == "1" for message in back), back
    assert all("DeadLetterQueueSourceArn" not in message["Attributes"] for message in back), back


def does_move_at_a_rate_and_cancel():
    dead = queue("slow-dead")
    queue("slow", RedrivePolicy=letters_to("slow-dead"))
    other = queue("slow-other")
    for number in range(10):
        send(dead, str(number))
    begun = time.monotonic()
    rate = {"SourceArn": arn("slow-dead"), "DestinationArn": arn("slow-other"), "MaxNumberOfMessagesPerSecond": 2}
    handle = ok("StartMessageMoveTask", **rate)["TaskHandle"]
    running = task("slow-dead")
    expected = {"TaskHandle": handle, "Status": "RUNNING", "DestinationArn": arn("slow-other"), "MaxNumberOfMessagesPerSecond": 2}
    assert expected.items() <= running.items(), running
    time.sleep(2.2)
    moved = ok("CancelMessageMoveTask", TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    seconds = time.monotonic() - begun
    assert 4 <= moved <= 2 * seconds + 1, (moved, seconds)
    last = ended("slow-dead")
    assert last["Status"] == "CANCELLED" and last["ApproximateNumberOfMessagesMoved"] == moved, last
    assert call_json("CancelMessageMoveTask", {"TaskHandle": handle}).code == "ResourceNotFoundException"
    assert len(receive(other, MaxNumberOfMessages=10)) == moved
    ok("StartMessageMoveTask", SourceArn=arn("slow-dead"), DestinationArn=arn("slow-other"))
    assert ended("slow-dead")["ApproximateNumberOfMessagesMoved"] == 10 - moved
    tasks = ok("ListMessageMoveTasks", SourceArn=arn("slow-dead"), MaxResults=10)["Results"]
    assert [one["Status"] for one in tasks] == ["COMPLETED", "CANCELLED"], tasks


def does_say_why_a_move_failed():
    dead = queue("failed-dead")
    queue("failed", RedrivePolicy=letters_to("failed-dead"))
    gone = queue("failed-gone")
    send(dead, "nobody knows where from")
    ok("StartMessageMoveTask", SourceArn=arn("failed-dead"))
    last = ended("failed-dead")
    assert (last["Status"], last["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource"), last
    for number in range(3):
        send(dead, str(number))
    ok("StartMessageMoveTask", SourceArn=arn("failed-dead"), DestinationArn=arn("failed-gone"), MaxNumberOfMessagesPerSecond=1)
    ok("DeleteQueue", QueueUrl=gone)
    last = ended("failed-dead")
    assert (last["Status"], last["FailureReason"]) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue"), last
    left = ok("GetQueueAttributes", QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == str(4 - last["ApproximateNumberOfMessagesMoved"]), (left, last)


def does_list_sources_in_pages():
    dead = queue("pages-dead")
    names = [f"pages-{letter}" for letter in "abcde"]
    for name in names:
        queue(name, RedrivePolicy=letters_to("pages-dead"))
    url = lambda name: f"{ENDPOINT}/{ACCOUNT}/{name}"
    answer = ok("ListDeadLetterSourceQueues", QueueUrl=dead)
    assert answer == {"queueUrls": [url(name) for name in names]}, answer
    for action, member, more in (
        ("ListDeadLetterSourceQueues", "queueUrls", {"QueueUrl": dead}),
        ("ListQueues", "QueueUrls", {"QueueNamePrefix": "pages-"}),
    ):
        wanted = names if member == "queueUrls" else [*names[:3], "pages-d", "pages-dead", "pages-e"]
        found, token = [], None
        for _ in range(len(wanted)):
            page = ok(action, MaxResults=2, NextToken=token, **more)
            assert len(page[member]) <= 2, page
            found += page[member]
            token = page.get("NextToken")
            if not token:
                break
        assert found == [url(name) for name in wanted], found
    xml = call_query("ListDeadLetterSourceQueues", {"QueueUrl": dead})
    assert [child.text for child in xml.result] == [url(name) for name in names], xml


def does_keep_redrive_allow_policy():
    policy = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn("allowed")]})
    queue("allowing", RedriveAllowPolicy=policy)
    queue("allowed", RedrivePolicy=letters_to("allowing"))
    refused = {"QueueName": "refused", "Attributes": {"RedrivePolicy": letters_to("allowing")}}
    assert call_json("CreateQueue", refused).code == "InvalidParameterValue"
    shown = ok("GetQueueAttributes", QueueUrl=f"{ENDPOINT}/{ACCOUNT}/allowing", AttributeNames=["RedriveAllowPolicy"])
    assert shown["Attributes"] == {"RedriveAllowPolicy": policy}, shown


def does_edit_policies_by_label():
    url = queue("labels")
    accounts = [ACCOUNT, "111111111111"]
    ok("AddPermission", QueueUrl=url, Label="one", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    xml = {"QueueUrl": url, "Label": "two", "AWSAccountIds": accounts, "Actions": ["ReceiveMessage", "DeleteMessage"]}
    assert call_query("AddPermission", xml).status == 200
    policy = json.loads(ok("GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    root = "arn:aws:iam::{}:root".format
    statement = {"Effect": "Allow", "Resource": arn("labels")}
    one = {**statement, "Sid": "one", "Principal": {"AWS": root(ACCOUNT)}, "Action": "SQS:SendMessage"}
    principals, actions = [root(account) for account in accounts], ["SQS:ReceiveMessage", "SQS:DeleteMessage"]
    two = {**statement, "Sid": "two", "Principal": {"AWS": principals}, "Action": actions}
    expected = {"Version": "2012-10-17", "Id": f"{arn('labels')}/SQSDefaultPolicy", "Statement": [one, two]}
    assert policy == expected, policy
    ok("RemovePermission", QueueUrl=url, Label="one")
    ok("RemovePermission", QueueUrl=url, Label="two")
    assert "Policy" not in ok("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]


def does_deny_under_circumstances():
    url = queue("circumstances")

    def set_policy(*statements):
        usual = {"Effect": "Deny", "Principal": "*", "Resource": "*"}
        whole = [{**usual, **statement} for statement in statements]
        for statement in whole:
            if "NotPrincipal" in statement:
                del statement["Principal"]
        ok("SetQueueAttributes", QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": whole})})

    def is_denied():
        return call_json("SendMessage", {"QueueUrl": url, "MessageBody": "m"}).code == "AccessDenied"

    user = f"arn:aws:iam::{ACCOUNT}:user/guest"
    for statement, denied in (
        ({"Action": "sqs:SendMessage"}, True),
        ({"Action": "sqs:Send*", "Principal": {"AWS": user}}, True),
        ({"Action": "sqs:Send*", "Principal": {"AWS": user + "2"}}, False),
        ({"Action": "sqs:SendMessage", "NotPrincipal": {"AWS": [user, ACCOUNT]}}, False),
        ({"Action": "sqs:SendMessage", "NotPrincipal": {"AWS": [user + "2", ACCOUNT]}}, True),
        ({"Action": "sqs:SendMessage", "NotPrincipal": {"AWS": user}}, True),
        ({"Action": "sqs:ReceiveMessage"}, False),
        ({"Action": "*", "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, "NotAction": None}, True),
        ({"NotAction": "sqs:SetQueueAttributes"}, True),
        ({"Action": "sqs:SendMessage", "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}, False),
        ({"Action": "sqs:SendMessage", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}, True),
        ({"Action": "sqs:SendMessage", "Condition": {"StringEquals": {"aws:username": "guest"}}}, True),
        ({"Action": "sqs:SendMessage", "Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}, False),
        ({"Action": "sqs:SendMessage", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/gu*"}}}, True),
        ({"Action": "sqs:SendMessage", "Condition": {"Null": {"aws:SourceArn": "true"}}}, True),
    ):
        statement = {name: value for name, value in statement.items() if value is not None}
        if statement.get("Action") == "*":
            statement["Action"] = "sqs:SendMessage"
        set_policy(statement)
        assert is_denied() == denied, statement
    set_policy({"Action": "sqs:SendMessage", "Effect": "Allow"})
    assert not is_denied()


def does_replay_a_receive():
    url = queue("replay.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1"):
        send(url, body, MessageGroupId=body[0])
    once = lambda name, **more: receive(url, ReceiveRequestAttemptId=name, MaxNumberOfMessages=10, **more)
    first = once("first", VisibilityTimeout=60)
    assert bodies(first) == ["a1", "a2", "b1"], first
    send(url, "a3", MessageGroupId="a")
    again = once("first", VisibilityTimeout=60)
    assert [message["ReceiptHandle"] for message in again] == [message["ReceiptHandle"] for message in first]
    assert once("second", WaitTimeSeconds=0) == []
    # Whoever changes one of them cannot have them again.
    ok("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"], VisibilityTimeout=120)
    assert once("first", WaitTimeSeconds=0) == []
    for message in first:
        ok("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert bodies(once("first")) == ["a3"]


def change(url, message, seconds):
    given = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds}
    return call_json("ChangeMessageVisibility", given)


def counted(url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = ok("GetQueueAttributes", QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(found[name]) for name in names)


def does_delete_by_a_late_handle():
    url = queue("late")
    for _ in range(3):
        send(url, "m")
        [late] = receive(url, VisibilityTimeout=0)
        assert counted(url) == (1, 0)
        ok("DeleteMessage", QueueUrl=url, ReceiptHandle=late["ReceiptHandle"])
        assert counted(url) == (0, 0)
        ok("DeleteMessage", QueueUrl=url, ReceiptHandle=late["ReceiptHandle"])
    # Who else has it keeps it, and its time may be changed by both.
    send(url, "m")
    [first] = receive(url, VisibilityTimeout=0)
    [second] = receive(url, VisibilityTimeout=60)
    ok("DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert counted(url) == (0, 1)
    assert change(url, first, 0).status == 200 and counted(url) == (1, 0)
    entries = [{"Id": "a", "ReceiptHandle": second["ReceiptHandle"]}]
    assert ok("DeleteMessageBatch", QueueUrl=url, Entries=entries) == {"Successful": [{"Id": "a"}]}
    assert counted(url) == (0, 0)
    gone = change(url, second, 1)
    reason = "Message does not exist or is not available for visibility timeout change."
    expected = f"Value {second['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: {reason}"
    assert (gone.code, gone.message) == ("InvalidParameterValue", expected), gone


def does_refuse_an_expired_handle_of_a_fifo_queue():
    url = queue("late.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    send(url, "m", MessageGroupId="g")
    [late] = receive(url, VisibilityTimeout=0)
    expected = f"Value {late['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    refused = call_json("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": late["ReceiptHandle"]})
    assert (refused.code, refused.message) == ("InvalidParameterValue", expected), refused
    entries = [{"Id": "a", "ReceiptHandle": late["ReceiptHandle"]}]
    [failed] = ok("DeleteMessageBatch", QueueUrl=url, Entries=entries)["Failed"]
    assert (failed["Code"], failed["Message"], failed["SenderFault"]) == ("InvalidParameterValue", expected, True), failed
    [again] = receive(url, VisibilityTimeout=60)
    assert change(url, late, 5).code == "InvalidParameterValue"
    ok("DeleteMessage", QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    ok("DeleteMessage", QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])


def does_forget_identities_with_a_purge():
    url = queue("emptied.fifo", FifoQueue="true")
    same = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    send(url, "one", **same)
    ok("PurgeQueue", QueueUrl=url)
    send(url, "two", **same)
    assert bodies(receive(url)) == ["two"]


def does_bound_the_whole_visibility_timeout():
    url = queue("whole")
    send(url, "m")
    [message] = receive(url, VisibilityTimeout=43_200)
    time.sleep(1.1)
    refused = change(url, message, 43_200)
    reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]."
    assert (refused.code, refused.message) == ("InvalidParameterValue", RECEIVE.format(43_200, "VisibilityTimeout", reason)), refused
    assert change(url, message, 43_190).status == 200


def does_share_a_queue_fairly():
    url = queue("fair")
    for begin in range(0, 60, 10):
        entries = [{"Id": str(n), "MessageBody": f"noisy{begin + n}", "MessageGroupId": "noisy"} for n in range(10)]
        ok("SendMessageBatch", QueueUrl=url, Entries=entries)
    send(url, "quiet", MessageGroupId="quiet")
    send(url, "nobody's")
    ten = lambda: bodies(receive(url, MaxNumberOfMessages=10, VisibilityTimeout=60))
    first = [body for _ in range(3) for body in ten()]
    assert first == [f"noisy{n}" for n in range(30)], first
    assert ten() == ["quiet", "nobody's", *(f"noisy{n}" for n in range(30, 38))]


def does_accept_every_form_of_url():
    send(queue("forms"), "m")
    forms = (
        f"http://localhost:9324/{ACCOUNT}/forms",
        "http://localhost:9324/queue/forms",
        f"https://queue.amazonaws.com/{ACCOUNT}/forms",
        f"https://us-east-1.queue.amazonaws.com/{ACCOUNT}/forms",
        f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/forms",
        f"http://us-east-1.queue.localhost:9324/{ACCOUNT}/forms",
        f"http://sqs.us-east-1.localhost:9324/{ACCOUNT}/forms",
        f"/{ACCOUNT}/forms",
        "forms",
    )
    for form in forms:
        shown = ok("GetQueueAttributes", QueueUrl=form, AttributeNames=["QueueArn"])
        assert shown["Attributes"]["QueueArn"] == arn("forms"), (form, shown)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in (f"/{ACCOUNT}/forms", "/queue/forms"):
        answer = post(path, kind, "Action=GetQueueAttributes&AttributeName.1=QueueArn&Version=2012-11-05")
        assert arn("forms").encode() in answer.body, (path, answer)
    host = "sqs.example.test:1234"
    answer = post("/", {**kind, "Host": host}, "Action=GetQueueUrl&QueueName=forms&Version=2012-11-05")
    assert f"<QueueUrl>http://{host}/{ACCOUNT}/forms</QueueUrl>".encode() in answer.body, answer


def does_take_what_aws_takes():
    url = queue("takes")
    letters = {"attr.1øßä": {"DataType": "String", "StringValue": "v"}, "n": {"DataType": "Number", "StringValue": "-" + "9" * 38}}
    send(url, "letters", MessageAttributes=letters)
    assert receive(url, MessageAttributeNames=["All"])[0]["MessageAttributes"] == letters
    fifo = queue("takes.fifo", FifoQueue="true")
    of_groups = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    # Saying what the queue is changes nothing.
    ok("SetQueueAttributes", QueueUrl=fifo, Attributes={"FifoQueue": "true", **of_groups})
    alone = {"QueueUrl": fifo, "Attributes": {"DeduplicationScope": "queue"}}
    assert call_json("SetQueueAttributes", alone).code == "InvalidAttributeValue"
    ok("SetQueueAttributes", QueueUrl=fifo, Attributes={"DelaySeconds": "0"})


def does_keep_the_trace_of_a_request():
    url = queue("traced")
    header = {"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678;Sampled=1"}
    own = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-00000000-000000000000000000000000"}}
    entries = [{"Id": "1", "MessageBody": "request's"}, {"Id": "2", "MessageBody": "own", "MessageSystemAttributes": own}]
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessageBatch", **header}
    answer = json.loads(post("/", headers, json.dumps({"QueueUrl": url, "Entries": entries})).body)["Successful"]
    # SDKs check the sums of what they have sent.
    assert [entry["Id"] for entry in answer if "MD5OfMessageSystemAttributes" in entry] == ["2"], answer
    topic_arn = f"arn:aws:sns:us-east-1:{ACCOUNT}:traced"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    version = "Version=2010-03-31"
    post("/", form, f"Action=CreateTopic&Name=traced&{version}")
    post("/", form, f"Action=Subscribe&TopicArn={topic_arn}&Protocol=sqs&Endpoint={arn('traced')}&{version}")
    published = post("/", {**form, **header}, f"Action=Publish&TopicArn={topic_arn}&Message=published&{version}")
    assert published.status == 200, published
    send(url, "untraced")
    got = [message for _ in range(4) for message in receive(url)]
    traces = [message["Attributes"].get("AWSTraceHeader") for message in got]
    assert traces == [header["X-Amzn-Trace-Id"], own["AWSTraceHeader"]["StringValue"], header["X-Amzn-Trace-Id"], None], got


def does_sum_what_was_sent():
    url = queue("sums")
    sent = send(url, "grüße", MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
    got = receive(url, MessageAttributeNames=["All"])[0]
    assert sent["MD5OfMessageBody"] == got["MD5OfBody"] == hashlib.md5("grüße".encode()).hexdigest()
    pack = lambda text: len(text).to_bytes(4, "big") + text.encode()
    expected = hashlib.md5(pack("a") + pack("String") + b"\x01" + pack("v")).hexdigest()
    assert sent["MD5OfMessageAttributes"] == got["MD5OfMessageAttributes"] == expected


def check_actions():
    checks = [check for name, check in globals().items() if name.startswith("does_")]
    for check in checks:
        check()
        print(f"{check.__name__}: good")
    return len(checks)
