// The AWS SDK for JavaScript, which checks MD5 sums: queues, messages, batches, long polls, FIFO, pages, typed errors, and topics.
import assert from "node:assert/strict";
import * as SNS from "@aws-sdk/client-sns";
import * as SQS from "@aws-sdk/client-sqs";

const sqs = new SQS.SQS({});
const sns = new SNS.SNS({});
const receive = async (QueueUrl, more = {}) => {
  const request = { QueueUrl, WaitTimeSeconds: 5, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"], ...more };
  return (await sqs.receiveMessage(request)).Messages ?? [];
};
const remove = (QueueUrl, { ReceiptHandle }) => sqs.deleteMessage({ QueueUrl, ReceiptHandle });
const bodies = (messages) => messages.map(({ Body }) => Body);

async function attributes(QueueUrl) {
  const MessageAttributes = {
    text: { DataType: "String", StringValue: "grüße & \"more\"" },
    number: { DataType: "Number.int", StringValue: "1.50" },
    bytes: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255, 10]) },
  };
  const MessageSystemAttributes = { AWSTraceHeader: { DataType: "String", StringValue: "Root=1-2-3" } };
  const sent = await sqs.sendMessage({ QueueUrl, MessageBody: "hello\r\n ü €", MessageAttributes, MessageSystemAttributes });
  assert.ok(sent.MD5OfMessageSystemAttributes);
  const [message] = await receive(QueueUrl, { MessageSystemAttributeNames: ["All"] });
  assert.equal(message.Body, "hello\r\n ü €");
  assert.equal(message.MessageId, sent.MessageId);
  assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
  assert.deepEqual(message.MessageAttributes, MessageAttributes);
  assert.equal(message.Attributes.AWSTraceHeader, "Root=1-2-3");
  assert.equal(message.Attributes.ApproximateReceiveCount, "1");
  await remove(QueueUrl, message);
}

async function batches(QueueUrl) {
  const Entries = Array.from({ length: 10 }, (_, n) => ({ Id: `${n}`, MessageBody: `m${n}` }));
  assert.equal((await sqs.sendMessageBatch({ QueueUrl, Entries })).Successful.length, 10);
  const messages = await receive(QueueUrl);
  assert.deepEqual(bodies(messages), Entries.map(({ MessageBody }) => MessageBody));
  const handles = messages.map(({ ReceiptHandle }, n) => ({ Id: `${n}`, ReceiptHandle }));
  const longer = handles.map((handle) => ({ ...handle, VisibilityTimeout: 60 }));
  assert.equal((await sqs.changeMessageVisibilityBatch({ QueueUrl, Entries: longer })).Successful.length, 10);
  const wrong = { Id: "wrong", ReceiptHandle: "nonsense" };
  const deleted = await sqs.deleteMessageBatch({ QueueUrl, Entries: [...handles.slice(1), wrong] });
  assert.equal(deleted.Successful.length, 9);
  assert.deepEqual(deleted.Failed.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]), [["wrong", "ReceiptHandleIsInvalid", true]]);
  await remove(QueueUrl, messages[0]);
}

async function waiting(QueueUrl) {
  const begun = Date.now();
  const poll = receive(QueueUrl);
  setTimeout(() => sqs.sendMessage({ QueueUrl, MessageBody: "late" }), 300);
  const [message] = await poll;
  assert.ok(Date.now() - begun >= 250 && Date.now() - begun < 4000);
  await sqs.changeMessageVisibility({ QueueUrl, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0 });
  const [again] = await receive(QueueUrl, { MessageSystemAttributeNames: ["ApproximateReceiveCount"] });
  assert.deepEqual(again.Attributes, { ApproximateReceiveCount: "2" });
  await remove(QueueUrl, again);
  // Who gives up a long poll takes no message away.
  const giveUp = new AbortController();
  const given = sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20 }, { abortSignal: giveUp.signal });
  setTimeout(() => giveUp.abort(), 300);
  await assert.rejects(given, { name: "AbortError" });
  await sqs.sendMessage({ QueueUrl, MessageBody: "still here" });
  const [still] = await receive(QueueUrl);
  assert.equal(still.Body, "still here");
  await remove(QueueUrl, still);
}

async function fifo() {
  const Attributes = { FifoQueue: "true", ContentBasedDeduplication: "true" };
  const { QueueUrl } = await sqs.createQueue({ QueueName: "javascript.fifo", Attributes });
  for (const MessageBody of ["a1", "a1", "a2", "b1"]) {
    const { SequenceNumber } = await sqs.sendMessage({ QueueUrl, MessageBody, MessageGroupId: MessageBody[0] });
    assert.match(SequenceNumber, /^\d{20}$/);
  }
  assert.deepEqual(bodies(await receive(QueueUrl)), ["a1", "a2", "b1"]);
  await sqs.deleteQueue({ QueueUrl });
}

