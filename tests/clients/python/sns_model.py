"""What SNS takes and gives, compared with botocore's service model: every member of every action."""

import json

import sns_direct
from aws_wire import ACCOUNT, queue
from aws_wire import arn as queue_arn
from sns_wire import MODEL, arn, call, ok, topic
from sqs_model import all_members, fits

# Errors of the model that nothing here gives, and why.
NEVER = {
    "ConcurrentAccessException": "changes of tags follow one another",
    "FilterPolicyLimitExceededException": "there is no limit of filter policies",
    "InternalErrorException": "would be a defect",
    "InvalidSecurityException": "SigV4 errors say more",
    "InvalidStateException": "nothing has such a state",
    "KMSAccessDeniedException": "no KMS",
    "KMSDisabledException": "no KMS",
    "KMSInvalidStateException": "no KMS",
    "KMSNotFoundException": "no KMS",
    "KMSOptInRequired": "no KMS",
    "KMSThrottlingException": "no KMS",
    "ReplayLimitExceededException": "no replays",
    "StaleTagException": "changes of tags follow one another",
    "SubscriptionLimitExceededException": "there is no limit of subscriptions",
    "TagPolicyException": "no tag policies",
    "TopicLimitExceededException": "there is no limit of topics",
    "ValidationException": "SNS's code on the wire is ValidationError",
}


