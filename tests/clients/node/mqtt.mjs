// MQTT 3.1.1 and 5 through MQTT.js.
import assert from "node:assert/strict";
import { once } from "node:events";
import mqtt from "mqtt";

const { mqtt: port } = JSON.parse(process.env.CROSSDOCK_PORTS);
const connect = (options) =>
  mqtt.connectAsync({ host: "127.0.0.1", port, username: "guest", password: "guest", reconnectPeriod: 0, ...options });

for (const protocolVersion of [4, 5]) {
  const reader = await connect({ protocolVersion, clientId: `reader${protocolVersion}` });
  const writer = await connect({ protocolVersion });
  const received = [];
  reader.on("message", (topic, payload, packet) => received.push([topic, payload.toString(), packet.qos, packet.properties]));
  await reader.subscribeAsync("js/+/x", { qos: 2 });
  for (const qos of [0, 1, 2]) await writer.publishAsync(`js/${qos}/x`, `m${qos}`, { qos });
  while (received.length < 3) await once(reader, "message");
  assert.deepEqual(received.map(([topic, payload, qos]) => [topic, payload, qos]), [
    ["js/0/x", "m0", 0], ["js/1/x", "m1", 1], ["js/2/x", "m2", 2],
  ]);
  if (protocolVersion === 5) {
    const properties = { contentType: "a/b", responseTopic: "r", correlationData: Buffer.from([0, 1]), userProperties: { k: ["1", "2"] } };
    await writer.publishAsync("js/p/x", "p", { qos: 1, properties });
    while (received.length < 4) await once(reader, "message");
    const got = received[3][3];
    assert.equal(got.contentType, "a/b");
    assert.equal(got.responseTopic, "r");
    assert.deepEqual([...got.correlationData], [0, 1]);
    assert.deepEqual(got.userProperties.k, ["1", "2"]);
  }
  const kept = await connect({ protocolVersion, clientId: `kept${protocolVersion}`, clean: false, properties: protocolVersion === 5 ? { sessionExpiryInterval: 600 } : undefined });
  await kept.subscribeAsync("js/kept", { qos: 1 });
  await kept.endAsync();
  await writer.publishAsync("js/kept", "missed", { qos: 1 });
  const back = mqtt.connect({ host: "127.0.0.1", port, username: "guest", password: "guest", protocolVersion, clientId: `kept${protocolVersion}`, clean: false });
  const [, payload] = await once(back, "message");
  assert.equal(payload.toString(), "missed");
  for (const client of [reader, writer, back]) await client.endAsync();
}
