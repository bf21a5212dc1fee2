"""Users of several accounts, as the tests of policies and of topics that others subscribe have them."""

import boto3
from botocore.exceptions import ClientError

from ports import PORTS

HOME, OTHER, THIRD = "000000000000", "111111111111", "222222222222"
ACCOUNTS = {"owner": HOME, "poor": HOME, "eve": HOME, "half": HOME, "reader": HOME, "wide": HOME, "plain": HOME}
ACCOUNTS |= {"bills": OTHER, "limited": OTHER, "late": OTHER, "third": THIRD}


def client(service, user, region="us-east-1"):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{PORTS['aws']}",
        region_name=region,
        aws_access_key_id="AKID" + user.upper(),
        aws_secret_access_key="secret",
    )


def arn_of(user):
    return f"arn:aws:iam::{ACCOUNTS[user]}:user/{user}"


def action_of(client, name):
    """The method of a client for an action of the API."""
    return getattr(client, "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_"))


def refused(code, call, *, text=None, **parameters):
    try:
        answer = call(**parameters)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, error
        assert text is None or found["Message"] == text, found["Message"]
        return
    raise AssertionError(answer)


def not_authorized(user, action, resource, why):
    if why != "deny":
        why = f"because no {why}-based policy allows the {action} action"
    else:
        why = "with an explicit deny in a resource-based policy"
    return f"User: {arn_of(user)} is not authorized to perform: {action} on resource: {resource} {why}"
