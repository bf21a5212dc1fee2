"""What SQS takes and gives, compared with botocore's service model: every member of every action."""

import json

from aws_wire import ACCOUNT, ENDPOINT, FLAT, MODEL, arn, call_json, call_query, letters_to, ok, queue

# Members that are not read, and why.
IGNORED = {
    "MessageAttributeValue.StringListValues": "SQS: not implemented, reserved for future use",
    "MessageAttributeValue.BinaryListValues": "SQS: not implemented, reserved for future use",
    "MessageSystemAttributeValue.StringListValues": "SQS: not implemented, reserved for future use",
    "MessageSystemAttributeValue.BinaryListValues": "SQS: not implemented, reserved for future use",
}
# Errors of the model that nothing here gives, and why.
NEVER = {
    "InvalidAddress": "SQS: the specified ID is invalid; what is asked for by that is missing here, and said to be",
    "InvalidIdFormat": "deprecated: SQS says ReceiptHandleIsInvalid",
    "InvalidSecurity": "SQS: the request was not made over HTTPS or SigV4; SigV4 errors say more",
    "KmsAccessDenied": "no KMS",
    "KmsDisabled": "no KMS",
    "KmsInvalidKeyUsage": "no KMS",
    "KmsInvalidState": "no KMS",
    "KmsNotFound": "no KMS",
    "KmsOptInRequired": "no KMS",
    "KmsThrottled": "no KMS",
    "RequestThrottled": "there are no quotas of requests",
    "UnsupportedOperation": "nothing is unsupported",
}
# Errors that an action gives though its model does not name them.
UNLISTED = {
    ("ReceiveMessage", "InvalidAttributeName"),
}


