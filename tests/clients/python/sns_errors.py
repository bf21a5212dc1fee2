"""Every error that SNS gives for what a request says: a table.

A row is an action, its parameters, the code, and what the message is (None where AWS's is not known). `{plain}`, `{fifo}` and their like
are the ARNs of the scene's resources.
"""

import json

from aws_wire import ACCOUNT, REGION, queue
from aws_wire import arn as queue_arn
from sns_wire import arn, call, ok, topic

SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: {}]"
QUOTE = "failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field name\n at " + SOURCE
TOKEN = (
    "failed to parse JSON. Unrecognized token 'invalid': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or"
    " 'false')\n at " + SOURCE
)
ELEMENTS = "{} Reason: An ARN must have at least 6 elements, not {}"
NULL = "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null"
DIFFERENT = "Attributes Reason: Subscription already exists with different attributes"
ANYTHING_BUT = "Inside anything-but list, either all values are number or string, mixed type is not supported"
FIFO_ENDPOINT = "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
LONG = "a" * 257
IDENTIFIERS = "arn:aws:dataprotection::aws:data-identifier/"
STRING = {"DataType": "String", "StringValue": "v"}
STATUS = {
    "AuthorizationError": 403,
    "FilterPolicyLimitExceeded": 403,
    "NotFound": 404,
    "ReplayLimitExceeded": 403,
    "ResourceNotFound": 404,
    "Throttled": 429,
}


def protection(**changes):
    statement = {
        "DataDirection": "Inbound",
        "Principal": ["*"],
        "DataIdentifier": [IDENTIFIERS + "EmailAddress"],
        "Operation": {"Deny": {}},
        **changes,
    }
    return {"Name": "n", "Version": "2021-06-01", "Statement": [statement]}


def scene():
    """Makes what the table is about; gives the ARNs by their names in it."""
    known = {name: topic(name) for name in ("plain", "shared", "denied", "protected")}
    known["fifo"] = topic("errors.fifo", FifoTopic="true")
    known["content"] = topic("content.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    known["kept"] = topic("archive.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}')
    known["named"] = topic("named", DisplayName="Name")
    known["small"] = topic("small", MaximumMessageSize="1024")
    ok("CreateTopic", Name="tagged", Tags=[{"Key": "a", "Value": "b"}])
    known["tagged"] = arn("tagged")
    known["full"] = arn("full")
    ok("CreateTopic", Name="full", Tags=[{"Key": str(number), "Value": ""} for number in range(50)])
    for name in ("errors", "errors-other"):
        queue(name)
    queue("errors.fifo", FifoQueue="true")
    to_queue = {"Protocol": "sqs", "Endpoint": queue_arn("errors")}
    known["subscription"] = ok("Subscribe", TopicArn=known["plain"], **to_queue, Attributes={"RawMessageDelivery": "true"})["SubscriptionArn"]
    fifo = {"Protocol": "sqs", "Endpoint": queue_arn("errors.fifo")}
    known["fifo subscription"] = ok("Subscribe", TopicArn=known["fifo"], **fifo)["SubscriptionArn"]
    mail = {"Protocol": "email", "Endpoint": "errors@example.com", "ReturnSubscriptionArn": True}
    known["mail"] = ok("Subscribe", TopicArn=known["plain"], **mail)["SubscriptionArn"]
    known["application"] = ok("CreatePlatformApplication", Name="errors", Platform="GCM", Attributes={"PlatformCredential": "c"})[
        "PlatformApplicationArn"
    ]
    token = {"PlatformApplicationArn": known["application"], "Token": "token"}
    known["endpoint"] = ok("CreatePlatformEndpoint", **token, CustomUserData="data")["EndpointArn"]
    off = {"PlatformApplicationArn": known["application"], "Token": "off", "Attributes": {"Enabled": "false"}}
    known["disabled"] = ok("CreatePlatformEndpoint", **off)["EndpointArn"]
    attributes = {"PlatformCredential": "c", "Enabled": "false"}
    asleep = ok("CreatePlatformApplication", Name="asleep", Platform="GCM", Attributes=attributes)["PlatformApplicationArn"]
    known["asleep"] = ok("CreatePlatformEndpoint", PlatformApplicationArn=asleep, Token="t")["EndpointArn"]
    ok("AddPermission", TopicArn=known["shared"], Label="friends", AWSAccountId=[ACCOUNT], ActionName=["Publish"])
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["sns:Publish", "sns:Subscribe"], "Resource": known["denied"]}
    ok("SetTopicAttributes", TopicArn=known["denied"], AttributeName="Policy", AttributeValue=json.dumps({"Statement": [deny]}))
    ok("PutDataProtectionPolicy", ResourceArn=known["protected"], DataProtectionPolicy=json.dumps(protection()))
    for number in ("+15550000001", "+15550000002"):
        assert call("OptOutPhoneNumber", phoneNumber=number).status == 200
    ok("OptInPhoneNumber", phoneNumber="+15550000002")
    call("OptOutPhoneNumber", phoneNumber="+15550000002")
    for last in range(100, 110):
        ok("CreateSMSSandboxPhoneNumber", PhoneNumber=f"+15550000{last}")
    return known


def rows():
    yield from arns()
    yield from topics()
    yield from subscriptions()
    yield from filter_policies()
    yield from policies()
    yield from messages()
    yield from batches()
    yield from applications()
    yield from texts()
    yield from tags()
    yield from data_protection()
    yield "Nonsense", {}, "InvalidAction", "The action Nonsense is not valid for this endpoint."


