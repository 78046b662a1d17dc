// Decodes frames of Zigbee with zigbee-on-host (both layers of encryption) and zigbee-herdsman (the cluster library), and the
// messages inside with zigbee-herdsman alone. Argument: path of node_modules. The first line on standard input is what is
// decoded; each line after it has everything decoded once, and is answered with the seconds of the processor.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const host = `${modules}/zigbee-on-host/dist/zigbee`;
const mac = require(`${host}/mac.js`);
const nwk = require(`${host}/zigbee-nwk.js`);
const aps = require(`${host}/zigbee-aps.js`);
const { registerDefaultHashedKeys, makeKeyedHashByType } = require(`${host}/zigbee.js`);
const { ZclFrame } = require(`${modules}/zigbee-herdsman/dist/zspec/zcl/zclFrame.js`);
const { ZclHeader } = require(`${modules}/zigbee-herdsman/dist/zspec/zcl/zclHeader.js`);

const library = (cluster, message) => ZclFrame.fromBuffer(cluster, ZclHeader.fromBuffer(message), message, {});

// Its decoders expect the checksum behind the frame.
const CHECKSUM = Buffer.alloc(2);

const decode = (frame, networkKey, linkKey) => {
  const [macControl, macAt] = mac.decodeMACFrameControl(frame, 0);
  const [macHeader, macEnd] = mac.decodeMACHeader(frame, macAt, macControl);
  const network = mac.decodeMACPayload(frame, macEnd, macControl, macHeader);
  const [nwkControl, nwkAt] = nwk.decodeZigbeeNWKFrameControl(network, 0);
  const [nwkHeader, nwkEnd] = nwk.decodeZigbeeNWKHeader(network, nwkAt, nwkControl);
  const application = nwk.decodeZigbeeNWKPayload(network, nwkEnd, networkKey, macHeader.source64, nwkControl, nwkHeader);
  const [apsControl, apsAt] = aps.decodeZigbeeAPSFrameControl(application, 0);
  const [apsHeader, apsEnd] = aps.decodeZigbeeAPSHeader(application, apsAt, apsControl);
  const message = aps.decodeZigbeeAPSPayload(
    application, apsEnd, linkKey, nwkHeader.securityHeader?.source64, apsControl, apsHeader);
  return library(apsHeader.clusterId, message);
};

const times = (count, work) => Array.from({ length: count }).forEach(work);

const seconds = (work) => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
};

// Once is too short a time.
const LIBRARY_TIMES = 20;

let given;
for await (const line of createInterface({ input: process.stdin })) {
  if (!given) {
    const { networkKey, linkKey, frames } = JSON.parse(line);
    const bytes = (hex) => Buffer.from(hex, "hex");
    const [network, link] = [bytes(networkKey), bytes(linkKey)];
    const hashed = (type) => makeKeyedHashByType(type, link);
    registerDefaultHashedKeys(link, network, hashed(2), hashed(3));
    given = {
      network,
      link,
      frames: frames.map(([frame, cluster, message]) => [Buffer.concat([bytes(frame), CHECKSUM]), cluster, bytes(message)]),
    };
    // What it opens is what was sealed.
    const [frame, , message] = given.frames[0];
    const opened = decode(frame, network, link);
    if (!opened.toBuffer().equals(message)) throw new Error("the frame says something else");
    continue;
  }
  // It opens in place.
  const copies = given.frames.map(([frame]) => Buffer.from(frame));
  console.log(JSON.stringify({
    decoded: seconds(() => copies.forEach((frame) => decode(frame, given.network, given.link))),
    library: seconds(() => times(LIBRARY_TIMES, () => given.frames.forEach(([, cluster, message]) => library(cluster, message)))) / LIBRARY_TIMES,
  }));
}
