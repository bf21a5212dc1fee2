// AMQP 0-9-1 through amqplib: confirms, returns, direct replies, prefetch, exchanges of several kinds, consumer cancel, errors and their texts.
import assert from "node:assert/strict";
import { once } from "node:events";
import amqplib from "amqplib";

const ports = JSON.parse(process.env.CROSSDOCK_PORTS);
const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${ports.amqp}/`, {
  clientProperties: { connection_name: "amqplib" },
});

async function confirmsAndOrder() {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("node", { durable: true });
  for (let n = 0; n < 500; n++) channel.sendToQueue("node", Buffer.from(`${n}`), { persistent: true, headers: { n } });
  await channel.waitForConfirms();
  await channel.prefetch(50);
  const seen = [];
  await new Promise((resolve) => {
    channel.consume("node", (message) => {
      assert.equal(message.properties.headers.n, Number(message.content));
      seen.push(Number(message.content));
      channel.ack(message);
      if (seen.length === 500) resolve();
    });
  });
  assert.deepEqual(seen, [...Array(500).keys()]);
  const returned = once(channel, "return");
  channel.publish("amq.direct", "nowhere", Buffer.from("back"), { mandatory: true });
  const [message] = await returned;
  assert.equal(message.fields.replyCode, 312);
  assert.equal(message.fields.replyText, "NO_ROUTE");
  await channel.close();
}

async function directReplies() {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.consume(
    queue,
    (question) => {
      const { replyTo, correlationId } = question.properties;
      channel.sendToQueue(replyTo, Buffer.from(`${question.content}!`), { correlationId });
    },
    { noAck: true },
  );
  const answer = new Promise((resolve) => channel.consume("amq.rabbitmq.reply-to", resolve, { noAck: true }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  channel.sendToQueue(queue, Buffer.from("question"), { replyTo: "amq.rabbitmq.reply-to", correlationId: "1" });
  const reply = await answer;
  assert.deepEqual([`${reply.content}`, reply.properties.correlationId], ["question!", "1"]);
  await channel.close();
}

async function exchangesOfSeveralKinds() {
  const channel = await connection.createChannel();
  await channel.assertExchange("node-alternate", "fanout", { autoDelete: true });
  await channel.assertExchange("node-topic", "topic", { autoDelete: true, alternateExchange: "node-alternate" });
  await channel.assertExchange("node-inner", "direct", { autoDelete: true, internal: true });
  const { queue } = await channel.assertQueue("", { exclusive: true, maxLength: 3, overflow: "drop-head" });
  await channel.bindQueue(queue, "node-alternate", "");
  await channel.bindExchange("node-inner", "node-topic", "a.*.#");
  await channel.bindQueue(queue, "node-inner", "a.b.c");
  for (const key of ["other", "a.b.c", "a.b", "a.b.c"]) channel.publish("node-topic", key, Buffer.from(key));
  const got = [];
  for (let left = 20; got.length < 3 && left > 0; left--) {
    const message = await channel.get(queue, { noAck: true });
    if (message) got.push(`${message.content}`);
    else await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(got, ["other", "a.b.c", "a.b.c"]);
  await channel.close();
}

async function consumersHearOfTheirQueuesEnd() {
  const channel = await connection.createChannel();
  await channel.assertQueue("node-ends");
  const ended = new Promise((resolve) => channel.consume("node-ends", resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await channel.deleteQueue("node-ends");
  assert.equal(await ended, null);
  await channel.close();
}

async function errors() {
  const cases = [
    [(channel) => channel.checkQueue("missing"), 404, "NOT_FOUND - no queue 'missing' in vhost '/'"],
    [
      (channel) => channel.assertQueue("node", { durable: false }),
      406,
      "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'node' in vhost '/': received 'false' but current is 'true'",
    ],
    [
      (channel) => channel.assertExchange("amq.direct", "topic"),
      406,
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'topic' but current is 'direct'",
    ],
    [
      (channel) => channel.assertExchange("amq.mine", "topic"),
      403,
      "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ],
    [
      (channel) => channel.deleteQueue("node", { ifEmpty: true }),
      406,
      "PRECONDITION_FAILED - queue 'node' in vhost '/' not empty",
    ],
  ];
  const filler = await connection.createConfirmChannel();
  filler.sendToQueue("node", Buffer.from("x"));
  await filler.waitForConfirms();
  for (const [ask, code, text] of cases) {
    const channel = await connection.createChannel();
    const failed = once(channel, "error");
    await assert.rejects(ask(channel));
    const [error] = await failed;
    assert.equal(error.code, code);
    assert.ok(error.message.includes(text), `${error.message} is not ${text}`);
  }
}

for (const behaviour of [confirmsAndOrder, directReplies, exchangesOfSeveralKinds, consumersHearOfTheirQueuesEnd, errors])
  await behaviour();
await connection.close();