def invalid(action, parameters, text):
    return action, parameters, "InvalidParameter", None if text is None else f"Invalid parameter: {text}"


def whole(action, parameters, text):
    return action, parameters, "InvalidParameter", text


def arns():
    permission = {"Label": "l", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"]}
    of_topics = {
        "AddPermission": permission,
        "DeleteTopic": {},
        "GetTopicAttributes": {},
        "ListSubscriptionsByTopic": {},
        "Publish": {"Message": "m"},
        "PublishBatch": {"PublishBatchRequestEntries": [{"Id": "1", "Message": "m"}]},
        "RemovePermission": {"Label": "l"},
        "SetTopicAttributes": {"AttributeName": "DisplayName", "AttributeValue": "d"},
        "Subscribe": {"Protocol": "sqs", "Endpoint": queue_arn("errors")},
    }
    for action, more in of_topics.items():
        for bad, count in (("nonsense", 1), ("arn:aws", 2), (f"arn:aws:sns:{REGION}:{ACCOUNT}", 5)):
            yield invalid(action, {"TopicArn": bad, **more}, ELEMENTS.format("TopicArn", count))
        yield invalid(action, {"TopicArn": queue_arn("errors"), **more}, "TopicArn")
        if action != "DeleteTopic":
            yield action, {"TopicArn": arn("none"), **more}, "NotFound", "Topic does not exist"
    of_subscriptions = {
        "GetSubscriptionAttributes": {},
        "SetSubscriptionAttributes": {"AttributeName": "RawMessageDelivery", "AttributeValue": "true"},
        "Unsubscribe": {},
    }
    for action, more in of_subscriptions.items():
        for bad, count in (("nonsense", 1), (f"arn:aws:sns:{REGION}:{ACCOUNT}", 5)):
            yield invalid(action, {"SubscriptionArn": bad, **more}, ELEMENTS.format("SubscriptionArn", count))
        yield invalid(action, {"SubscriptionArn": arn("plain"), **more}, "SubscriptionId")
        yield invalid(action, {"SubscriptionArn": "", **more}, "SubscriptionArn Reason: no value for required parameter")
        if action != "Unsubscribe":
            for name in ("plain", "none"):
                known = arn(f"{name}:00000000-0000-0000-0000-000000000000")
                yield action, {"SubscriptionArn": known, **more}, "NotFound", "Subscription does not exist"


def topics():
    for name in ("", "a b", "a.b", "a.fifo", LONG):
        yield invalid("CreateTopic", {"Name": name}, "Topic Name")
    fifo = {"Attributes": {"FifoTopic": "true"}}
    text = (
        "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, numbers, underscores,"
        " and hyphens, and must be between 1 and 256 characters long."
    )
    for name in ("a", ".fifo", "a b.fifo", "a" * 252 + ".fifo"):
        yield whole("CreateTopic", {"Name": name, **fifo}, text)
    text = "Attributes Reason: Topic already exists with different attributes"
    yield invalid("CreateTopic", {"Name": "named", "Attributes": {"DisplayName": "Another"}}, text)
    yield invalid("CreateTopic", {"Name": "tagged", "Tags": [{"Key": "a", "Value": "c"}]}, "Tags Reason: Topic already exists with different tags")
    yield invalid("CreateTopic", {"Name": "n", "Attributes": {"Nonsense": "x"}}, "Attributes Reason: Unknown attribute Nonsense")
    of = lambda name, value, where="{plain}": ("SetTopicAttributes", {"TopicArn": where, "AttributeName": name, "AttributeValue": value})
    for name in ("Nonsense", "Owner", "TopicArn", "FifoTopic", ""):
        yield invalid(*of(name, "true"), "AttributeName")
    yield "SetTopicAttributes", {"TopicArn": "{plain}", "AttributeValue": "x"}, "ValidationError", NULL.format("attributeName")
    for name, value in (
        ("DisplayName", "a" * 101),
        ("SignatureVersion", "3"),
        ("TracingConfig", "Passive"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("SQSSuccessFeedbackSampleRate", "101"),
        ("HTTPSuccessFeedbackSampleRate", "-1"),
        ("DeliveryPolicy", "nonsense"),
        ("DeliveryPolicy", json.dumps({"http": {"defaultHealthyRetryPolicy": {"numRetries": 101}}})),
        ("DeliveryPolicy", json.dumps({"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": 30, "maxDelayTarget": 20}}})),
        ("ContentBasedDeduplication", "true"),
        ("FifoThroughputScope", "Topic"),
    ):
        yield invalid(*of(name, value), None)
        yield invalid("CreateTopic", {"Name": "n", "Attributes": {name: value}}, None)
    for name in ("ContentBasedDeduplication", "FifoThroughputScope"):
        yield invalid(*of(name, "maybe", "{fifo}"), None)
    yield invalid(*of("ArchivePolicy", '{"MessageRetentionPeriod":"1"}'), "ArchivePolicy can only be set for FIFO topics")
    for policy in ("nonsense", "[]", '{"MessageRetentionPeriod":"0"}', '{"MessageRetentionPeriod":"366"}', '{"Days":"1"}'):
        yield invalid(*of("ArchivePolicy", policy, "{fifo}"), None)
    yield "DeleteTopic", {"TopicArn": "{kept}"}, "InvalidState", None
    for action in ("ListTopics", "ListSubscriptions", "ListPlatformApplications"):
        yield invalid(action, {"NextToken": "nonsense!"}, "NextToken")