def good_requests():
    """For each action a request that succeeds, made when it is its turn."""
    plain, fifo = topic("model"), topic("model.fifo", FifoTopic="true")
    queue("model-sns")
    value = {"DataType": "String", "StringValue": "v"}
    binary = {"DataType": "Binary", "BinaryValue": "AA=="}
    attributes = {"MessageAttributes": {"a": value, "b": binary}}
    more = {"Message": '{"default":"m"}', "MessageStructure": "json", "Subject": "s", **attributes}
    policy = json.dumps(
        {
            "Name": "n",
            "Version": "2021-06-01",
            "Statement": [
                {
                    "DataDirection": "Inbound",
                    "Principal": ["*"],
                    "DataIdentifier": ["arn:aws:dataprotection::aws:data-identifier/EmailAddress"],
                    "Operation": {"Deny": {}},
                }
            ],
        }
    )
    tags = [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
    made = {"Name": "model-new", "Attributes": {"DisplayName": "d"}, "Tags": tags, "DataProtectionPolicy": policy}
    yield "CreateTopic", made
    yield "GetDataProtectionPolicy", {"ResourceArn": arn("model-new")}
    yield "PutDataProtectionPolicy", {"ResourceArn": arn("model-new"), "DataProtectionPolicy": policy}
    yield "TagResource", {"ResourceArn": plain, "Tags": tags}
    yield "ListTagsForResource", {"ResourceArn": plain}
    yield "UntagResource", {"ResourceArn": plain, "TagKeys": ["a"]}
    yield "SetTopicAttributes", {"TopicArn": plain, "AttributeName": "DisplayName", "AttributeValue": "d"}
    yield "GetTopicAttributes", {"TopicArn": fifo}
    yield "AddPermission", {"TopicArn": plain, "Label": "l", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"]}
    yield "RemovePermission", {"TopicArn": plain, "Label": "l"}
    for number in range(101):
        topic(f"model-page-{number}")
    yield "ListTopics", {"NextToken": ok("ListTopics")["NextToken"]}
    yield "ListTopics", {}
    to_queue = {"Protocol": "sqs", "Endpoint": queue_arn("model-sns"), "Attributes": {"RawMessageDelivery": "true"}}
    yield "Subscribe", {"TopicArn": plain, **to_queue}
    mail = {"TopicArn": plain, "Protocol": "email", "Endpoint": "somebody@example.com"}
    yield "Subscribe", {**mail, "ReturnSubscriptionArn": True, "Attributes": {"FilterPolicyScope": "MessageBody"}}
    yield "ListSubscriptions", {}
    yield "ListSubscriptionsByTopic", {"TopicArn": plain}
    one = ok("ListSubscriptionsByTopic", TopicArn=plain)["Subscriptions"]
    subscription = next(one["SubscriptionArn"] for one in one if one["Protocol"] == "sqs")
    yield "SetSubscriptionAttributes", {"SubscriptionArn": subscription, "AttributeName": "RawMessageDelivery", "AttributeValue": "true"}
    yield "GetSubscriptionAttributes", {"SubscriptionArn": subscription}
    yield "Publish", {"TopicArn": plain, "MessageGroupId": "g", **more}
    yield "Publish", {"TopicArn": fifo, "MessageGroupId": "g", "MessageDeduplicationId": "d", **more}
    yield "PublishBatch", {
        "TopicArn": fifo,
        "PublishBatchRequestEntries": [{"Id": "1", "MessageGroupId": "g", "MessageDeduplicationId": "e", **more}],
    }
    yield "Unsubscribe", {"SubscriptionArn": subscription}
    yield "DeleteTopic", {"TopicArn": arn("model-new")}
    yield from mobile_requests()
    yield from text_requests()


def mobile_requests():
    yield "CreatePlatformApplication", {"Name": "model", "Platform": "GCM", "Attributes": {"PlatformCredential": "c"}}
    application = {"PlatformApplicationArn": arn("app/GCM/model")}
    yield "SetPlatformApplicationAttributes", {**application, "Attributes": {"EventEndpointCreated": arn("model")}}
    yield "GetPlatformApplicationAttributes", application
    for number in range(101):
        ok("CreatePlatformApplication", Name=f"model-{number}", Platform="GCM", Attributes={"PlatformCredential": "c"})
        ok("CreatePlatformEndpoint", **application, Token=f"token {number}")
    yield "ListPlatformApplications", {"NextToken": ok("ListPlatformApplications")["NextToken"]}
    yield "ListPlatformApplications", {}
    new = {"Token": "t", "CustomUserData": "u", "Attributes": {"Enabled": "true"}}
    yield "CreatePlatformEndpoint", {**application, **new}
    endpoint = {"EndpointArn": ok("CreatePlatformEndpoint", **application, **new)["EndpointArn"]}
    yield "SetEndpointAttributes", {**endpoint, "Attributes": {"CustomUserData": "v"}}
    yield "GetEndpointAttributes", endpoint
    token = ok("ListEndpointsByPlatformApplication", **application)["NextToken"]
    yield "ListEndpointsByPlatformApplication", {**application, "NextToken": token}
    yield "ListEndpointsByPlatformApplication", application
    yield "Publish", {"TargetArn": endpoint["EndpointArn"], "Message": "m"}
    yield "DeleteEndpoint", endpoint
    yield "DeletePlatformApplication", {"PlatformApplicationArn": arn("app/GCM/model-0")}


def text_requests():
    yield "SetSMSAttributes", {"attributes": {"DefaultSMSType": "Transactional", "MonthlySpendLimit": "1"}}
    yield "GetSMSAttributes", {"attributes": ["DefaultSMSType"]}
    number = {"phoneNumber": "+4915123456789"}
    yield "CheckIfPhoneNumberIsOptedOut", number
    yield "OptInPhoneNumber", number
    for last in range(101):
        call("OptOutPhoneNumber", phoneNumber=f"+49151234{last:05}")
    yield "ListPhoneNumbersOptedOut", {"nextToken": ok("ListPhoneNumbersOptedOut")["nextToken"]}
    yield "ListPhoneNumbersOptedOut", {}
    yield "Publish", {"PhoneNumber": "+4915123456789", "Message": "m"}
    yield "GetSMSSandboxAccountStatus", {}
    for one in ok("ListSMSSandboxPhoneNumbers")["PhoneNumbers"]:
        ok("DeleteSMSSandboxPhoneNumber", PhoneNumber=one["PhoneNumber"])
    box = {"PhoneNumber": "+4915123456780"}
    yield "CreateSMSSandboxPhoneNumber", {**box, "LanguageCode": "de-DE"}
    ok("CreateSMSSandboxPhoneNumber", PhoneNumber="+4915123456781")
    yield "ListSMSSandboxPhoneNumbers", {"MaxResults": 1}
    yield "ListSMSSandboxPhoneNumbers", {"NextToken": ok("ListSMSSandboxPhoneNumbers", MaxResults=1)["NextToken"]}
    yield "ListOriginationNumbers", {"MaxResults": 30, "NextToken": ""}
    yield "VerifySMSSandboxPhoneNumber", {**box, "OneTimePassword": password_of(box["PhoneNumber"])}
    yield "DeleteSMSSandboxPhoneNumber", {"PhoneNumber": "+4915123456781"}


def password_of(number):
    """What was sent to the number last, as the sink shows it."""
    # The spoilt requests before the good one have sent one, too.
    return sns_direct.wait_for(number)[-1]["Message"].rpartition(" ")[2].rstrip(".")


def wrong_for(shape):
    """A value that nobody who looks at it takes for that."""
    if shape.type_name in ("list", "map", "structure"):
        return "nonsense"
    return "nonsense" if shape.type_name == "integer" else {"nonsense": "nonsense"}


def spoilt(shape, value):
    """The request with one member of a wrong type, for each member of the model: whoever reads it complains."""
    for name, member in shape.members.items():
        yield f"{shape.name}.{name}", {**value, name: wrong_for(member)}
        inner = value.get(name)
        if inner and member.type_name == "list" and member.member.type_name == "structure":
            for spot, changed in spoilt(member.member, inner[0]):
                yield spot, {**value, name: [changed]}
        if inner and member.type_name == "map" and member.value.type_name == "structure":
            key = next(iter(inner))
            for spot, changed in spoilt(member.value, inner[key]):
                yield spot, {**value, name: {key: changed}}


def is_read(action, request):
    answer = call(action, **request)
    return answer.status != 200 or bool(answer.result and answer.result.get("Failed"))


def elements(root):
    return {child.tag.rpartition("}")[2] for child in root} if root is not None else set()


def check_model():
    actions, members, count = set(), set(), 0
    for action, request in good_requests():
        operation = MODEL.operation_model(action)
        for where, bad in spoilt(operation.input_shape, request) if operation.input_shape else ():
            # A request need not look at what it has no use for: a text message at the topic.
            if is_read(action, bad):
                members.add(where)
        answer = call(action, **request)
        assert answer.status == 200, (action, request, answer)
        if operation.output_shape:
            assert answer.element is not None, (action, answer)
            assert elements(answer.element) <= set(operation.output_shape.members), (action, answer)
            fits(operation.output_shape, answer.result, action)
        else:
            assert answer.element is None, (action, answer)
        count += 1
        actions.add(action)
    every = set(MODEL.operation_names) - {"ConfirmSubscription"}
    assert actions == every, (every - actions, actions - every)
    inputs = [MODEL.operation_model(name).input_shape for name in every]
    known = set().union(*(all_members(shape) for shape in inputs if shape))
    assert known <= members, ("not read", known - members)
    return count + len(known)


def check_errors_of_model(seen):
    """Every error of the model is given by something, or is known not to be; and no other is given."""
    errors = {shape for name in MODEL.operation_names for shape in MODEL.operation_model(name).error_shapes}
    codes = {shape.name: shape.metadata.get("error", {}).get("code", shape.name) for shape in errors}
    given = {name for name, code in codes.items() if code in seen}
    assert set(codes) - given == set(NEVER), (set(codes) - given - set(NEVER), set(NEVER) & given)
    # Errors of all AWS services, or that the model writes otherwise.
    common = {"ValidationError", "MalformedInput", "InvalidAction"}
    assert set(seen) - common <= set(codes.values()), set(seen) - common - set(codes.values())
    for code, status in seen.items():
        of_model = [shape.metadata["error"] for shape in errors if shape.metadata.get("error", {}).get("code") == code]
        assert all(one["httpStatusCode"] == status for one in of_model), (code, status)
    return len(codes)
