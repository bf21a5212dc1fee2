"""Requests to the SQS endpoint as SDKs write them, without an SDK between: both wire protocols, and what came back."""

import base64
import http.client
import json
import os
import urllib.parse
import xml.etree.ElementTree as ElementTree

import botocore.loaders
import botocore.model

PORT = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
ENDPOINT = f"http://127.0.0.1:{PORT}"
ACCOUNT = "000000000000"
REGION = "us-east-1"
VERSION = "2012-11-05"
MODEL = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sqs", "service-2"), "sqs")
# What XML calls the elements of SQS's flat lists and maps, by the member that holds them.
FLAT = {
    "AttributeNames": "AttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "TagKeys": "TagKey",
    "Attributes": "Attribute",
    "Tags": "Tag",
    "tags": "Tag",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
}
SCOPE = f"AKID/20260102/{REGION}/sqs/aws4_request"
SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=00"}


class Answer:
    """Status, headers and body; of an error its code, text and (in JSON) shape."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.code = self.message = self.shape = None

    def __repr__(self):
        return f"{self.status} {self.code} {self.message!r} {self.body[:300]!r}"


def post(path, headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("POST", path, body, {**SIGNED, **headers})
    response = connection.getresponse()
    return Answer(response.status, dict((name.lower(), value) for name, value in response.getheaders()), response.read())


def call_json(action, parameters):
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AmazonSQS.{action}",
        "x-amzn-query-mode": "true",
    }
    answer = post("/", headers, json.dumps(parameters))
    assert answer.headers["content-type"] == "application/x-amz-json-1.0", answer.headers
    assert answer.headers["x-amzn-requestid"], answer.headers
    answer.result = json.loads(answer.body) if answer.body else {}
    if answer.status >= 300:
        answer.code, blame = answer.headers["x-amzn-query-error"].split(";")
        assert blame == ("Sender" if answer.status < 500 else "Receiver"), answer.headers
        answer.shape = answer.result["__type"].split("#")[1]
        answer.message = answer.result["message"]
    return answer


def flatten(action, prefix, parameters, into):
    for name, value in parameters.items():
        if value is None:
            continue
        if name == "Entries":
            name = f"{action}RequestEntry"
        else:
            name = FLAT.get(name, name) if isinstance(value, (dict, list)) else name
        put(action, prefix + name, value, into)
    return into


def put(action, name, value, into):
    if isinstance(value, list):
        for index, item in enumerate(value, 1):
            put(action, f"{name}.{index}", item, into)
    elif isinstance(value, dict) and name.rpartition(".")[2] in FLAT.values():
        key = "Key" if name.endswith("Tag") else "Name"
        for index, (entry, item) in enumerate(value.items(), 1):
            into.append((f"{name}.{index}.{key}", entry))
            put(action, f"{name}.{index}.Value", item, into)
    elif isinstance(value, dict):
        flatten(action, f"{name}.", value, into)
    else:
        into.append((name, value if isinstance(value, str) else json.dumps(value)))


def call_query(action, parameters):
    form = [("Action", action), ("Version", VERSION), *flatten(action, "", parameters, [])]
    answer = post("/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, urllib.parse.urlencode(form))
    assert answer.headers["content-type"] == "text/xml", answer.headers
    root = ElementTree.fromstring(answer.body)
    space = f"{{http://queue.amazonaws.com/doc/{VERSION}/}}"
    assert root.tag.startswith(space), root.tag
    if answer.status >= 300:
        assert root.tag == f"{space}ErrorResponse" and root.findtext(f"{space}RequestId"), answer
        error = root.find(f"{space}Error")
        answer.code, answer.message = error.findtext(f"{space}Code"), error.findtext(f"{space}Message")
        assert error.findtext(f"{space}Type") == ("Sender" if answer.status < 500 else "Receiver")
    else:
        assert root.tag == f"{space}{action}Response", root.tag
        assert root.findtext(f"{space}ResponseMetadata/{space}RequestId"), answer
        answer.result = root.find(f"{space}{action}Result")
        answer.space = space
    return answer


PROTOCOLS = {"JSON": call_json, "Query": call_query}


def ok(action, **parameters):
    answer = call_json(action, parameters)
    assert answer.status == 200, (action, parameters, answer)
    return answer.result


def queue(name, **attributes):
    return ok("CreateQueue", QueueName=name, Attributes={key: str(value) for key, value in attributes.items()})["QueueUrl"]


def arn(name):
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def letters_to(name, count=1):
    return json.dumps({"deadLetterTargetArn": arn(name), "maxReceiveCount": count})


def handle(number, source):
    return base64.b64encode(json.dumps({"taskId": str(number), "sourceArn": arn(source)}).encode()).decode()