def subscriptions():
    def of(**more):
        return "Subscribe", {"TopicArn": "{plain}", "Protocol": "sqs", "Endpoint": queue_arn("errors-other"), **more}

    text = "Amazon SNS does not support this protocol string: test-protocol"
    yield invalid(*of(Protocol="test-protocol"), text)
    for endpoint in ("nonsense", queue_arn("errors").replace(ACCOUNT, "1"), arn("plain")):
        yield invalid(*of(Endpoint=endpoint), "SQS endpoint ARN")
    yield invalid(*of(Endpoint=queue_arn("none")), None)
    yield invalid(*of(Endpoint=queue_arn("errors.fifo")), FIFO_ENDPOINT)
    for number in ("NAA+15551234567", "invalid-number", "+15--551234567", "+15551234567.", "/+15551234567"):
        yield whole(*of(Protocol="sms", Endpoint=number), f"Invalid SMS endpoint: {number}")
    for protocol, endpoint in (
        ("http", "https://example.com"),
        ("http", "http://"),
        ("https", "http://example.com"),
        ("email", "nobody"),
        ("email-json", "@example.com"),
        ("application", arn("plain")),
        ("lambda", arn("plain")),
        ("firehose", arn("plain")),
        ("http", "http://example.com/" + "a" * 2_048),
    ):
        yield invalid(*of(Protocol=protocol, Endpoint=endpoint), None)
    for protocol, endpoint in (("http", "http://example.com/"), ("email", "a@example.com"), ("sms", "+15551234567")):
        yield invalid(*of(TopicArn="{fifo}", Protocol=protocol, Endpoint=endpoint), None)
    yield invalid(*of(Endpoint=queue_arn("errors"), Attributes={"RawMessageDelivery": "false"}), DIFFERENT)
    yield invalid(*of(Attributes={"Nonsense": "x"}), "Attributes Reason: Unknown attribute Nonsense")
    firehose = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/s"
    yield invalid(*of(Protocol="firehose", Endpoint=firehose), None)
    yield invalid(*of(Protocol="sms", Endpoint="+15551234567", Attributes={"RawMessageDelivery": "true"}), None)
    yield "Subscribe", {"TopicArn": "{denied}", "Protocol": "sqs", "Endpoint": queue_arn("errors")}, "AuthorizationError", None

    def setting(name, value, where="{subscription}"):
        return "SetSubscriptionAttributes", {"SubscriptionArn": where, "AttributeName": name, "AttributeValue": value}

    both = (
        ("RawMessageDelivery", "wrongvalue", "RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false."),
        ("RawMessageDelivery", "test-ValUe", "RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false."),
        ("RawMessageDelivery", "", "RawMessageDelivery: Invalid value []. Must be true or false."),
        ("RedrivePolicy", json.dumps({"deadLetterTargetArn": "invalid"}), "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
        ("RedrivePolicy", "{}", "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
        ("RedrivePolicy", "{invalidjson}", "RedrivePolicy: " + QUOTE.format(2)),
        ("RedrivePolicy", json.dumps({"deadLetterTargetArn": queue_arn("none")}), None),
        ("FilterPolicy", "{invalidjson}", "FilterPolicy: " + QUOTE.format(2)),
        ("FilterPolicyScope", "RandomValue", "FilterPolicyScope: Invalid value [RandomValue]. Please use either MessageBody or MessageAttributes"),
        ("DeliveryPolicy", "nonsense", None),
        ("DeliveryPolicy", json.dumps({"healthyRetryPolicy": {"numRetries": 101}}), None),
        ("DeliveryPolicy", json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 0}}), None),
    )
    for name, value, text in both:
        yield invalid(*setting(name, value), text)
        yield invalid(*of(Attributes={name: value}), text and f"Attributes Reason: {text}")
    for name in ("Nonsense", "PendingConfirmation", "Endpoint", ""):
        yield invalid(*setting(name, "true"), "AttributeName")
    to_standard = json.dumps({"deadLetterTargetArn": queue_arn("errors")})
    text = "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
    yield invalid(*setting("RedrivePolicy", to_standard, "{fifo subscription}"), text)
    yield invalid(*setting("RedrivePolicy", json.dumps({"deadLetterTargetArn": queue_arn("errors.fifo")})), None)
    yield invalid(*setting("RawMessageDelivery", "true", "{mail}"), None)
    replay = json.dumps({"PointType": "Timestamp", "StartingPoint": "2026-01-02T03:04:05.678Z"})
    for where in ("{subscription}", "{fifo subscription}"):
        yield invalid(*setting("ReplayPolicy", replay, where), "ReplayPolicy: the topic has no ArchivePolicy")
    for policy in (
        "nonsense",
        "[]",
        '{"PointType":"Timestamp"}',
        replay.replace("Timestamp", "Offset"),
        replay.replace("2026", "2999"),
        replay.replace("2026-01-02T03:04:05.678Z", "yesterday"),
        replay.replace("}", ',"EndingPoint":"2026-01-02T03:04:05Z"}'),
        replay.replace("}", ',"Nonsense":1}'),
    ):
        to_fifo = {"TopicArn": "{kept}", "Endpoint": queue_arn("errors.fifo"), "Attributes": {"ReplayPolicy": policy}}
        yield invalid(*of(**to_fifo), None)
    for token in ("", "51b2ff3", "a" * 288):
        yield invalid("ConfirmSubscription", {"TopicArn": "{plain}", "Token": token}, "Token")
    for token in ("randomtoken", "51b2ff3g", "51 b2"):
        yield "ConfirmSubscription", {"TopicArn": "{plain}", "Token": token}, "InvalidParameter", "Invalid token"
    yield invalid("ConfirmSubscription", {"TopicArn": "{plain}-not", "Token": "a" * 288}, "Token")
    yield invalid("ConfirmSubscription", {"TopicArn": "nonsense", "Token": "t"}, "Topic")


