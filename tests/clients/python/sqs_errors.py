"""Every error that SQS gives for what a request says: a table, each row in both wire protocols.

A row is an action, its parameters, the code, and what the message is (None where AWS's is not known). `{q}`, `{fifo}` and `{dead}` are
the URLs of the scene's queues.
"""

import json

from aws_wire import ACCOUNT, ENDPOINT, PROTOCOLS, arn, call_json, handle, letters_to, ok, queue

LONG = "a" * 129
BODY_MAX = 1_048_576
ENTRY = {"Id": "1", "MessageBody": "m"}
SIMPLE = "AWS.SimpleQueueService."
MISSING = "The request must contain the parameter {}."
GROUP = "Value {} for parameter {} is invalid. Reason: {} can only include alphanumeric and punctuation characters. 1 to 128 in length."
TYPE = "Value {} for parameter {} is invalid. Reason: The request include parameter that is not valid for this queue type."
RECEIVE = "Value {} for parameter {} is invalid. Reason: {}"
ALREADY = "A queue already exists with the same name and a different value for attribute {}"
ONLY_FIFO = "You can specify the {} only when FifoQueue is set to true."
RESOURCE = "The resource that you specified for the {} parameter doesn't exist."
NO_QUEUE = {"JSON": "The specified queue does not exist.", "Query": "The specified queue does not exist for this wsdl version."}
FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to"
    " 80 in length"
)
NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
BATCH_ID = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
CONTENTS = (
    "Invalid binary character was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000"
    " to #xFFFD | #x10000 to #x10FFFF"
)

WITH_URL = {
    "AddPermission": {"Label": "l", "AWSAccountIds": [ACCOUNT], "Actions": ["SendMessage"]},
    "ChangeMessageVisibility": {"ReceiptHandle": "r", "VisibilityTimeout": 1},
    "ChangeMessageVisibilityBatch": {"Entries": [{"Id": "1", "ReceiptHandle": "r", "VisibilityTimeout": 1}]},
    "DeleteMessage": {"ReceiptHandle": "r"},
    "DeleteMessageBatch": {"Entries": [{"Id": "1", "ReceiptHandle": "r"}]},
    "DeleteQueue": {},
    "GetQueueAttributes": {},
    "ListDeadLetterSourceQueues": {},
    "ListQueueTags": {},
    "PurgeQueue": {},
    "ReceiveMessage": {},
    "RemovePermission": {"Label": "l"},
    "SendMessage": {"MessageBody": "m"},
    "SendMessageBatch": {"Entries": [ENTRY]},
    "SetQueueAttributes": {"Attributes": {"DelaySeconds": "1"}},
    "TagQueue": {"Tags": {"a": "b"}},
    "UntagQueue": {"TagKeys": ["a"]},
}


def rows():
    for action, parameters in WITH_URL.items():
        yield action, parameters, "MissingParameter", MISSING.format("QueueUrl")
        for url in (f"{ENDPOINT}/{ACCOUNT}/none", f"{ENDPOINT}/111111111111/q"):
            yield action, {**parameters, "QueueUrl": url}, SIMPLE + "NonExistentQueue", NO_QUEUE
    yield from queues()
    yield from attributes()
    yield from messages()
    yield from receives()
    yield from batches()
    yield from policies()
    yield from dead_letters()
    yield from moves()


