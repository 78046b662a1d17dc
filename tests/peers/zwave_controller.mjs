// The emulated Z-Wave controller of Z-Wave JS with emulated nodes, on a TCP port, as its mock server has it.
// Arguments: path of node_modules. Says its port when it is ready. Each line on standard input is a JSON object whose `do`
// names something that nodes do; each is answered with a line.
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const [modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { MockServer } = require(`${modules}/zwave-js/build/cjs/mockServer.js`);
const { SecurityClass, dskToString, generateECDHKeyPair } = require("@zwave-js/core");
const { createMockZWaveRequestFrame } = require("@zwave-js/testing");
const { BinarySwitchCCReport, Security2CC, WakeUpCCWakeUpNotification } = require("@zwave-js/cc");

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
// Nodes set up their security only next to a controller with keys; they forget these when they join.
const securityKeys = {
  S2_AccessControl: key(1),
  S2_Authenticated: key(2),
  S2_Unauthenticated: key(3),
  S0_Legacy: key(4),
};

let controller;
let lastFrame;
const port = await freePort();
const server = new MockServer({
  interface: "127.0.0.1",
  port,
  config: { controller: { securityKeys }, onInit: (mock) => (controller = mock) },
});
await server.start();
while (!server.server.listening) await new Promise((resolve) => setTimeout(resolve, 10));

// What it says to a host that is killed meanwhile goes nowhere, which a controller lives with.
process.on("unhandledRejection", (error) => console.error(error));

// A host that shares its processor with others may take longer than a second to acknowledge a frame.
const expectHostACK = controller.expectHostACK.bind(controller);
controller.expectHostACK = (_, message) => expectHostACK(20_000, message);

// What nodes say, as the host gets it.
const emit = controller.mockPort.emitData.bind(controller.mockPort);
controller.mockPort.emitData = (data) => {
  if (data.length > 4 && data[3] === 0x04) lastFrame = data;
  emit(data);
};

// The emulated controller takes any request to add nodes for the beginning, also the one to stop, which a controller that
// adds nobody only acknowledges.
let adding = false;
const isIdleStop = ([start, , , request, mode]) => {
  if (start !== 0x01 || request !== 0x4a) return false;
  const stop = (mode & 0x0f) === 5;
  const idle = stop && !adding;
  adding = !stop;
  return idle;
};

// The emulated controller takes what is written at once for one unit, and TCP does not keep writes apart.
const write = server.serialport.writeAsync.bind(server.serialport);
server.serialport.writeAsync = async (bytes) => {
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] === 0x01 ? bytes[at + 1] + 2 : 1;
    if (isIdleStop(bytes.subarray(at, at + length))) emit(Uint8Array.of(0x06));
    else await write(bytes.subarray(at, at + length));
    at += length;
  }
};

// A sensor of air temperature, in degrees Celsius.
const details = { 0x31: { sensors: { 1: { supportedScales: [0] } } } };

const asleep = new Set();

const setUp = (node) => {
  node.defineBehavior({
    handleCC: () => (asleep.has(node.id) ? { action: "stop" } : undefined),
  });
};

const send = (id, cc, secure) => {
  const node = controller.nodes.get(id);
  const sent = secure ? Security2CC.encapsulate(cc, id, node.securityManagers) : cc;
  return node.sendToController(createMockZWaveRequestFrame(sent, { ackRequested: false }));
};

const report = (id, on) =>
  new BinarySwitchCCReport({ nodeId: controller.ownNodeId, currentValue: on, targetValue: undefined });

let nextKeyPair;

const dsk = (keyPair) => `dsk ${dskToString(keyPair.publicKey.slice(0, 16))}`;

const tricks = {
  // Says the device-specific key that nodes have which join from now on.
  key: async () => {
    nextKeyPair = await generateECDHKeyPair();
    return dsk(nextKeyPair);
  },
  // A node waits for the host to include nodes, and says its device-specific key when it is let in.
  join: ({ id, security, classes, sleeping }) => {
    controller.nodePendingInclusion = {
      id,
      capabilities: {
        isListening: !sleeping,
        isFrequentListening: false,
        securityClasses: new Set(security.map((name) => SecurityClass[name])),
        commandClasses: classes.map(([ccId, secure]) => ({
          ccId,
          version: 1,
          isSupported: true,
          secure,
          ...details[ccId],
        })),
      },
      setup: (node) => {
        setUp(node);
        if (nextKeyPair) node.ecdhKeyPair = nextKeyPair;
        else say(dsk(node.ecdhKeyPair));
      },
    };
    return "ok";
  },
  report: async ({ id, on, secure }) => {
    await send(id, report(id, on), secure);
    return "ok";
  },
  // What was said last is said again, byte for byte.
  replay: () => {
    void controller.sendToHost(lastFrame);
    return "ok";
  },
  // The node has another key from now on, of the class that it has.
  rekey: async ({ id, security }) => {
    await controller.nodes.get(id).securityManagers.securityManager2.setKey(SecurityClass[security], key(9));
    return "ok";
  },
  sleep: ({ id }) => {
    asleep.add(id);
    controller.nodes.get(id).autoAckControllerFrames = false;
    return "ok";
  },
  wake: async ({ id }) => {
    asleep.delete(id);
    controller.nodes.get(id).autoAckControllerFrames = true;
    await send(id, new WakeUpCCWakeUpNotification({ nodeId: controller.ownNodeId }), true);
    return "ok";
  },
  // What a node's switch is.
  state: ({ id }) => String(controller.nodes.get(id).state.get("BinarySwitch_currentValue")),
};

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", async (line) => {
  const { do: name, ...given } = JSON.parse(line);
  try {
    say(await tricks[name](given));
  } catch (error) {
    say(`error ${error.message}`);
  }
});
say(port);