def filter_policies():
    sourced = [
        ("Match value must be String, number, true, false, or null", '{"key":[["value"]]}', 10),
        ("Unrecognized match type wrong-operator", '{"key":[{"wrong-operator":true}]}', 31),
        ("Only one key allowed in match expression", '{"key":[{"suffix":"value","prefix":"value2"}]}', 37),
        ("Empty arrays are not allowed", '{"key":[]}', 10),
        ("suffix match pattern must be a string", '{"key":[{"suffix":100}]}', 22),
        ("suffix match pattern must be a string", '{"key":[{"suffix":null}]}', 23),
        ('"suffix" must be an object or an array', '{"key":{"suffix":"value"}}', 19),
        ("suffix match pattern must be a string", '{"key":[{"suffix":[]}]}', 20),
        ("suffix match pattern must be a string", '{"key":[{"suffix":["test","test2"]}]}', 20),
        ('"suffix" must be an object or an array', '{"key":{"suffix":"value","prefix":"value"}}', 19),
        ('"not-an-operator" must be an object or an array', '{"key":{"not-an-operator":"value"}}', 28),
        ("prefix match pattern must be a string", '{"key":[{"cidr":["bad-filter"]}]}', 18),
        ("Invalid member in numeric match: ]", '{"key":[{"numeric":[]}]}', 22),
        ("Unrecognized numeric range operator: operator", '{"key":[{"numeric":["operator"]}]}', 32),
        ("Invalid member in numeric match: 1", '{"key":[{"numeric":[1,"<="]}]}', 22),
        ("Value of equals must be numeric", '{"key":[{"numeric":["=","000"]}]}', 26),
        ("Value of >= must be numeric", '{"key":[{"numeric":[">="]}]}', 26),
        ("Too many elements in numeric expression", '{"key":[{"numeric":["<",100,">",10]}]}', 30),
        ("Bad numeric range operator: >", '{"key":[{"numeric":[">=",1,">",2]}]}', 31),
        ("Bottom must be less than top", '{"key":[{"numeric":[">",3,"<",1]}]}', 33),
        ("Value of <= must be numeric", '{"key":[{"numeric":[">",20,"<="]}]}', 33),
        ("Bad value in numeric range: 30", '{"key":[{"numeric":[">",20,30]}]}', 30),
        ("Bad numeric range operator: test", '{"key":[{"numeric":[">",20,"test"]}]}', 34),
        ("Value of > must be numeric", '{"key":[{"numeric":[">","20","<","30"]}]}', 26),
        ("Value of < must be numeric", '{"key":[{"numeric":[">",20,"<","30"]}]}', 33),
        ("Too many terms in numeric range expression", '{"key":[{"numeric":[">",20,"<",30,"<",50]}]}', 36),
        ("exists match pattern must be either true or false.", '{"key":[{"exists":null}]}', 23),
        ("exists match pattern must be either true or false.", '{"key":[{"exists":"no"}]}', 20),
        ("Unsupported anything-but pattern: wrong-operator", '{"key":[{"anything-but":{"wrong-operator":null}}]}', 47),
        ("Unsupported anything-but pattern: suffix", '{"key":[{"anything-but":{"suffix":"test"}}]}', 36),
        ("Unsupported anything-but pattern: exists", '{"key":[{"anything-but":{"exists":false}}]}', 40),
        ("prefix match pattern must be a string", '{"key":[{"anything-but":{"prefix":false}}]}', 40),
        (ANYTHING_BUT, '{"key":[{"anything-but":[]}]}', 27),
        (ANYTHING_BUT, '{"key":[{"anything-but":[1,"a"]}]}', 32),
        (ANYTHING_BUT, '{"key":[{"anything-but":[true]}]}', 30),
        ('"key_a" must be an object or an array', '{"key_a":"value_one"}', 11),
    ]
    table = [(policy, f'FilterPolicy: {text}\n at [Source: (String)"{policy}"; line: 1, column: {at}]') for text, policy, at in sourced]
    table += [
        ('{"key":[{"cidr":"bad-filter"}]}', "FilterPolicy: Malformed CIDR, one '/' required"),
        ('{"key":[{"cidr":"bad-filter/24"}]}', "FilterPolicy: Nonstandard IP address: bad-filter"),
        ('{"key":[{"cidr":"1.2.3.4/xx"}]}', "FilterPolicy: Malformed CIDR, mask bits must be an integer"),
        ('{"key":[{"cidr":"xx.11.xx/8"}]}', "FilterPolicy: Nonstandard IP address: xx.11.xx"),
        ('{"key":[{"cidr":"xxxx:db8:1234:1a00::/64"}]}', "FilterPolicy: Nonstandard IP address: xxxx:db8:1234:1a00::"),
        (json.dumps({key: ["v"] for key in "abcdef"}), "FilterPolicy: Filter policy can not have more than 5 keys"),
        (json.dumps({"a": ["v"] * 151}), "FilterPolicy: Filter policy is too complex"),
        (json.dumps({"a": ["v"] * 6, "b": ["v"] * 6, "c": ["v"] * 6}), "FilterPolicy: Filter policy is too complex"),
        (json.dumps({"a": {"b": ["v"]}}), "Filter policy scope MessageAttributes does not support nested filter policy"),
        ("invalid", "FilterPolicy: " + TOKEN.format(8)),
    ]
    subscribe = {"TopicArn": "{plain}", "Protocol": "sqs", "Endpoint": queue_arn("errors-other")}
    change = {"SubscriptionArn": "{subscription}", "AttributeName": "FilterPolicy"}
    for policy, text in table:
        yield invalid("Subscribe", {**subscribe, "Attributes": {"FilterPolicy": policy}}, f"Attributes Reason: {text}")
        yield invalid("SetSubscriptionAttributes", {**change, "AttributeValue": policy}, text)