async function pages() {
  for (let n = 0; n < 5; n++) await sqs.createQueue({ QueueName: `javascript-page-${n}` });
  const sizes = [];
  for await (const page of SQS.paginateListQueues({ client: sqs, pageSize: 2 }, { QueueNamePrefix: "javascript-page-" }))
    sizes.push(page.QueueUrls.length);
  assert.deepEqual(sizes, [2, 2, 1]);
}

async function errors(QueueUrl) {
  await assert.rejects(sqs.getQueueUrl({ QueueName: "nowhere" }), SQS.QueueDoesNotExist);
  await assert.rejects(sqs.sendMessage({ QueueUrl: `${QueueUrl}-not`, MessageBody: "m" }), SQS.QueueDoesNotExist);
  await assert.rejects(sqs.sendMessage({ QueueUrl, MessageBody: "\u0001" }), SQS.InvalidMessageContents);
  await assert.rejects(sqs.sendMessageBatch({ QueueUrl, Entries: [] }), SQS.EmptyBatchRequest);
  await assert.rejects(sqs.deleteMessage({ QueueUrl, ReceiptHandle: "nonsense" }), SQS.ReceiptHandleIsInvalid);
  await assert.rejects(sqs.createQueue({ QueueName: "javascript", Attributes: { DelaySeconds: "7" } }), SQS.QueueNameExists);
  await assert.rejects(sqs.createQueue({ QueueName: "a.b" }), { name: "InvalidParameterValue" });
  const stranger = new SQS.SQS({ credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "wrong" } });
  await assert.rejects(stranger.listQueues({}), { name: "SignatureDoesNotMatch" });
  // The service is where the queue's URL says, if nobody says otherwise.
  const { AWS_ENDPOINT_URL: endpoint, ...environment } = process.env;
  process.env = environment;
  const elsewhere = new SQS.SQS({});
  await elsewhere.sendMessage({ QueueUrl, MessageBody: "by URL" });
  process.env = { ...environment, AWS_ENDPOINT_URL: endpoint };
  await remove(QueueUrl, (await receive(QueueUrl))[0]);
}

async function topics(QueueUrl) {
  const { TopicArn } = await sns.createTopic({ Name: "javascript-topic" });
  const { QueueUrl: rawUrl } = await sqs.createQueue({ QueueName: "javascript-raw" });
  const subscribe = async (url, Attributes) => {
    const { QueueArn: Endpoint } = (await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ["QueueArn"] })).Attributes;
    const request = { TopicArn, Protocol: "sqs", Endpoint, ReturnSubscriptionArn: true, Attributes };
    return (await sns.subscribe(request)).SubscriptionArn;
  };
  const subscription = await subscribe(QueueUrl, {});
  await subscribe(rawUrl, { RawMessageDelivery: "true", FilterPolicy: JSON.stringify({ kind: ["good"] }) });
  const kind = (StringValue) => ({ MessageAttributes: { kind: { DataType: "String", StringValue } } });
  const { MessageId } = await sns.publish({ TopicArn, Message: "bad news", Subject: "s", ...kind("bad") });
  const PublishBatchRequestEntries = [{ Id: "1", Message: "good news", ...kind("good") }];
  assert.equal((await sns.publishBatch({ TopicArn, PublishBatchRequestEntries })).Successful.length, 1);
  const raw = await receive(rawUrl);
  assert.deepEqual(bodies(raw), ["good news"]);
  assert.equal(raw[0].MessageAttributes.kind.StringValue, "good");
  const wrapped = await receive(QueueUrl);
  const envelope = JSON.parse(wrapped[0].Body);
  assert.deepEqual([envelope.Message, envelope.Subject, envelope.MessageId, envelope.TopicArn], ["bad news", "s", MessageId, TopicArn]);
  const found = [];
  for await (const page of SNS.paginateListSubscriptionsByTopic({ client: sns }, { TopicArn })) found.push(...page.Subscriptions);
  assert.equal(found.length, 2);
  await sns.unsubscribe({ SubscriptionArn: subscription });
  await assert.rejects(sns.publish({ TopicArn: `${TopicArn}-not`, Message: "m" }), SNS.NotFoundException);
  await assert.rejects(sns.publish({ TopicArn, Message: "" }), SNS.InvalidParameterException);
  await sns.deleteTopic({ TopicArn });
}

const { QueueUrl } = await sqs.createQueue({ QueueName: "javascript", Attributes: { VisibilityTimeout: "60" } });
for (const check of [attributes, batches, waiting, fifo, pages, errors, topics]) {
  await check(QueueUrl);
  console.log(`${check.name}: good`);
}
await sqs.purgeQueue({ QueueUrl });
await sqs.deleteQueue({ QueueUrl });
