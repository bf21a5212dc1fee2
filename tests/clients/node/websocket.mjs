// MQTT.js, @stomp/stompjs and amqp-client.js over WebSocket, as pages use them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client";
import { Client } from "@stomp/stompjs";
import mqtt from "mqtt";
import WebSocket from "ws";

const authority = process.env.CROSSDOCK_CA && readFileSync(process.env.CROSSDOCK_CA);
const listener = process.env.CROSSDOCK_LISTENER ?? (authority ? "wss" : "ws");
const port = JSON.parse(process.env.CROSSDOCK_PORTS)[listener];
const base = `${authority ? "wss" : "ws"}://localhost:${port}`;
const options = { ca: authority };
// What browsers have, and amqp-client.js expects.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, options);
  }
};

const until = async (condition) => {
  for (let n = 0; n < 6_000 && !condition(); n++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert(condition());
};

async function overMqtt(protocolVersion, path) {
  const connect = () => mqtt.connectAsync(`${base}${path}`, { ...options, username: "guest", password: "guest", protocolVersion, reconnectPeriod: 0 });
  const [reader, writer] = [await connect(), await connect()];
  const received = [];
  reader.on("message", (topic, payload, packet) => received.push([topic, payload, packet.qos]));
  await reader.subscribeAsync("web/#", { qos: 2 });
  for (const qos of [0, 1, 2]) await writer.publishAsync(`web/${qos}`, `m${qos}`, { qos });
  const large = Buffer.alloc(1_000_000, 7);
  await writer.publishAsync("web/large", large, { qos: 1 });
  while (received.length < 4) await once(reader, "message");
  assert.deepEqual(received.slice(0, 3).map(([topic, payload, qos]) => [topic, payload.toString(), qos]), [
    ["web/0", "m0", 0], ["web/1", "m1", 1], ["web/2", "m2", 2],
  ]);
  assert(received[3][1].equals(large));
  for (const client of [reader, writer]) await client.endAsync();
}

// The kinds of frames are looked at: text, if it is UTF-8, and each STOMP frame in a message of its own.
async function overStomp(path, protocols) {
  const kinds = [];
  const client = new Client({
    webSocketFactory: () => {
      const socket = new globalThis.WebSocket(`${base}${path}`, protocols);
      socket.on("message", (data, isBinary) => kinds.push([isBinary, data.toString("latin1").split("\0").length - 1]));
      return socket;
    },
    connectHeaders: { login: "guest", passcode: "guest", host: "/" },
    reconnectDelay: 0,
    heartbeatIncoming: 200,
    heartbeatOutgoing: 200,
  });
  const failures = [];
  client.onStompError = (frame) => failures.push(frame.headers.message);
  await new Promise((resolve) => { client.onConnect = resolve; client.activate(); });
  const received = [];
  client.subscribe("/queue/web", (message) => { received.push(message); message.ack(); }, { ack: "client-individual" });
  const text = `Grüße, 世界 ${"x".repeat(200 * 1024)}`;
  const bytes = Uint8Array.from({ length: 200 * 1024 }, (_, n) => n % 256);
  client.publish({ destination: "/queue/web", body: text });
  client.publish({ destination: "/queue/web", binaryBody: bytes, headers: { "content-type": "application/octet-stream" } });
  for (let n = 0; n < 100; n++) client.publish({ destination: "/queue/web", body: `m${n}` });
  await until(() => received.length === 102 || failures.length > 0);
  assert.deepEqual(failures, []);
  assert.equal(received[0].body, text);
  assert(Buffer.from(received[1].binaryBody).equals(Buffer.from(bytes)));
  assert.deepEqual(received.slice(2).map((message) => message.body), Array.from({ length: 100 }, (_, n) => `m${n}`));
  assert.deepEqual(kinds.map(([isBinary]) => isBinary).filter(Boolean), [true], "one body is no text");
  const inside = kinds.map(([, ends]) => ends);
  assert(inside.filter((ends, at) => !kinds[at][0] && ends > 1).length === 0, "a frame in each message");
  // Heart-beats go both ways for a while.
  const before = kinds.length;
  await until(() => kinds.length >= before + 3);
  assert(client.connected);
  await client.deactivate();
}

async function overAmqp(path) {
  const client = new AMQPWebSocketClient(`${base}${path}`, "/", "guest", "guest");
  const connection = await client.connect();
  const channel = await connection.channel();
  await channel.queueDeclare("web-amqp", { durable: true });
  await channel.confirmSelect();
  const body = new Uint8Array(300_000).fill(5);
  for (let n = 0; n < 3; n++) await channel.basicPublish("", "web-amqp", body);
  const received = [];
  await channel.basicConsume("web-amqp", { noAck: false }, (message) => { received.push(message.body.length); message.ack(); });
  await until(() => received.length === 3);
  assert.deepEqual(received, [300_000, 300_000, 300_000]);
  await connection.close();
}

for (const version of [4, 5]) for (const path of ["/mqtt", "/ws"]) await overMqtt(version, path);
await overStomp("/stomp", ["v12.stomp", "v11.stomp", "v10.stomp"]);
await overStomp("/ws", ["v12.stomp"]);
await overStomp("/stomp", []);
await overAmqp("/amqp");
// What leads nowhere is refused, and says so.
for (const [path, protocols, status] of [["/mqtt", [], 400], ["/mqtt", ["v12.stomp"], 400], ["/elsewhere", ["mqtt"], 404]]) {
  const [, response] = await once(new WebSocket(`${base}${path}`, protocols, options), "unexpected-response");
  assert.equal(response.statusCode, status);
}
process.exit(0);
