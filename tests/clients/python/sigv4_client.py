"""Signatures are checked: botocore's own signing against configured keys."""

import boto3
from botocore.exceptions import ClientError
from ports import PORTS

ENDPOINT = f"http://127.0.0.1:{PORTS['aws']}"


def client(service, key="AKIDEXAMPLE", secret="secret", token=None):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


def refused(code, act):
    try:
        act()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
    else:
        raise AssertionError(f"{code} was expected")


if __name__ == "__main__":
    for token in (None, "a session"):
        sqs = client("sqs", token=token)
        url = sqs.create_queue(QueueName="orders-1")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="ü & more", MessageAttributes={"a.b": {"DataType": "String", "StringValue": "+%2F"}})
        message = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=5)["Messages"][0]
        assert message["Body"] == "ü & more"
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert client("sts").get_caller_identity()["Account"] == "000000000000"
    for service, act in (("sqs", lambda c: c.list_queues()), ("sns", lambda c: c.list_topics())):
        refused("SignatureDoesNotMatch", lambda: act(client(service, secret="wrong")))
        refused("InvalidClientTokenId", lambda: act(client(service, key="AKIDOTHER")))
