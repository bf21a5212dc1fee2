// stompjs and MQTT.js in pages of a browser: one that websocket.origins lists (CROSSDOCK_PAGE_PORT), and one of somebody else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ports = JSON.parse(process.env.CROSSDOCK_PORTS);
const modules = new URL("node_modules/", import.meta.url);
const script = (name) => readFileSync(new URL(name, modules));
const files = {
  "/stomp.js": script("@stomp/stompjs/bundles/stomp.umd.min.js"),
  "/mqtt.js": script("mqtt/dist/mqtt.min.js"),
};

// Runs in the page.
async function work(ws) {
  const stomp = () => new Promise((resolve, reject) => {
    const client = new StompJs.Client({ brokerURL: `ws://127.0.0.1:${ws}/stomp`, connectHeaders: { login: "guest", passcode: "guest" }, reconnectDelay: 0 });
    const text = `Grüße, 世界 ${"x".repeat(200 * 1024)}`;
    const bytes = Uint8Array.from({ length: 200 * 1024 }, (_, n) => n % 256);
    client.onWebSocketError = () => reject(new Error("no WebSocket"));
    client.onStompError = (frame) => reject(new Error(frame.headers.message));
    client.onConnect = () => {
      const bodies = [];
      client.subscribe("/queue/page", (message) => {
        bodies.push(bodies.length === 0 ? message.body : message.binaryBody);
        if (bodies.length < 2) return;
        const isSame = bodies[0] === text && bodies[1].length === bytes.length && bodies[1].every((byte, n) => byte === bytes[n]);
        client.deactivate().then(() => (isSame ? resolve("stomp") : reject(new Error("other bodies"))));
      });
      client.publish({ destination: "/queue/page", body: text });
      client.publish({ destination: "/queue/page", binaryBody: bytes });
    };
    client.activate();
  });
  const overMqtt = async () => {
    const client = await mqtt.connectAsync(`ws://127.0.0.1:${ws}/mqtt`, { username: "guest", password: "guest", protocolVersion: 5, reconnectPeriod: 0 });
    await client.subscribeAsync("page/#", { qos: 2 });
    const heard = new Promise((resolve) => client.on("message", (_, payload) => resolve(payload.toString())));
    await client.publishAsync("page/x", "hello", { qos: 2 });
    if ((await heard) !== "hello") throw new Error("another message");
    await client.endAsync();
    return "mqtt";
  };
  return [await stomp(), await overMqtt()].join(" ");
}

// Serves the page, and gives what its script says.
async function result(port) {
  let say;
  const said = new Promise((resolve) => (say = resolve));
  const server = createServer(async (request, response) => {
    if (request.method === "POST") {
      let text = "";
      for await (const part of request) text += part;
      response.end();
      return say(text);
    }
    const page = `<meta charset="utf-8"><script src="/stomp.js"></script><script src="/mqtt.js"></script><script>(${work})(${ports.ws})
      .catch((error) => "failed: " + error.message).then((text) => fetch("/", { method: "POST", body: text }))</script>`;
    response.setHeader("content-type", request.url in files ? "text/javascript" : "text/html");
    response.end(files[request.url] ?? page);
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  const profile = mkdtempSync(join(tmpdir(), "crossdock-browser-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", `--user-data-dir=${profile}`];
  const browser = spawn("chromium", [...flags, `http://127.0.0.1:${server.address().port}/`], { stdio: "ignore", detached: true });
  const patience = new Promise((_, reject) => setTimeout(() => reject(new Error("the page says nothing")), 60_000).unref());
  try {
    return await Promise.race([said, patience]);
  } finally {
    // Its own processes, too.
    process.kill(-browser.pid, "SIGKILL");
    await once(browser, "exit");
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
  }
}

assert.equal(await result(Number(process.env.CROSSDOCK_PAGE_PORT)), "stomp mqtt");
assert.equal(await result(0), "failed: no WebSocket", "a page of somebody else");
process.exit(0);
