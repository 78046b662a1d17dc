// The server of Z-Wave JS on a WebSocket, with its driver on the emulated controller and emulated nodes of Z-Wave JS.
// Arguments: path of node_modules. Says its port when it is ready and every node is interviewed. Each line on standard input is
// a JSON object whose `do` names something that happens; each is answered with a line.
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const module = (path) => import(pathToFileURL(`${modules}/${path}`).href);
const { MockServer } = require(`${modules}/zwave-js/build/cjs/mockServer.js`);
const { SecurityClass } = require("@zwave-js/core");
const { createMockZWaveRequestFrame } = require("@zwave-js/testing");
const {
  BinarySwitchCCReport,
  MultilevelSensorCCReport,
  NotificationCCReport,
  Security2CC,
} = require("@zwave-js/cc");
const { Driver } = await module("zwave-js/build/esm/index.js");
const { ZwavejsServer } = await module("@zwave-js/server/dist-esm/lib/index.js");

// It would announce itself on the network.
require("@homebridge/ciao").getResponder = () => ({ createService: () => ({ advertise: async () => {} }) });

// Its standard output is for answers.
const say = (text) => process.stdout.write(`${text}\n`);
console.log = console.error;

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

const key = (byte) => new Uint8Array(16).fill(byte);
const securityKeys = {
  S2_AccessControl: key(1),
  S2_Authenticated: key(2),
  S2_Unauthenticated: key(3),
  S0_Legacy: key(4),
};

// What is asked of a node with the class of its security, none for those without.
const node = (id, security, ...commandClasses) => ({
  id,
  capabilities: {
    isListening: true,
    isFrequentListening: false,
    securityClasses: new Set(security ? [SecurityClass[security]] : []),
    commandClasses: [
      { ccId: 0x5e, isSupported: true, version: 2 },
      ...(security ? [{ ccId: 0x9f, isSupported: true, version: 1 }] : []),
      ...commandClasses.map((cc) => ({ isSupported: true, version: 1, secure: !!security, ...cc })),
    ],
  },
});

let controller;
const serial = await freePort();
const radio = new MockServer({
  interface: "127.0.0.1",
  port: serial,
  config: {
    controller: { securityKeys },
    nodes: [
      // A switch with a sensor of air temperature, in degrees Celsius.
      node(2, "S2_Authenticated", { ccId: 0x25 }, { ccId: 0x31, version: 5, sensors: { 1: { supportedScales: [0] } } }),
      node(3, "S2_Unauthenticated", { ccId: 0x26, version: 4 }),
      node(4, undefined, { ccId: 0x25 }),
      node(5, "S2_AccessControl", { ccId: 0x62, version: 4 }, { ccId: 0x71, version: 8 }),
    ],
    onInit: (mock) => (controller = mock),
  },
});
await radio.start();
while (!radio.server.listening) await new Promise((resolve) => setTimeout(resolve, 10));

// The emulated controller takes what is written at once for one unit, and TCP does not keep writes apart.
const write = radio.serialport.writeAsync.bind(radio.serialport);
radio.serialport.writeAsync = async (bytes) => {
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] === 0x01 ? bytes[at + 1] + 2 : 1;
    await write(bytes.subarray(at, at + length));
    at += length;
  }
};

const cache = mkdtempSync(join(tmpdir(), "thingward-zwave-js-"));
const driver = new Driver(`tcp://127.0.0.1:${serial}`, {
  securityKeys,
  storage: { cacheDir: cache },
  logConfig: { enabled: false },
  testingHooks: { skipBootloaderCheck: true, skipFirmwareIdentification: true },
});
driver.on("error", (error) => console.error(error));
const isReady = new Promise((resolve) => driver.once("all nodes ready", resolve));
await driver.start();
await isReady;

const port = await freePort();
const logger = { debug: () => {}, info: () => {}, warn: console.error, error: console.error };
const server = new ZwavejsServer(driver, { port, host: "127.0.0.1", logger });
await server.start();

const send = (id, cc) => {
  const from = controller.nodes.get(id);
  const sent = Security2CC.encapsulate(cc, id, from.securityManagers);
  return from.sendToController(createMockZWaveRequestFrame(sent, { ackRequested: false }));
};

const tricks = {
  report: ({ id, on }) => send(id, new BinarySwitchCCReport({ nodeId: 1, currentValue: on })),
  temperature: ({ id, celsius }) =>
    send(id, new MultilevelSensorCCReport({ nodeId: 1, type: 1, scale: 0, value: celsius })),
  notify: ({ id, type, event }) =>
    send(id, new NotificationCCReport({ nodeId: 1, notificationType: type, notificationEvent: event })),
  // What a node is, as it knows it.
  state: ({ id, name }) => String(controller.nodes.get(id).state.get(name)),
  // The driver says that the node was excluded.
  remove: ({ id }) => void driver.controller.emit("node removed", driver.controller.nodes.getOrThrow(id), 0),
  // The server ends.
  end: () => server.destroy(),
};

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", async (line) => {
  const { do: name, ...given } = JSON.parse(line);
  try {
    say((await tricks[name](given)) ?? "ok");
  } catch (error) {
    say(`error ${error.message}`);
  }
});
say(port);