def good_requests():
    """For each action a request that succeeds, made when it is its turn."""
    url = queue("model", VisibilityTimeout=0)
    queue("model-dead")
    letters = queue("model-source", RedrivePolicy=letters_to("model-dead"))
    fifo = queue("model.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    send = {"QueueUrl": url, "MessageBody": "m", "DelaySeconds": 0}
    value = {"DataType": "String", "StringValue": "v"}
    binary = {"DataType": "Binary", "BinaryValue": "AA=="}
    more = {"MessageAttributes": {"a": value, "b": binary}, "MessageSystemAttributes": {"AWSTraceHeader": value}, "MessageGroupId": "g"}
    fair = {"QueueUrl": fifo, "MessageBody": "f", "MessageGroupId": "g", "MessageDeduplicationId": "d"}

    def receipts(count):
        got = []
        while len(got) < count:
            ok("SendMessage", **send)
            answer = ok("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600, WaitTimeSeconds=2)
            got += [message["ReceiptHandle"] for message in answer.get("Messages", [])]
        return got

    yield "CreateQueue", {"QueueName": "model-new", "Attributes": {"DelaySeconds": "1"}, "tags": {"a": "b"}}
    yield "GetQueueUrl", {"QueueName": "model", "QueueOwnerAWSAccountId": ACCOUNT}
    yield "ListQueues", {"QueueNamePrefix": "model", "MaxResults": 1}
    token = ok("ListQueues", QueueNamePrefix="model", MaxResults=1)["NextToken"]
    yield "ListQueues", {"QueueNamePrefix": "model", "MaxResults": 2, "NextToken": token}
    yield "TagQueue", {"QueueUrl": url, "Tags": {"a": "b", "c": "d"}}
    yield "ListQueueTags", {"QueueUrl": url}
    yield "UntagQueue", {"QueueUrl": url, "TagKeys": ["a"]}
    yield "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"DelaySeconds": "0"}}
    yield "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]}
    yield "AddPermission", {"QueueUrl": url, "Label": "l", "AWSAccountIds": [ACCOUNT], "Actions": ["SendMessage", "ReceiveMessage"]}
    yield "RemovePermission", {"QueueUrl": url, "Label": "l"}
    yield "SendMessage", {**send, **more}
    yield "SendMessage", fair
    yield "SendMessageBatch", {"QueueUrl": url, "Entries": [{"Id": "1", "MessageBody": "m", **more}, {"Id": "2", "MessageBody": "\x0b"}]}
    receive = {
        "QueueUrl": url,
        "AttributeNames": ["All"],
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
        "MaxNumberOfMessages": 10,
        "VisibilityTimeout": 0,
        "WaitTimeSeconds": 1,
    }
    yield "ReceiveMessage", receive
    yield "ReceiveMessage", {**receive, "QueueUrl": fifo, "ReceiveRequestAttemptId": "once"}
    one, two, three, four = receipts(4)[:4]
    yield "ChangeMessageVisibility", {"QueueUrl": url, "ReceiptHandle": one, "VisibilityTimeout": 60}
    entries = [{"Id": "1", "ReceiptHandle": two, "VisibilityTimeout": 60}, {"Id": "2", "ReceiptHandle": "x", "VisibilityTimeout": 1}]
    yield "ChangeMessageVisibilityBatch", {"QueueUrl": url, "Entries": entries}
    yield "DeleteMessage", {"QueueUrl": url, "ReceiptHandle": three}
    yield "DeleteMessageBatch", {"QueueUrl": url, "Entries": [{"Id": "1", "ReceiptHandle": four}, {"Id": "2", "ReceiptHandle": "x"}]}
    yield "ListDeadLetterSourceQueues", {"QueueUrl": f"{ENDPOINT}/{ACCOUNT}/model-dead", "MaxResults": 1}
    for number in range(5):
        ok("SendMessage", QueueUrl=f"{ENDPOINT}/{ACCOUNT}/model-dead", MessageBody=str(number))
    start = {"SourceArn": arn("model-dead"), "DestinationArn": arn("model-source"), "MaxNumberOfMessagesPerSecond": 1}
    yield "StartMessageMoveTask", start
    yield "ListMessageMoveTasks", {"SourceArn": arn("model-dead"), "MaxResults": 10}
    handle = ok("ListMessageMoveTasks", SourceArn=arn("model-dead"))["Results"][0]["TaskHandle"]
    yield "CancelMessageMoveTask", {"TaskHandle": handle}
    yield "PurgeQueue", {"QueueUrl": url}
    yield "DeleteQueue", {"QueueUrl": letters}


PYTHON = {"string": str, "integer": int, "long": int, "boolean": bool, "blob": str}


def fits(shape, value, path):
    """The value is what the model says; gives the members that were seen."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), (path, value)
        unknown = set(value) - set(shape.members)
        missing = set(shape.required_members) - set(value)
        # What is empty is left out, as AWS does.
        missing = {name for name in missing if shape.members[name].type_name not in ("list", "map")}
        assert not unknown and not missing, (path, unknown, missing)
        seen = {f"{shape.name}.{name}" for name in value}
        return seen.union(*(fits(shape.members[name], item, f"{path}.{name}") for name, item in value.items()))
    if shape.type_name == "list":
        assert isinstance(value, list), (path, value)
        return set().union(*(fits(shape.member, item, path) for item in value))
    if shape.type_name == "map":
        assert isinstance(value, dict), (path, value)
        return set().union(*(fits(shape.value, item, path) for item in value.values()))
    assert type(value) is PYTHON[shape.type_name], (path, shape.type_name, value)
    return set()


def all_members(shape):
    if shape.type_name == "structure":
        own = {f"{shape.name}.{name}" for name in shape.members}
        return own.union(*(all_members(member) for member in shape.members.values()))
    if shape.type_name == "list":
        return all_members(shape.member)
    if shape.type_name == "map":
        return all_members(shape.value)
    return set()


def elements(shape):
    """What XML calls the members of a structure's element."""
    for name, member in shape.members.items():
        yield FLAT.get(name) or {"QueueUrls": "QueueUrl", "queueUrls": "QueueUrl"}.get(name) or (
            member.member.name if member.type_name == "list" else name
        )


def wrong_for(shape):
    """A value that nobody who looks at it takes for that."""
    return {"nonsense": []} if shape.type_name in ("list", "string", "blob", "integer") else [[]]


def spoilt(shape, value, path=()):
    """The request with one member of a wrong type, for each member of the model: whoever reads it complains."""
    for name, member in shape.members.items():
        where = f"{shape.name}.{name}"
        if where in IGNORED:
            continue
        yield where, {**value, name: wrong_for(member)}
        inner = value.get(name)
        if not inner:
            continue
        if member.type_name == "list" and member.member.type_name == "structure":
            for spot, changed in spoilt(member.member, inner[0]):
                yield spot, {**value, name: [changed]}
        if member.type_name == "map" and member.value.type_name == "structure":
            key = next(iter(inner))
            for spot, changed in spoilt(member.value, inner[key]):
                yield spot, {**value, name: {key: changed}}


def complains(action, where, request):
    answer = call_json(action, request)
    if answer.status == 200:
        failed = answer.result.get("Failed", [])
        assert any(entry["Code"] == "MalformedInput" for entry in failed), (action, where, "is not read", answer)
    else:
        assert answer.code == "MalformedInput" and answer.shape == "SerializationException", (action, where, answer)


def check_model():
    actions, members, count = set(), set(), 0
    for action, request in good_requests():
        operation = MODEL.operation_model(action)
        known = set(all_members(operation.input_shape))
        assert all(f"{operation.input_shape.name}.{name}" in known for name in request), (action, request)
        for where, bad in spoilt(operation.input_shape, request):
            complains(action, where, bad)
            members.add(where)
            count += 1
        if operation.output_shape:
            as_json = call_json(action, request)
            assert as_json.status == 200, (action, as_json)
            fits(operation.output_shape, as_json.result, action)
            count += 1
        is_repeatable = action not in ("StartMessageMoveTask", "CancelMessageMoveTask", "RemovePermission", "DeleteQueue", "PurgeQueue")
        if is_repeatable and "\x0b" not in json.dumps(request).encode().decode("unicode_escape"):
            if action == "AddPermission":
                request = {**request, "Label": "query"}
            as_query = call_query(action, request)
            assert as_query.status == 200, (action, as_query)
            if operation.output_shape:
                allowed = set(elements(operation.output_shape))
                found = {child.tag.removeprefix(as_query.space) for child in as_query.result}
                assert found <= allowed, (action, found - allowed)
            else:
                assert as_query.result is None, (action, as_query)
            count += 1
        if not operation.output_shape and action not in ("AddPermission",):
            # What has just been done need not be possible again.
            if not is_repeatable:
                assert call_json(action, request).status in (200, 400, 403), action
        actions.add(action)
    every = set(MODEL.operation_names)
    assert actions == every, (every - actions, actions - every)
    inputs = set().union(*(all_members(MODEL.operation_model(name).input_shape) for name in every))
    assert inputs - members == set(IGNORED) & inputs, inputs - members - set(IGNORED)
    return count


def check_errors_of_model(seen):
    """Every error shape of the model is given by something, or is known not to be; no shape is given that the model has not."""
    shapes = {shape.name for name in MODEL.operation_names for shape in MODEL.operation_model(name).error_shapes}
    # Errors of all AWS services, which no model lists.
    common = {
        "AccessDeniedException",
        "InvalidParameterValueException",
        "MissingRequiredParameterException",
        "UnknownOperationException",
    }
    assert set(seen) - common <= shapes, set(seen) - common - shapes
    assert shapes - set(seen) == set(NEVER) & shapes, (shapes - set(seen) - set(NEVER), set(NEVER) & set(seen))
    unlisted = []
    for shape, actions in seen.items():
        for action in actions & set(MODEL.operation_names) if shape in shapes else ():
            listed = {error.name for error in MODEL.operation_model(action).error_shapes}
            unlisted += [(action, shape)] if shape not in listed else []
    assert set(unlisted) == UNLISTED, unlisted
    return len(shapes)
