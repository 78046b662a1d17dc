// Drives a broker with MQTT.js in MQTT 5 and 3.1.1. Arguments: port, path of node_modules.
import { createRequire } from "node:module";

const [port, modules] = process.argv.slice(2);
const mqtt = createRequire(`${modules}/`)("mqtt");

const patience = (what, promise) =>
  Promise.race([
    promise,
    new Promise((_, reject) => setTimeout(() => reject(new Error(`${what} took too long`)), 10_000)),
  ]);

for (const protocolVersion of [5, 4]) {
  const connect = (clientId) => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, protocolVersion, reconnectPeriod: 0 });
  const reader = await patience("connecting", connect(`reader-${protocolVersion}`));
  const writer = await patience("connecting", connect(`writer-${protocolVersion}`));
  const got = [];
  const all = new Promise((resolve) => {
    reader.on("message", (topic, payload) => {
      got.push(`${topic} ${payload}`);
      if (got.length === 60) resolve();
    });
  });
  await patience("subscribing", reader.subscribeAsync("js/#", { qos: 2 }));
  const want = [];
  for (const qos of [0, 1, 2]) {
    for (let n = 0; n < 20; n++) {
      want.push(`js/${qos} ${n}`);
      await patience("publishing", writer.publishAsync(`js/${qos}`, String(n), { qos }));
    }
  }
  await patience("delivery", all);
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`got ${got}`);
  await reader.endAsync();
  await writer.endAsync();
  console.log(`ok every QoS arrives once in MQTT ${protocolVersion === 5 ? "5" : "3.1.1"}`);
}