def policies():
    of = lambda **more: {"TopicArn": "{shared}", "Label": "label", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"], **more}
    yield invalid("AddPermission", of(Label="friends"), "Statement already exists")
    for actions in (["SendMessage"], ["Nonsense"], [], ["Publish", "CreateTopic"]):
        yield invalid("AddPermission", of(ActionName=actions), "Policy statement action out of service scope!")
    for accounts in ([], ["1"], [ACCOUNT, "alice"]):
        yield invalid("AddPermission", of(AWSAccountId=accounts), "AWSAccountId")
    for action in ("AddPermission", "RemovePermission"):
        yield invalid(action, of(Label=""), "Label Reason: no value for required parameter")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn("plain")}
    change = {"TopicArn": "{plain}", "AttributeName": "Policy"}
    scope = json.dumps({"Statement": [{**statement, "Action": "sqs:SendMessage"}]})
    yield invalid("SetTopicAttributes", {**change, "AttributeValue": scope}, "Policy statement action out of service scope!")
    for policy in (
        "nonsense",
        "[]",
        "{}",
        json.dumps({"Statement": [{**statement, "Effect": "Maybe"}]}),
        json.dumps({"Statement": [{**statement, "Principal": "alice"}]}),
        json.dumps({"Statement": [{**statement, "Condition": {"Nonsense": {"a": "b"}}}]}),
        json.dumps({"Statement": [{**statement, "Resource": "orders"}]}),
        json.dumps({"Version": "2020-01-01", "Statement": [statement]}),
        json.dumps({"Statement": [statement]}) + " " * 30_720,
    ):
        yield invalid("SetTopicAttributes", {**change, "AttributeValue": policy}, "Policy Error: null")


