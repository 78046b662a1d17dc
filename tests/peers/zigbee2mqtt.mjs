// Zigbee2MQTT at a broker, with an adapter that has things of its own in place of a radio.
// Arguments: path of node_modules, port of the broker, user name and password at it. Says `ready` when it is. Each line on
// standard input is a JSON object whose `do` names something that happens; each is answered with a line.
import { mkdtempSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [modules, broker, user, password] = process.argv.slice(2);
const require = createRequire(`${modules}/`);

// Its standard output is for answers.
const say = (text) => process.stdout.write(`${text}\n`);
console.log = console.error;

const data = mkdtempSync(join(tmpdir(), "thingward-zigbee2mqtt-"));
process.env.ZIGBEE2MQTT_DATA = data;
writeFileSync(
  join(data, "configuration.yaml"),
  `version: 5
mqtt: { base_topic: zigbee2mqtt, server: "mqtt://127.0.0.1:${broker}", user: ${user}, password: ${password} }
serial: { port: /dev/null, adapter: ember }
frontend: { enabled: false }
homeassistant: { enabled: false }
availability: { enabled: false }
advanced: { log_output: [], cache_state: true }
device_options: { retain: true }
devices:
  "0x00158d0001000001": { friendly_name: garden sensor }
  "0x000b57fffe000002": { friendly_name: kitchen/lamp }
  "0x000d6f0003000003": { friendly_name: front door }
  "0x588e81fffe000004": { friendly_name: blind }
`,
);

// Things, as their interview would have left them.
const endpoint = (clusters) => ({ profId: 260, epId: 1, devId: 0, inClusterList: clusters, outClusterList: [], clusters: {}, binds: [], configuredReportings: [], meta: {} });
const thing = (id, ieeeAddr, type, manufName, modelId, clusters) => ({
  id, type, ieeeAddr, nwkAddr: 0x1000 + id, manufName, modelId, powerSource: "Battery", epList: [1],
  endpoints: { 1: endpoint(clusters) }, interviewCompleted: true, interviewState: "SUCCESSFUL", meta: { configured: 1 }, lastSeen: Date.now(),
});
const things = [
  { id: 1, type: "Coordinator", ieeeAddr: "0x00124b00c0ffee01", nwkAddr: 0, epList: [1], endpoints: { 1: endpoint([]) }, interviewCompleted: true, interviewState: "SUCCESSFUL", meta: {} },
  thing(2, "0x00158d0001000001", "EndDevice", "LUMI", "lumi.weather", [0, 1, 0x0402, 0x0403, 0x0405]),
  thing(3, "0x000b57fffe000002", "Router", "IKEA of Sweden", "TRADFRI bulb E27 WS opal 980lm", [0, 3, 4, 5, 6, 8, 0x0300]),
  thing(4, "0x000d6f0003000003", "EndDevice", "Yale", "YRD226 TSDB", [0, 1, 0x0101]),
  thing(5, "0x588e81fffe000004", "EndDevice", "IKEA of Sweden", "FYRTUR block-out roller blind", [0, 1, 0x0102]),
];
writeFileSync(join(data, "database.db"), things.map((entry) => `${JSON.stringify(entry)}\n`).join(""));

const { EventEmitter } = require("node:events");
const adapters = require("zigbee-herdsman/dist/adapter");
const Zcl = require("zigbee-herdsman/dist/zspec/zcl");

// What things tell when they did something: cluster, and attribute, type and value.
const doings = {
  lockDoor: ["closuresDoorLock", [[0, 0x30, 1]]],
  unlockDoor: ["closuresDoorLock", [[0, 0x30, 2]]],
  upOpen: ["closuresWindowCovering", [[8, 0x20, 0]]],
  downClose: ["closuresWindowCovering", [[8, 0x20, 100]]],
};

// Whatever is commanded is done, and answered.
class Air extends EventEmitter {
  hasZdoMessageOverhead = false;
  manufacturerID = 0;
  sent = [];
  sequence = 0;
  start = async () => "resumed";
  stop = async () => {};
  getCoordinatorIEEE = async () => "0x00124b00c0ffee01";
  getCoordinatorVersion = async () => ({ type: "none", meta: {} });
  getNetworkParameters = async () => ({ panID: 0x1a62, extendedPanID: "0xdddddddddddddddd", channel: 11, nwkUpdateID: 0 });
  supportsBackup = async () => false;
  permitJoin = async () => {};
  sendZdo = async () => {};
  waitFor = () => ({ promise: new Promise(() => {}), cancel: () => {} });
  sendZclFrameToAll = async () => {};
  sendZclFrameToGroup = async () => {};
  async sendZclFrameToEndpoint(ieeeAddr, nwk, endpointId, frame) {
    this.sent.push(`${ieeeAddr} ${frame.cluster.name} ${frame.command.name} ${JSON.stringify(frame.payload)}`);
    const told = doings[frame.command.name];
    if (told) setTimeout(() => this.report(nwk, ...told), 50);
    const answer = Zcl.Frame.create(
      Zcl.FrameType.GLOBAL, Zcl.Direction.SERVER_TO_CLIENT, true, undefined, frame.header.transactionSequenceNumber,
      "defaultRsp", frame.cluster.ID, { cmdId: frame.command.ID, statusCode: 0 }, {},
    );
    return this.payload(nwk, endpointId, frame.cluster.ID, answer);
  }
  payload(address, endpointId, clusterID, frame) {
    return {
      clusterID, address, header: frame.header, data: frame.toBuffer(), endpoint: endpointId, linkquality: 120, groupID: 0,
      wasBroadcast: false, destinationEndpoint: 1,
    };
  }
  report(nwk, cluster, attrs) {
    this.sequence = (this.sequence + 1) % 256;
    const id = Zcl.Utils.getCluster(cluster, undefined, {}).ID;
    const frame = Zcl.Frame.create(
      Zcl.FrameType.GLOBAL, Zcl.Direction.SERVER_TO_CLIENT, true, undefined, this.sequence, "report", id,
      attrs.map(([attrId, dataType, attrData]) => ({ attrId, dataType, attrData })), {},
    );
    this.emit("zclPayload", this.payload(nwk, 1, id, frame));
  }
}
const air = new Air();
adapters.Adapter.create = async () => air;

const { Controller } = require("zigbee2mqtt/dist/controller");
const settings = require("zigbee2mqtt/dist/util/settings");
settings.reRead();
const controller = new Controller(async () => {}, async (code) => process.exit(code));

const tricks = {
  report: ({ nwk, cluster, attributes }) => air.report(nwk, cluster, attributes),
  leave: ({ ieee }) => void air.emit("deviceLeave", { ieeeAddr: ieee }),
  // What was sent over the air, newest last.
  sent: () => JSON.stringify(air.sent),
  stop: () => controller.stop(false),
};

await controller.start();
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
say("ready");
