"""Requests to the SNS endpoint as SDKs write them, without an SDK between, and answers read by botocore's own parser."""

import urllib.parse
import xml.etree.ElementTree as ElementTree

import botocore.loaders
import botocore.model
import botocore.parsers

from aws_wire import ACCOUNT, REGION, post

VERSION = "2010-03-31"
MODEL = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sns", "service-2"), "sns")
PARSER = botocore.parsers.create_parser("query")
SPACE = f"{{http://sns.amazonaws.com/doc/{VERSION}/}}"


def put(name, value, into):
    if value is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value, 1):
            put(f"{name}.member.{index}", item, into)
    elif isinstance(value, dict) and name.rpartition(".")[2] in ("Attributes", "attributes", "MessageAttributes"):
        key, item_name = ("Name", "Value") if name.endswith("MessageAttributes") else ("key", "value")
        for index, (entry, item) in enumerate(value.items(), 1):
            into.append((f"{name}.entry.{index}.{key}", entry))
            put(f"{name}.entry.{index}.{item_name}", item, into)
    elif isinstance(value, dict):
        for member, item in value.items():
            put(f"{name}.{member}", item, into)
    else:
        into.append((name, str(value).lower() if isinstance(value, bool) else str(value)))


def call(action, **parameters):
    form = [("Action", action), ("Version", VERSION)]
    for name, value in parameters.items():
        put(name, value, form)
    answer = post("/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, urllib.parse.urlencode(form))
    assert answer.headers["content-type"] == "text/xml", answer.headers
    root = ElementTree.fromstring(answer.body)
    if answer.status >= 300:
        assert root.tag == f"{SPACE}ErrorResponse" and root.findtext(f"{SPACE}RequestId"), answer
        error = root.find(f"{SPACE}Error")
        answer.code, answer.message = error.findtext(f"{SPACE}Code"), error.findtext(f"{SPACE}Message")
        assert error.findtext(f"{SPACE}Type") == ("Sender" if answer.status < 500 else "Receiver"), answer
        return answer
    assert root.tag == f"{SPACE}{action}Response", root.tag
    assert root.findtext(f"{SPACE}ResponseMetadata/{SPACE}RequestId"), answer
    answer.element = root.find(f"{SPACE}{action}Result")
    if action in MODEL.operation_names:
        parsed = PARSER.parse(
            {"body": answer.body, "headers": {}, "status_code": answer.status}, MODEL.operation_model(action).output_shape
        )
        parsed.pop("ResponseMetadata")
        answer.result = parsed
    return answer


def ok(action, **parameters):
    answer = call(action, **parameters)
    assert answer.status == 200, (action, parameters, answer)
    return getattr(answer, "result", None)


def arn(resource):
    return f"arn:aws:sns:{REGION}:{ACCOUNT}:{resource}"


def topic(name, **attributes):
    return ok("CreateTopic", Name=name, Attributes=attributes)["TopicArn"]