def messages():
    of = lambda **more: ("Publish", {"TopicArn": "{plain}", "Message": "m", **more})
    yield invalid(*of(Message=""), "Empty message")
    yield invalid(*of(Message=None), "Empty message")
    for subject in ("", "a\nb", "a" * 101, " a", "a\x07"):
        yield invalid(*of(Subject=subject), "Subject")
    yield invalid(*of(Message="m" * 262_145), "Message too long")
    yield invalid(*of(TopicArn="{small}", Message="m" * 1_025), "Message too long")
    yield invalid(*of(TopicArn="{small}", Message="m" * 1_020, MessageAttributes={"a": STRING}), "Message too long")
    many = json.dumps({"default": "m", "http": "m" * 262_144})
    yield invalid(*of(Message=many, MessageStructure="json"), "Message too long")
    yield invalid("Publish", {"PhoneNumber": "+15551234567", "Message": many, "MessageStructure": "json"}, "Message too long")
    yield invalid(*of(Message='{"sqs": "x"}', MessageStructure="json"), "Message Structure - No default entry in JSON message body")
    yield invalid(*of(Message='{"default": {"a": "b"}}', MessageStructure="json"), "Message Structure - No default entry in JSON message body")
    for text in ("nonsense", "[]", '"text"', '{"default": "a"'):
        yield invalid(*of(Message=text, MessageStructure="json"), "Message Structure - JSON message body failed to parse")
    yield invalid(*of(MessageDeduplicationId="d"), (
        "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type"
    ))
    yield invalid(*of(TopicArn="{fifo}"), "The MessageGroupId parameter is required for FIFO topics")
    yield invalid(*of(TopicArn="{content}", MessageDeduplicationId="d"), "The MessageGroupId parameter is required for FIFO topics")
    yield invalid(*of(TopicArn="{fifo}", MessageGroupId="g"), (
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    ))
    for value in ("", "a b", "grüße", "a" * 129):
        yield invalid(*of(MessageGroupId=value), None)
        yield invalid(*of(TopicArn="{fifo}", MessageGroupId="g", MessageDeduplicationId=value), None)
    yield "Publish", {"TopicArn": "{denied}", "Message": "m"}, "AuthorizationError", None
    yield "PublishBatch", {"TopicArn": "{denied}", "PublishBatchRequestEntries": [{"Id": "1", "Message": "m"}]}, "AuthorizationError", None
    yield invalid("Publish", {"TargetArn": arn("endpoint/GCM/errors/00000000-0000-0000-0000-000000000000"), "Message": "m"}, (
        "TargetArn Reason: No endpoint found for the target arn specified"
    ))
    yield invalid("Publish", {"TargetArn": "nonsense", "Message": "m"}, ELEMENTS.format("TargetArn", 1))
    yield "Publish", {"TargetArn": "{disabled}", "Message": "m"}, "EndpointDisabled", "Endpoint is disabled"
    yield "Publish", {"TargetArn": "{asleep}", "Message": "m"}, "PlatformApplicationDisabled", None
    for number in ("+1a234", "NAA+15551234567", ""):
        yield invalid("Publish", {"PhoneNumber": number, "Message": "m"}, f"PhoneNumber Reason: {number} is not valid to publish to")
    yield invalid("Publish", {"PhoneNumber": "+15551234567", "Message": "m" * 1_601}, "Message too long")
    yield invalid("Publish", {"PhoneNumber": "+15551234567", "Message": ""}, "Empty message")
    yield invalid("Publish", {"TopicArn": "{protected}", "Message": "write to a@example.com"}, None)
    empty = "The message attribute 'attr1' must contain non-empty message attribute value for message attribute type '{}'."
    field = "The message attribute 'attr1' with type '{}' must use field '{}'."
    kinds = (
        "The message attribute 'attr1' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and"
        " String."
    )
    for name, attribute, text in (
        ("attr1", {"DataType": "String", "StringValue": ""}, empty.format("String")),
        ("attr1", {"DataType": "String"}, empty.format("String")),
        ("attr1", {"DataType": "Binary"}, empty.format("Binary")),
        ("attr1", {"DataType": "String", "BinaryValue": "AA=="}, field.format("String", "String")),
        ("attr1", {"DataType": "Number", "BinaryValue": "AA=="}, field.format("Number", "String")),
        ("attr1", {"DataType": "Binary", "StringValue": "x"}, field.format("Binary", "Binary")),
        ("attr1", {"DataType": "Nonsense", "StringValue": "x"}, kinds),
        ("attr1", {"DataType": "Number", "StringValue": "many"}, None),
        (LONG, STRING, "Length of message attribute name must be less than 256 bytes."),
        ("a^b", STRING, (
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include alphanumeric characters,"
            " hyphens, underscores, or dots."
        )),
        (".a", STRING, "Invalid message attribute name starting with character '.' was found."),
        ("a.", STRING, "Invalid message attribute name ending with character '.' was found."),
        ("a..b", STRING, "Message attribute name can not have successive '.' character."),
        ("AWS.a", STRING, None),
        ("amazon.a", STRING, None),
    ):  # fmt: skip
        yield *of(MessageAttributes={name: attribute}), "ParameterValueInvalid", text
    untyped = {"attr1": {"StringValue": "x"}}
    yield *of(MessageAttributes=untyped), "ValidationError", NULL.format("messageAttributes.attr1.member.dataType")


def batches():
    entry = {"Id": "1", "Message": "m"}
    of = lambda *entries, where="{plain}": ("PublishBatch", {"TopicArn": where, "PublishBatchRequestEntries": list(entries)})
    yield *of(), "EmptyBatchRequest", "The batch request doesn't contain any entries."
    yield *of(*({**entry, "Id": str(number)} for number in range(11))), "TooManyEntriesInBatchRequest", (
        "The batch request contains more entries than permissible."
    )
    yield *of(entry, entry), "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id."
    for bad in ("message.id", "msg@123#test", "a b", ""):
        text = f"The Id of a batch entry in the batch request contains an impermissible character: {bad}"
        yield *of({**entry, "Id": bad}), "InvalidBatchEntryId", text
    for bad in ("a" * 81, "myreally" + "really" * 12 + "longid"):
        text = f"The Id of a batch entry in the batch request is too long: {bad}"
        yield *of({**entry, "Id": bad}), "InvalidBatchEntryId", text
    half = "m" * 131_072
    yield *of({"Id": "1", "Message": half}, {"Id": "2", "Message": half + "m"}), "BatchRequestTooLong", (
        "The length of all the messages put together is more than the limit."
    )
    untyped = {"attr1": {"StringValue": "x"}}
    path = "publishBatchRequestEntries.1.member.messageAttributes.attr1.member.dataType"
    yield *of({**entry, "MessageAttributes": untyped}), "ValidationError", NULL.format(path)
    yield invalid(*of(entry, where="{fifo}"), "The MessageGroupId parameter is required for FIFO topics")
    yield invalid(*of({**entry, "MessageDeduplicationId": "d"}), (
        "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type"
    ))


