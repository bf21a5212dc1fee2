"""What SNS keeps survives kills, and a replay goes on: says "kill", and is told the new port."""

import datetime
import json
import os
import time

from aws_kills import clients, kill

COUNT = 400
WITH_TIME = "%Y-%m-%dT%H:%M:%S.000Z"

port = json.loads(os.environ["CROSSDOCK_PORTS"])["aws"]
sns, sqs = clients(port)

# What is kept.
begun = datetime.datetime.now(datetime.timezone.utc)
attributes = {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod":"3"}'}
topic = sns.create_topic(Name="kept.fifo", Attributes=attributes, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
application = sns.create_platform_application(Name="kept", Platform="GCM", Attributes={"PlatformCredential": "c"})
application = application["PlatformApplicationArn"]
endpoint = sns.create_platform_endpoint(PlatformApplicationArn=application, Token="t", CustomUserData="u")["EndpointArn"]
sns.set_sms_attributes(attributes={"DefaultSMSType": "Transactional"})
sns.create_sms_sandbox_phone_number(PhoneNumber="+15551234567")
protection = {
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
sns.put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy=json.dumps(protection))


def kept():
    topics = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    return [
        (topics["ArchivePolicy"], topics["BeginningArchiveTime"]),
        sns.list_tags_for_resource(ResourceArn=topic)["Tags"],
        sns.get_platform_application_attributes(PlatformApplicationArn=application)["Attributes"],
        sns.get_endpoint_attributes(EndpointArn=endpoint)["Attributes"],
        sns.get_sms_attributes()["attributes"],
        sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"],
        json.loads(sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"]),
    ]


before = kept()
url = sqs.create_queue(QueueName="replayed.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
last = 0
for number in range(0, COUNT, 10):
    entries = [
        {"Id": str(one), "Message": str(one), "MessageGroupId": "g", "MessageDeduplicationId": str(one)}
        for one in range(number, number + 10)
    ]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    last = int(answer["Successful"][-1]["SequenceNumber"])
sns, sqs = kill()
assert kept() == before, (kept(), before)
# A message that was published before is known, and places go on.
again = sns.publish(TopicArn=topic, Message="again", MessageGroupId="g", MessageDeduplicationId=str(COUNT - 1))
assert int(again["SequenceNumber"]) == last, (again, last)
new = sns.publish(TopicArn=topic, Message=str(COUNT), MessageGroupId="g", MessageDeduplicationId=str(COUNT))
assert int(new["SequenceNumber"]) > last, (new, last)

# A replay goes on after kills.
policy = json.dumps({"PointType": "Timestamp", "StartingPoint": begun.strftime(WITH_TIME)})
given = {"RawMessageDelivery": "true", "ReplayPolicy": policy}
subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=given)["SubscriptionArn"]
sns, sqs = kill()
time.sleep(0.1)
sns, sqs = kill()
for _ in range(200):
    status = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["ReplayStatus"]
    if status == "Completed":
        break
    time.sleep(0.1)
assert status == "Completed", status
sns.publish(TopicArn=topic, Message=str(COUNT + 1), MessageGroupId="g", MessageDeduplicationId="last")
found = []
while len(found) <= COUNT + 1:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
    assert messages.get("Messages"), len(found)
    for message in messages["Messages"]:
        found.append(int(message["Body"]))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
# Everything, in order, and in a FIFO queue once.
assert found == list(range(COUNT + 2)), found
