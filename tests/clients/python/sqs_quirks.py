"""SQS without AWS's pauses: a queue is made again and purged again at once."""

from aws_wire import call_json, ok, queue

url = queue("again")
for _ in range(2):
    ok("PurgeQueue", QueueUrl=url)
for _ in range(2):
    ok("DeleteQueue", QueueUrl=url)
    assert queue("again") == url
assert call_json("DeleteQueue", {"QueueUrl": url}).status == 200