def applications():
    of = lambda **more: ("CreatePlatformApplication", {"Name": "n", "Platform": "GCM", "Attributes": {"PlatformCredential": "c"}, **more})
    yield invalid(*of(Name=LONG), f"{LONG} Reason: must be at most 256 characters long")
    yield invalid(*of(Name=""), " Reason: cannot be empty")
    yield invalid(*of(Name="@name"), "@name Reason: must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'")
    yield invalid(*of(Platform="AAA"), "Platform Reason: AAA is not supported")
    for member in ("Name", "Platform", "Attributes"):
        yield *of(**{member: None}), "ValidationError", NULL.format(member[0].lower() + member[1:])
    principal = "Attributes Reason: PlatformPrincipal attribute provided without PlatformCredential"
    yield invalid(*of(Platform="ADM", Attributes={"PlatformPrincipal": "p"}), principal)
    credential = "Attributes Reason: PlatformCredential attribute provided without PlatformPrincipal"
    yield invalid(*of(Platform="ADM"), credential)
    yield invalid(*of(Attributes={"PlatformCredential": "c", "InvalidKey": "x"}), "Attributes Reason: Invalid attribute name: InvalidKey")
    yield invalid(*of(Name="errors", Attributes={"PlatformCredential": "another"}), None)
    of_applications = {
        "CreatePlatformEndpoint": {"Token": "t"},
        "DeletePlatformApplication": {},
        "GetPlatformApplicationAttributes": {},
        "ListEndpointsByPlatformApplication": {},
        "SetPlatformApplicationAttributes": {"Attributes": {"Enabled": "true"}},
    }
    for action, more in of_applications.items():
        yield invalid(action, {"PlatformApplicationArn": "nonsense", **more}, ELEMENTS.format("PlatformApplicationArn", 1))
        slashes = "PlatformApplicationArn Reason: Wrong number of slashes in relative portion of the ARN."
        yield invalid(action, {"PlatformApplicationArn": arn("app/GCM"), **more}, slashes)
        if action != "DeletePlatformApplication":
            yield action, {"PlatformApplicationArn": arn("app/GCM/none"), **more}, "NotFound", "PlatformApplication does not exist"
    of_endpoints = {
        "DeleteEndpoint": {},
        "GetEndpointAttributes": {},
        "SetEndpointAttributes": {"Attributes": {"Enabled": "true"}},
    }
    for action, more in of_endpoints.items():
        yield invalid(action, {"EndpointArn": "nonsense", **more}, ELEMENTS.format("EndpointArn", 1))
        slashes = "EndpointArn Reason: Wrong number of slashes in relative portion of the ARN."
        yield invalid(action, {"EndpointArn": arn("endpoint/GCM/errors"), **more}, slashes)
        if action != "DeleteEndpoint":
            none = arn("endpoint/GCM/errors/00000000-0000-0000-0000-000000000000")
            yield action, {"EndpointArn": none, **more}, "NotFound", "Endpoint does not exist"
    for name in ("PlatformPrincipal", "PlatformCredential", "InvalidKey"):
        text = f"Attributes Reason: Invalid attribute name: {name}"
        yield invalid("CreatePlatformEndpoint", {"PlatformApplicationArn": "{application}", "Token": "n", "Attributes": {name: "x"}}, text)
        yield invalid("SetEndpointAttributes", {"EndpointArn": "{endpoint}", "Attributes": {name: "x"}}, text)
    text = "Attributes Reason: Invalid value for attribute: CustomUserData: must be at most 2048 bytes long in UTF-8 encoding"
    new = {"PlatformApplicationArn": "{application}", "Token": "n"}
    yield invalid("CreatePlatformEndpoint", {**new, "CustomUserData": "ä" * 1_025}, text)
    yield invalid("SetEndpointAttributes", {"EndpointArn": "{endpoint}", "Attributes": {"CustomUserData": "a" * 2_049}}, text)
    for more in ({}, {"CustomUserData": "other"}, {"CustomUserData": "data", "Attributes": {"Enabled": "false"}}):
        text = "Token Reason: Endpoint {endpoint} already exists with the same Token, but different attributes."
        yield invalid("CreatePlatformEndpoint", {"PlatformApplicationArn": "{application}", "Token": "token", **more}, text)
    yield "CreatePlatformEndpoint", {"PlatformApplicationArn": "{application}"}, "ValidationError", NULL.format("token")
    for action, name in (("SetPlatformApplicationAttributes", "application"), ("SetEndpointAttributes", "endpoint")):
        member = "PlatformApplicationArn" if name == "application" else "EndpointArn"
        yield action, {member: f"{{{name}}}"}, "ValidationError", NULL.format("attributes")


def texts():
    for name, text in (
        ("InvalidAttribute", "InvalidAttribute is not a valid attribute"),
        ("DefaultSendID", "DefaultSendID is not a valid attribute"),
        ("DefaultSMSType", "DefaultSMSType is invalid"),
        ("DefaultSenderID", "DefaultSenderID is invalid"),
        ("MonthlySpendLimit", "MonthlySpendLimit is invalid"),
    ):
        yield whole("SetSMSAttributes", {"attributes": {name: "not one of them"}}, text)
    yield whole("GetSMSAttributes", {"attributes": ["InvalidAttribute"]}, "InvalidAttribute is not a valid attribute")
    yield "SetSMSAttributes", {}, "ValidationError", NULL.format("attributes")
    incorrect = "PhoneNumber Reason: input incorrectly formatted"
    for action in ("CheckIfPhoneNumberIsOptedOut", "OptInPhoneNumber"):
        for number in ("1", "nonsense", "+0123456", "+" + "1" * 16):
            yield invalid(action, {"phoneNumber": number}, incorrect)
        yield action, {}, "ValidationError", NULL.format("phoneNumber")
    yield "OptInPhoneNumber", {"phoneNumber": "+15550000002"}, "Throttled", None
    yield "CreateSMSSandboxPhoneNumber", {"PhoneNumber": "+15550000001"}, "OptedOut", None
    for action in ("CreateSMSSandboxPhoneNumber", "DeleteSMSSandboxPhoneNumber", "VerifySMSSandboxPhoneNumber"):
        more = {"OneTimePassword": "123456"} if action.startswith("Verify") else {}
        yield action, {"PhoneNumber": "nonsense", **more}, "ValidationError", None
        if action != "CreateSMSSandboxPhoneNumber":
            yield action, {"PhoneNumber": "+15550000199", **more}, "ResourceNotFound", None
    yield "CreateSMSSandboxPhoneNumber", {"PhoneNumber": "+15550000101", "LanguageCode": "xx-XX"}, "ValidationError", None
    wrong = {"PhoneNumber": "+15550000100", "OneTimePassword": "00000"}
    yield "VerifySMSSandboxPhoneNumber", wrong, "VerificationException", None
    yield "VerifySMSSandboxPhoneNumber", {**wrong, "OneTimePassword": "12ab"}, "ValidationError", None
    yield "CreateSMSSandboxPhoneNumber", {"PhoneNumber": "+15550000110"}, "UserError", None
    for count in (0, 101):
        yield "ListSMSSandboxPhoneNumbers", {"MaxResults": count}, "ValidationError", None
    for count in (0, 31):
        yield "ListOriginationNumbers", {"MaxResults": count}, "ValidationError", None


