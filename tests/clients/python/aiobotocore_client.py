"""aiobotocore: what a service without threads does, many calls at once on one client."""

import asyncio
import json
import time

from aiobotocore.session import get_session
from botocore.exceptions import ClientError


async def receive(url, **more):
    arguments = {"WaitTimeSeconds": 5, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], **more}
    return (await sqs.receive_message(QueueUrl=url, **arguments)).get("Messages", [])


async def delete(url, message):
    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


async def test_many_at_once(url):
    await asyncio.gather(*(sqs.send_message(QueueUrl=url, MessageBody=f"m{number}") for number in range(200)))
    seen = set()

    async def consume():
        while len(seen) < 200:
            messages = await receive(url, WaitTimeSeconds=1)
            seen.update(message["Body"] for message in messages)
            await asyncio.gather(*(delete(url, message) for message in messages))

    await asyncio.wait_for(asyncio.gather(*(consume() for _ in range(5))), 60)
    assert seen == {f"m{number}" for number in range(200)}


async def test_attributes_and_batches(url):
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße <&>"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    entries = [{"Id": str(n), "MessageBody": f"b{n}", "MessageAttributes": attributes} for n in range(10)]
    assert len((await sqs.send_message_batch(QueueUrl=url, Entries=entries))["Successful"]) == 10
    messages = await receive(url)
    assert [message["Body"] for message in messages] == [f"b{n}" for n in range(10)]
    assert all(message["MessageAttributes"] == attributes for message in messages)
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    longer = [{**handle, "VisibilityTimeout": 60} for handle in handles]
    assert len((await sqs.change_message_visibility_batch(QueueUrl=url, Entries=longer))["Successful"]) == 10
    assert len((await sqs.delete_message_batch(QueueUrl=url, Entries=handles))["Successful"]) == 10


async def test_long_polls(url):
    begun = time.monotonic()
    polls = [asyncio.create_task(receive(url, MaxNumberOfMessages=1)) for _ in range(3)]
    await asyncio.sleep(0.3)
    await asyncio.gather(*(sqs.send_message(QueueUrl=url, MessageBody=f"late{number}") for number in range(3)))
    messages = [message for poll in polls for message in await poll]
    assert sorted(message["Body"] for message in messages) == ["late0", "late1", "late2"], messages
    assert 0.25 < time.monotonic() - begun < 4
    await asyncio.gather(*(delete(url, message) for message in messages))
    given_up = asyncio.create_task(receive(url, WaitTimeSeconds=20))
    await asyncio.sleep(0.3)
    given_up.cancel()
    await asyncio.sleep(0.3)
    await sqs.send_message(QueueUrl=url, MessageBody="still here")
    (still,) = await receive(url)
    assert still["Body"] == "still here"
    await delete(url, still)


async def test_fifo(_):
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = (await sqs.create_queue(QueueName="aio.fifo", Attributes=attributes))["QueueUrl"]
    for body in ("a1", "a1", "a2", "b1"):
        await sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])
    assert [message["Body"] for message in await receive(url)] == ["a1", "a2", "b1"]


async def test_pages(_):
    await asyncio.gather(*(sqs.create_queue(QueueName=f"aio-page-{number}") for number in range(5)))
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="aio-page-", PaginationConfig={"PageSize": 2})
    assert [len(page["QueueUrls"]) async for page in pages] == [2, 2, 1]


async def test_errors(url):
    for call, error in (
        (sqs.get_queue_url(QueueName="nowhere"), sqs.exceptions.QueueDoesNotExist),
        (sqs.send_message(QueueUrl=url + "-not", MessageBody="m"), sqs.exceptions.QueueDoesNotExist),
        (sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense"), sqs.exceptions.ReceiptHandleIsInvalid),
        (sqs.send_message_batch(QueueUrl=url, Entries=[]), sqs.exceptions.EmptyBatchRequest),
        (sns.publish(TopicArn="arn:aws:sns:eu-west-1:000000000000:nowhere", Message="m"), sns.exceptions.NotFoundException),
        (sqs.create_queue(QueueName="a.b"), ClientError),
    ):
        try:
            await call
        except error:
            continue
        raise AssertionError(error)


async def test_topics(url):
    topic = (await sns.create_topic(Name="aio-topic"))["TopicArn"]
    arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"kind": ["good"]})}
    await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    for kind in ("bad", "good"):
        value = {"kind": {"DataType": "String", "StringValue": kind}}
        await sns.publish(TopicArn=topic, Message=f"{kind} news", MessageAttributes=value)
    (message,) = await receive(url)
    assert message["Body"] == "good news" and message["MessageAttributes"]["kind"]["StringValue"] == "good", message
    await delete(url, message)
    await sns.delete_topic(TopicArn=topic)


async def main():
    global sqs, sns
    session = get_session()
    async with session.create_client("sqs") as sqs, session.create_client("sns") as sns:
        url = (await sqs.create_queue(QueueName="aio"))["QueueUrl"]
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                await test(url)
                print(f"{name}: good")
        await sqs.purge_queue(QueueUrl=url)
        await sqs.delete_queue(QueueUrl=url)


asyncio.run(main())
