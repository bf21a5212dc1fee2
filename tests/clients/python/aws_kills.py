"""Clients of SNS and SQS for scripts that have their broker killed."""

import sys

import boto3


def client(service, port):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def clients(port):
    return client("sns", port), client("sqs", port)


def kill():
    """Says "kill", and is told the port after the new start."""
    print("kill", flush=True)
    return clients(int(sys.stdin.readline()))