def queues():
    for name, is_fifo, text in (
        ("", False, None),
        ("a.b", False, NAME),
        ("a" * 81, False, NAME),
        ("a b", False, NAME),
        ("n.fifo", False, NAME),
        ("n", True, FIFO_NAME),
        (".fifo", True, FIFO_NAME),
        ("a" * 76 + ".fifo", True, FIFO_NAME),
    ):
        given = {"QueueName": name, "Attributes": {"FifoQueue": "true"} if is_fifo else None}
        code = "InvalidParameterValue" if name else "MissingParameter"
        yield "CreateQueue", given, code, text or MISSING.format("QueueName")
    for name, value in (("DelaySeconds", "7"), ("VisibilityTimeout", "7"), ("MaximumMessageSize", "2048"), ("KmsMasterKeyId", "k")):
        yield "CreateQueue", {"QueueName": "q", "Attributes": {name: value}}, "QueueAlreadyExists", ALREADY.format(name)
    content = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    yield "CreateQueue", {"QueueName": "q.fifo", "Attributes": content}, "QueueAlreadyExists", ALREADY.format("ContentBasedDeduplication")
    yield "CreateQueue", {"QueueName": "deleted"}, SIMPLE + "QueueDeletedRecently", (
        "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    )
    yield "GetQueueUrl", {}, "MissingParameter", MISSING.format("QueueName")
    yield "GetQueueUrl", {"QueueName": "none"}, SIMPLE + "NonExistentQueue", NO_QUEUE
    yield "GetQueueUrl", {"QueueName": "q", "QueueOwnerAWSAccountId": "111111111111"}, SIMPLE + "NonExistentQueue", NO_QUEUE
    yield "PurgeQueue", {"QueueUrl": "{purged}"}, SIMPLE + "PurgeQueueInProgress", (
        "Only one PurgeQueue operation on purged is allowed every 60 seconds."
    )
    for action, url in (("ListQueues", None), ("ListDeadLetterSourceQueues", "{q}")):
        for count in (0, 1_001, -1):
            text = RECEIVE.format(count, "MaxResults", "MaxResults must be an integer between 1 and 1000")
            yield action, {"QueueUrl": url, "MaxResults": count}, "InvalidParameterValue", text
        yield action, {"QueueUrl": url, "NextToken": "nonsense"}, "InvalidParameterValue", "Invalid or expired next token."
    yield "TagQueue", {"QueueUrl": "{q}"}, "MissingParameter", MISSING.format("Tags")
    tags = {f"key{number}": "value" for number in range(51)}
    yield "TagQueue", {"QueueUrl": "{q}", "Tags": tags}, "InvalidParameterValue", "Too many tags added for queue q."
    for tag in ({"aws:a": "v"}, {"AWS:a": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}):
        yield "TagQueue", {"QueueUrl": "{q}", "Tags": tag}, "InvalidParameterValue", None
        yield "CreateQueue", {"QueueName": "n", "tags": tag}, "InvalidParameterValue", None
    yield "Nonsense", {}, "InvalidAction", "The action Nonsense is not valid for this endpoint."


def attributes():
    bounds = {
        "DelaySeconds": (0, 900),
        "KmsDataKeyReusePeriodSeconds": (60, 86_400),
        "MaximumMessageSize": (1_024, BODY_MAX),
        "MessageRetentionPeriod": (60, 1_209_600),
        "ReceiveMessageWaitTimeSeconds": (0, 20),
        "VisibilityTimeout": (0, 43_200),
    }
    for name, (low, high) in bounds.items():
        for value in (low - 1, high + 1, "x"):
            given = {"QueueUrl": "{q}", "Attributes": {name: str(value)}}
            yield "SetQueueAttributes", given, "InvalidAttributeValue", f"Invalid value for the parameter {name}."
    for name in ("Nonsense", "QueueArn", "ApproximateNumberOfMessages", "CreatedTimestamp"):
        yield "SetQueueAttributes", {"QueueUrl": "{q}", "Attributes": {name: "1"}}, "InvalidAttributeName", f"Unknown Attribute {name}."
    yield "GetQueueAttributes", {"QueueUrl": "{q}", "AttributeNames": ["Nonsense"]}, "InvalidAttributeName", "Unknown Attribute Nonsense."
    yield "SetQueueAttributes", {"QueueUrl": "{q}"}, "MissingParameter", MISSING.format("Attributes")
    for name, text in (
        ("ContentBasedDeduplication", "Unknown Attribute ContentBasedDeduplication."),
        ("DeduplicationScope", ONLY_FIFO.format("DeduplicationScope")),
        ("FifoThroughputLimit", ONLY_FIFO.format("FifoThroughputLimit")),
    ):
        yield "SetQueueAttributes", {"QueueUrl": "{q}", "Attributes": {name: "true"}}, "InvalidAttributeName", text
    yield "CreateQueue", {"QueueName": "n", "Attributes": {"FifoQueue": "false"}}, "InvalidAttributeName", "Unknown Attribute FifoQueue."
    for name in ("ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"):
        given = {"QueueUrl": "{fifo}", "Attributes": {name: "maybe"}}
        yield "SetQueueAttributes", given, "InvalidAttributeValue", f"Invalid value for the parameter {name}."
    yield "SetQueueAttributes", {"QueueUrl": "{q}", "Attributes": {"FifoQueue": "true"}}, "InvalidAttributeName", "Unknown Attribute FifoQueue."
    yield "SetQueueAttributes", {"QueueUrl": "{fifo}", "Attributes": {"FifoQueue": "false"}}, "InvalidAttributeValue", (
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    )
    of_groups = {"FifoThroughputLimit": "perMessageGroupId"}
    text = "Invalid value for the parameter FifoThroughputLimit."
    yield "SetQueueAttributes", {"QueueUrl": "{fifo}", "Attributes": of_groups}, "InvalidAttributeValue", text
    for scope in ({}, {"DeduplicationScope": "queue"}):
        given = {"QueueName": "n.fifo", "Attributes": {"FifoQueue": "true", **of_groups, **scope}}
        yield "CreateQueue", given, "InvalidAttributeValue", text
    both = {"KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true"}
    text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
    yield "CreateQueue", {"QueueName": "n", "Attributes": both}, "InvalidAttributeName", text
    yield "SetQueueAttributes", {"QueueUrl": "{q}", "Attributes": both}, "InvalidAttributeName", text
    given = {"QueueUrl": "{q}", "Attributes": {"SqsManagedSseEnabled": "maybe"}}
    yield "SetQueueAttributes", given, "InvalidAttributeValue", "Invalid value for the parameter SqsManagedSseEnabled."


def messages():
    to = lambda url, **more: {"QueueUrl": url, "MessageBody": "m", **more}
    yield "SendMessage", {"QueueUrl": "{q}"}, "MissingParameter", MISSING.format("MessageBody")
    yield "SendMessage", to("{q}", MessageBody=""), "MissingParameter", MISSING.format("MessageBody")
    for url, size in (("{q}", BODY_MAX), ("{small}", 1_024)):
        text = f"One or more parameters are invalid. Reason: Message must be shorter than {size} bytes."
        yield "SendMessage", to(url, MessageBody="m" * (size + 1)), "InvalidParameterValue", text
    attribute = {"a": {"DataType": "String", "StringValue": "v"}}
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    yield "SendMessage", to("{small}", MessageBody="m" * 1_020, MessageAttributes=attribute), "InvalidParameterValue", text
    for body in ("\x00", "a\x0bb", "\ufffe", "\uffff"):
        yield "SendMessage", to("{q}", MessageBody=body), "InvalidMessageContents", CONTENTS
    for seconds in (-1, 901):
        text = RECEIVE.format(seconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
        yield "SendMessage", to("{q}", DelaySeconds=seconds), "InvalidParameterValue", text
    for value in ("", LONG, "group 123", "grüße"):
        text = GROUP.format(value, "MessageGroupId", "MessageGroupId")
        yield "SendMessage", to("{q}", MessageGroupId=value), "InvalidParameterValue", text
        text = GROUP.format(value, "MessageDeduplicationId", "MessageDeduplicationId")
        given = to("{fifo}", MessageGroupId="g", MessageDeduplicationId=value)
        yield "SendMessage", given, "InvalidParameterValue", text
    yield "SendMessage", to("{fifo}", MessageDeduplicationId="d"), "MissingParameter", MISSING.format("MessageGroupId")
    yield "SendMessage", to("{fifo}", MessageGroupId="g"), "InvalidParameterValue", (
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )
    given = to("{fifo}", MessageGroupId="g", MessageDeduplicationId="d", DelaySeconds=2)
    yield "SendMessage", given, "InvalidParameterValue", TYPE.format(2, "DelaySeconds")
    yield "SendMessage", to("{q}", MessageDeduplicationId="d"), "InvalidParameterValue", TYPE.format("d", "MessageDeduplicationId")
    for name, attribute in (
        ("a", {"DataType": "String", "StringValue": ""}),
        ("a", {"DataType": "String"}),
        ("a", {"StringValue": "v"}),
        ("a", {"DataType": "Nonsense", "StringValue": "v"}),
        ("a", {"DataType": "String.label", "StringValue": "a\x0bb"}),
        ("λ", {"DataType": "String", "StringValue": "v"}),
        (".a", {"DataType": "String", "StringValue": "v"}),
        ("a.", {"DataType": "String", "StringValue": "v"}),
        ("a..b", {"DataType": "String", "StringValue": "v"}),
        ("a b", {"DataType": "String", "StringValue": "v"}),
        ("AWS.a", {"DataType": "String", "StringValue": "v"}),
        ("amazon.a", {"DataType": "String", "StringValue": "v"}),
        ("a" * 257, {"DataType": "String", "StringValue": "v"}),
        ("a", {"DataType": "String", "BinaryValue": "AA=="}),
    ):
        text = f"Message (user) attribute '{name}' must contain a non-empty value of type 'String'."
        exact = text if attribute == {"DataType": "String", "StringValue": ""} else None
        yield "SendMessage", to("{q}", MessageAttributes={name: attribute}), "InvalidParameterValue", exact
    for value in ("many", "9" * 39, "1e127", "1e-129"):
        text = "Can't cast the value of message (user) attribute 'a' to a number."
        attribute = {"a": {"DataType": "Number", "StringValue": value}}
        yield "SendMessage", to("{q}", MessageAttributes=attribute), "InvalidParameterValue", text
    many = {f"a{number}": {"DataType": "String", "StringValue": "v"} for number in range(11)}
    yield "SendMessage", to("{q}", MessageAttributes=many), "InvalidParameterValue", None
    for name, attribute in (
        ("Nonsense", {"DataType": "String", "StringValue": "v"}),
        ("AWSTraceHeader", {"DataType": "Number", "StringValue": "1"}),
        ("AWSTraceHeader", {"DataType": "Binary", "BinaryValue": "AA=="}),
    ):
        yield "SendMessage", to("{q}", MessageSystemAttributes={name: attribute}), "InvalidParameterValue", None


def receives():
    of = lambda **more: {"QueueUrl": "{q}", **more}
    for name, values, reason in (
        ("MaxNumberOfMessages", (0, 11, -1), "Must be between 1 and 10, if provided."),
        ("WaitTimeSeconds", (-1, 21), "Must be >= 0 and <= 20, if provided."),
        ("VisibilityTimeout", (-1, 43_201), "Must be between 0 and 43200."),
    ):
        for value in values:
            yield "ReceiveMessage", of(**{name: value}), "InvalidParameterValue", RECEIVE.format(value, name, reason)
    yield "ReceiveMessage", of(AttributeNames=["Nonsense"]), "InvalidAttributeName", "Unknown Attribute Nonsense."
    yield "ReceiveMessage", of(MessageSystemAttributeNames=["Nonsense"]), "InvalidAttributeName", "Unknown Attribute Nonsense."
    yield "ReceiveMessage", of(ReceiveRequestAttemptId="a"), "InvalidParameterValue", TYPE.format("a", "ReceiveRequestAttemptId")
    for value in ("", LONG, "a b"):
        text = GROUP.format(value, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId")
        yield "ReceiveMessage", {"QueueUrl": "{fifo}", "ReceiveRequestAttemptId": value}, "InvalidParameterValue", text
    invalid = "The input receipt handle is invalid."
    for action, more in (("DeleteMessage", {}), ("ChangeMessageVisibility", {"VisibilityTimeout": 1})):
        yield action, of(**more), "MissingParameter", MISSING.format("ReceiptHandle")
        for receipt in ("nonsense", "{receipt of another}"):
            yield action, of(ReceiptHandle=receipt, **more), "ReceiptHandleIsInvalid", invalid
    yield "ChangeMessageVisibility", of(ReceiptHandle="{receipt}"), "MissingParameter", MISSING.format("VisibilityTimeout")
    for seconds in (-1, 43_201):
        text = RECEIVE.format(seconds, "VisibilityTimeout", "Must be between 0 and 43200.")
        yield "ChangeMessageVisibility", of(ReceiptHandle="{receipt}", VisibilityTimeout=seconds), "InvalidParameterValue", text
    yield "ChangeMessageVisibility", of(ReceiptHandle="{visible receipt}", VisibilityTimeout=1), SIMPLE + "MessageNotInflight", None
    yield "ChangeMessageVisibility", of(ReceiptHandle="{spent receipt}", VisibilityTimeout=1), "InvalidParameterValue", None


def batches():
    entries = {
        "SendMessageBatch": ENTRY,
        "DeleteMessageBatch": {"Id": "1", "ReceiptHandle": "r"},
        "ChangeMessageVisibilityBatch": {"Id": "1", "ReceiptHandle": "r", "VisibilityTimeout": 1},
    }
    for action, entry in entries.items():
        of = lambda *all: {"QueueUrl": "{q}", "Entries": list(all)}
        numbered = [{**entry, "Id": str(number)} for number in range(11)]
        yield action, of(), SIMPLE + "EmptyBatchRequest", "There should be at least one entry in the request."
        yield action, of(*numbered), SIMPLE + "TooManyEntriesInBatchRequest", (
            "Maximum number of entries per request are 10. You have sent 11."
        )
        yield action, of(entry, entry), SIMPLE + "BatchEntryIdsNotDistinct", "Id 1 repeated."
        for bad in ("a b", "a.b", "a" * 81):
            yield action, of({**entry, "Id": bad}), SIMPLE + "InvalidBatchEntryId", BATCH_ID
        yield action, of({**entry, "Id": ""}), "MissingParameter", MISSING.format("Id")
    half = "m" * (BODY_MAX // 2)
    given = {"QueueUrl": "{q}", "Entries": [{"Id": "1", "MessageBody": half}, {"Id": "2", "MessageBody": half + "m"}]}
    yield "SendMessageBatch", given, SIMPLE + "BatchRequestTooLong", (
        f"Batch requests cannot be longer than {BODY_MAX} bytes. You have sent {BODY_MAX + 1} bytes."
    )
    # The sum is bounded by the service, not by the queue.
    yield "SendMessageBatch", {**given, "QueueUrl": "{small}"}, SIMPLE + "BatchRequestTooLong", (
        f"Batch requests cannot be longer than {BODY_MAX} bytes. You have sent {BODY_MAX + 1} bytes."
    )
    # One entry of a FIFO queue that says too little refuses all of them.
    whole = {**ENTRY, "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    for absent, text in (
        ("MessageGroupId", MISSING.format("MessageGroupId")),
        ("MessageDeduplicationId", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"),
    ):
        poor = {name: value for name, value in {**whole, "Id": "2"}.items() if name != absent}
        yield "SendMessageBatch", {"QueueUrl": "{fifo}", "Entries": [whole, poor]}, "InvalidParameterValue", text


def policies():
    of = lambda **more: {"QueueUrl": "{q}", "Label": "label", "AWSAccountIds": [ACCOUNT], "Actions": ["SendMessage"], **more}
    yield "AddPermission", of(QueueUrl="{shared}", Label="crossaccountpermission"), "InvalidParameterValue", (
        "Value crossaccountpermission for parameter Label is invalid. Reason: Already exists."
    )
    yield "AddPermission", of(Label=None), "MissingParameter", MISSING.format("Label")
    for label in ("a b", "a" * 81):
        yield "AddPermission", of(Label=label), "InvalidParameterValue", None
    for accounts in ([], ["1"], [ACCOUNT, "alice"]):
        text = RECEIVE.format(f"[{', '.join(accounts)}]", "PrincipalId", "Unable to verify.")
        yield "AddPermission", of(AWSAccountIds=accounts), "InvalidParameterValue", text
    yield "AddPermission", of(Actions=[]), "MissingParameter", MISSING.format("Actions")
    for action in ("RemovePermission", "Nonsense", "SetQueueAttributes"):
        text = RECEIVE.format(f"SQS:{action}", "ActionName", "Only the queue owner is allowed to invoke this action.")
        yield "AddPermission", of(Actions=[action]), "InvalidParameterValue", text
    yield "AddPermission", of(Actions=["SendMessage"] * 8), "OverLimit", "8 Actions were found, maximum allowed is 7."
    yield "RemovePermission", {"QueueUrl": "{q}"}, "MissingParameter", MISSING.format("Label")
    yield "RemovePermission", {"QueueUrl": "{shared}", "Label": "crossaccountpermission2"}, "InvalidParameterValue", (
        "Value crossaccountpermission2 for parameter Label is invalid. Reason: can't find label."
    )
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn("q")}
    for policy in (
        "nonsense",
        "[]",
        "{}",
        json.dumps({"Statement": [{**statement, "Effect": "Maybe"}]}),
        json.dumps({"Statement": [{**statement, "Principal": "alice"}]}),
        json.dumps({"Statement": [{**statement, "Action": "s3:GetObject"}]}),
        json.dumps({"Statement": [{**statement, "Condition": {"Nonsense": {"a": "b"}}}]}),
        json.dumps({"Statement": [{**statement, "Resource": "orders"}]}),
        json.dumps({"Statement": [statement] * 21}),
        json.dumps({"Statement": []}),
        json.dumps({"Statement": [{**statement, "Action": "sqs:Foo"}]}),
        json.dumps({"Statement": [{**statement, "Action": ["sqs:SendMessage", "sqs:Foo*"]}]}),
        json.dumps({"Statement": [{**statement, "Sid": "one"}, {**statement, "Sid": "one"}]}),
        json.dumps({"Version": "2020-01-01", "Statement": [statement]}),
        json.dumps({"Statement": [statement]}) + " " * 8_192,
    ):
        given = {"QueueUrl": "{q}", "Attributes": {"Policy": policy}}
        yield "SetQueueAttributes", given, "InvalidAttributeValue", "Invalid value for the parameter Policy."
    denied = {
        "SendMessage": {"MessageBody": "m"},
        "SendMessageBatch": {"Entries": [ENTRY]},
        "ReceiveMessage": {},
        "PurgeQueue": {},
        "ListQueueTags": {},
    }
    for action, parameters in denied.items():
        name = action.removesuffix("Batch").lower()
        text = (
            f"User: arn:aws:iam::{ACCOUNT}:user/guest is not authorized to perform: sqs:{name} on resource: {arn('denied')} with an"
            " explicit deny in a resource-based policy"
        )
        yield action, {"QueueUrl": "{denied}", **parameters}, "AccessDenied", text


def dead_letters():
    def refused(policy, reason=None, name="RedrivePolicy", url="{q}"):
        policy = policy if isinstance(policy, str) else json.dumps(policy)
        text = RECEIVE.format(policy, name, reason) if reason else None
        return "SetQueueAttributes", {"QueueUrl": url, "Attributes": {name: policy}}, "InvalidParameterValue", text

    yield refused("nonsense", "Redrive policy is not a valid JSON map.")
    yield refused("[]", "Redrive policy is not a valid JSON map.")
    yield refused({"maxReceiveCount": 1}, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
    yield refused({"deadLetterTargetArn": arn("dead")}, "Redrive policy does not contain mandatory attribute: maxReceiveCount.")
    for count in (0, 1_001, "many"):
        shown = json.dumps(count)
        text = f"Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive."
        yield refused({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": count}, text)
    yield refused({"deadLetterTargetArn": "nonsense", "maxReceiveCount": 1})
    yield refused(letters_to("none"), "Dead letter target does not exist.")
    yield refused(letters_to("q.fifo"), "Dead-letter queue must be same type of queue as the source.")
    yield refused(letters_to("dead"), "Dead-letter queue must be same type of queue as the source.", url="{fifo}")
    for target in ("closed", "choosy"):
        yield refused(letters_to(target), "The dead-letter queue does not allow this queue to be a source queue.")
    for policy in (
        "nonsense",
        {},
        {"redrivePermission": "maybe"},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "byQueue", "sourceQueueArns": []},
        {"redrivePermission": "byQueue", "sourceQueueArns": [arn("q")] * 11},
        {"redrivePermission": "denyAll", "sourceQueueArns": [arn("q")]},
    ):
        yield refused(policy, name="RedriveAllowPolicy")


def moves():
    start, invalid = "StartMessageMoveTask", "InvalidParameterValue"
    missing = "ResourceNotFoundException"
    yield start, {}, "MissingParameter", MISSING.format("SourceArn")
    yield "ListMessageMoveTasks", {}, "MissingParameter", MISSING.format("SourceArn")
    for action in (start, "ListMessageMoveTasks"):
        for source in (arn("none"), "nonsense", "arn:aws:sqs:us-east-1:111111111111:dead"):
            yield action, {"SourceArn": source}, missing, RESOURCE.format("SourceArn")
    yield start, {"SourceArn": arn("dead"), "DestinationArn": arn("none")}, missing, RESOURCE.format("DestinationArn")
    yield start, {"SourceArn": arn("q")}, invalid, "Source queue must be configured as a Dead Letter Queue."
    yield start, {"SourceArn": arn("dead"), "DestinationArn": arn("dead")}, invalid, (
        "Source queue arn and destination queue arn cannot be the same."
    )
    yield start, {"SourceArn": arn("dead"), "DestinationArn": arn("q.fifo")}, invalid, None
    for rate in (0, 501, -1):
        yield start, {"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": rate}, invalid, (
            "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and 500."
        )
    for count in (0, 11):
        yield "ListMessageMoveTasks", {"SourceArn": arn("dead"), "MaxResults": count}, invalid, None
    yield start, {"SourceArn": arn("busy")}, invalid, (
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )
    cancel = "CancelMessageMoveTask"
    yield cancel, {}, "MissingParameter", MISSING.format("TaskHandle")
    yield cancel, {"TaskHandle": "nonsense"}, invalid, "Value for parameter TaskHandle is invalid."
    yield cancel, {"TaskHandle": handle(1, "dead")}, missing, "Task does not exist."
    yield cancel, {"TaskHandle": handle(1, "none")}, missing, RESOURCE.format("SourceArn")


STATUS = {"PurgeQueueInProgress": 403, "OverLimit": 403, "AccessDenied": 403, "ResourceNotFoundException": 404}


def scene():
    """Queues that the rows speak of, and the receipts of two messages: one in flight, one deleted."""
    urls = {name: queue(name) for name in ("q", "other", "dead", "purged", "shared", "denied", "deleted")}
    urls["fifo"] = queue("q.fifo", FifoQueue="true")
    urls["small"] = queue("small", MaximumMessageSize=1_024)
    urls["source"] = queue("source", RedrivePolicy=letters_to("dead"))
    queue("closed", RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"}))
    by_queue = {"redrivePermission": "byQueue", "sourceQueueArns": [arn("source")]}
    queue("choosy", RedriveAllowPolicy=json.dumps(by_queue))
    queue("busy")
    queue("busy-source", RedrivePolicy=letters_to("busy"))
    ok("SendMessageBatch", QueueUrl=f"{ENDPOINT}/{ACCOUNT}/busy", Entries=[{"Id": str(n), "MessageBody": "m"} for n in range(10)])
    slow = {"SourceArn": arn("busy"), "DestinationArn": arn("other"), "MaxNumberOfMessagesPerSecond": 1}
    ok("StartMessageMoveTask", **slow)
    ok("DeleteQueue", QueueUrl=urls["deleted"])
    ok("PurgeQueue", QueueUrl=urls["purged"])
    ok("AddPermission", QueueUrl=urls["shared"], Label="crossaccountpermission", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    deny = {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/guest"}, "Action": "sqs:*", "Resource": arn("denied")}
    ok("SetQueueAttributes", QueueUrl=urls["denied"], Attributes={"Policy": json.dumps({"Statement": [deny]})})
    receipts = []
    for name in ("q", "q", "source"):
        ok("SendMessage", QueueUrl=urls[name], MessageBody="m")
        received = ok("ReceiveMessage", QueueUrl=urls[name], VisibilityTimeout=3_600, WaitTimeSeconds=5)
        receipts.append(received["Messages"][0]["ReceiptHandle"])
    ok("DeleteMessage", QueueUrl=urls["q"], ReceiptHandle=receipts[1])
    ok("SendMessage", QueueUrl=urls["q"], MessageBody="m")
    visible = ok("ReceiveMessage", QueueUrl=urls["q"], VisibilityTimeout=0, WaitTimeSeconds=5)["Messages"][0]["ReceiptHandle"]
    known = {"receipt": receipts[0], "spent receipt": receipts[1], "receipt of another": receipts[2], "visible receipt": visible}
    return {**urls, **known}


def fill(value, known):
    if isinstance(value, str) and value.startswith("{") and value[1:-1] in known:
        return known[value[1:-1]]
    return value


def check_errors():
    known = scene()
    count = 0
    seen = {}
    for action, parameters, code, text in rows():
        for protocol, call in PROTOCOLS.items():
            given = {name: fill(value, known) for name, value in parameters.items() if value is not None}
            if protocol == "Query" and given.get("Entries") == []:
                given.pop("Entries")
            if protocol == "Query" and any("\x00" in str(value) for value in given.values()):
                pass
            answer = call(action, given)
            expected = text[protocol] if isinstance(text, dict) else text
            status = STATUS.get(code.removeprefix(SIMPLE), 400)
            where = (protocol, action, {name: str(value)[:200] for name, value in given.items()})
            assert (answer.status, answer.code) == (status, code), (where, answer)
            assert expected is None or answer.message == expected, (where, answer.message, expected)
            assert answer.message, (where, answer)
            if protocol == "JSON":
                seen.setdefault(answer.shape, set()).add(action)
            count += 1
    count += check_entries(known)
    return count, seen


def check_entries(known):
    """Errors of single entries of a batch do not concern the others."""
    good, bad = {"Id": "good", "MessageBody": "m"}, {"Id": "bad", "MessageBody": "m"}
    count = 0
    for change, code in (
        ({"MessageBody": "\x0b"}, "InvalidMessageContents"),
        ({"DelaySeconds": 901}, "InvalidParameterValue"),
        ({"MessageGroupId": "a b"}, "InvalidParameterValue"),
        ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, "InvalidParameterValue"),
    ):
        answer = call_json("SendMessageBatch", {"QueueUrl": known["q"], "Entries": [good, {**bad, **change}]}).result
        assert [entry["Id"] for entry in answer["Successful"]] == ["good"], answer
        failed = answer["Failed"]
        assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in failed] == [("bad", code, True)], answer
        count += 1
    entries = [{"Id": str(n), "MessageBody": "m" * size} for n, size in enumerate((1_024, 1_025, 1_000))]
    answer = call_json("SendMessageBatch", {"QueueUrl": known["small"], "Entries": entries}).result
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    assert answer["Failed"] == [{"Id": "1", "Code": "InvalidParameterValue", "Message": text, "SenderFault": True}], answer
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "2"], answer
    left = call_json("GetQueueAttributes", {"QueueUrl": known["fifo"], "AttributeNames": ["ApproximateNumberOfMessages"]}).result
    assert left["Attributes"]["ApproximateNumberOfMessages"] == "0", "refused batches have left nothing"
    count += 1
    for action, more in (("DeleteMessageBatch", {}), ("ChangeMessageVisibilityBatch", {"VisibilityTimeout": 60})):
        entries = [{"Id": "bad", "ReceiptHandle": "nonsense", **more}, {"Id": "good", "ReceiptHandle": known["receipt"], **more}]
        if action == "DeleteMessageBatch":
            entries = entries[:1]
        answer = call_json(action, {"QueueUrl": known["q"], "Entries": entries}).result
        assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")], answer
        count += 1
    return count