def tags():
    tag = {"Key": "a", "Value": "b"}
    of = lambda *tags, where="{plain}": {"ResourceArn": where, "Tags": list(tags)}
    twice = "Duplicated keys are not allowed."
    yield invalid("TagResource", of(tag, tag), twice)
    yield invalid("CreateTopic", {"Name": "n", "Tags": [tag, tag]}, twice)
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    yield "TagResource", of(*many), "TagLimitExceeded", None
    yield "TagResource", of(tag, where="{full}"), "TagLimitExceeded", None
    yield "CreateTopic", {"Name": "n", "Tags": many}, "TagLimitExceeded", None
    yield invalid("TagResource", of({"Key": "aws:a", "Value": "b"}), None)
    for bad in ({"Key": "", "Value": ""}, {"Key": "a" * 129, "Value": ""}, {"Key": "a", "Value": "a" * 257}, {"Key": "a"}, {"Value": "a"}):
        yield "TagResource", of(bad), "ValidationError", None
    yield "TagResource", {"ResourceArn": "{plain}"}, "ValidationError", NULL.format("tags")
    yield "UntagResource", {"ResourceArn": "{plain}"}, "ValidationError", NULL.format("tagKeys")
    for action, more in (("TagResource", {"Tags": [tag]}), ("UntagResource", {"TagKeys": ["a"]}), ("ListTagsForResource", {})):
        yield action, {"ResourceArn": arn("none"), **more}, "ResourceNotFound", "Resource does not exist"
        yield invalid(action, {"ResourceArn": "nonsense", **more}, ELEMENTS.format("ResourceArn", 1))


def data_protection():
    of = lambda policy: ("PutDataProtectionPolicy", {"ResourceArn": "{plain}", "DataProtectionPolicy": policy})
    good = protection()
    for policy in (
        "nonsense",
        "{}",
        json.dumps({**good, "Version": "2012-10-17"}),
        json.dumps({**good, "Name": ""}),
        json.dumps({**good, "Statement": []}),
        json.dumps(protection(DataDirection="Sideways")),
        json.dumps(protection(Principal="*")),
        json.dumps(protection(DataIdentifier=["EmailAddress"])),
        json.dumps(protection(Operation={})),
        json.dumps(protection(Operation={"Deny": {}, "Audit": {}})),
        json.dumps(good) + " " * 30_720,
    ):
        yield invalid(*of(policy), None)
        yield invalid("CreateTopic", {"Name": "n", "DataProtectionPolicy": policy}, None)
    yield "PutDataProtectionPolicy", {"ResourceArn": "{plain}"}, "ValidationError", NULL.format("dataProtectionPolicy")
    for action, more in (("GetDataProtectionPolicy", {}), ("PutDataProtectionPolicy", {"DataProtectionPolicy": json.dumps(good)})):
        yield action, {"ResourceArn": arn("none"), **more}, "NotFound", "Topic does not exist"
        yield invalid(action, {"ResourceArn": "nonsense", **more}, ELEMENTS.format("ResourceArn", 1))


def fill(value, known):
    if not isinstance(value, str):
        return value
    for name, text in known.items():
        value = value.replace(f"{{{name}}}", text)
    return value


def check_errors():
    """Gives how many rows there are."""
    known, count = scene(), 0
    for action, parameters, code, text in rows():
        given = {name: fill(value, known) for name, value in parameters.items() if value is not None}
        answer = call(action, **given)
        where = (action, {name: str(value)[:200] for name, value in given.items()})
        assert (answer.status, answer.code) == (STATUS.get(code, 400), code), (where, code, answer)
        expected = fill(text, known)
        assert expected is None or answer.message == expected, (where, answer.message, expected)
        assert answer.message, (where, answer)
        count += 1
    return count + check_entries(known)


def check_entries(known):
    """Errors of single entries of a batch do not concern the others."""
    good, bad = {"Id": "good", "Message": "m"}, {"Id": "bad", "Message": "m"}
    count = 0
    for change, code in (
        ({"Message": ""}, "InvalidParameter"),
        ({"Subject": "a\nb"}, "InvalidParameter"),
        ({"MessageStructure": "json"}, "InvalidParameter"),
        ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a^b": STRING}}, "ParameterValueInvalid"),
    ):
        answer = ok("PublishBatch", TopicArn=known["plain"], PublishBatchRequestEntries=[good, {**bad, **change}])
        assert [entry["Id"] for entry in answer["Successful"]] == ["good"], answer
        assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]] == [("bad", code, True)], answer
        count += 1
    return count
