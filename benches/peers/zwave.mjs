// Decodes frames of Z-Wave under Security 2 with zwave-js: decrypts them and reads the command inside. Argument: path of
// node_modules. The first line on standard input is what is decoded; each line after it has everything decoded once, and is
// answered with the seconds of the processor.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { CommandClass } = require("@zwave-js/cc");
const { SecurityManager2, SecurityClass, SPANState } = require("@zwave-js/core");

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const granted = SecurityClass.S2_Authenticated;

let given;
for await (const line of createInterface({ input: process.stdin })) {
  if (!given) {
    const { home, own, key, told, frames } = JSON.parse(line);
    const manager = await SecurityManager2.create();
    await manager.setKey(granted, bytes(key));
    const context = {
      homeId: home,
      ownNodeId: own,
      frameType: "singlecast",
      securityManager2: manager,
      hasSecurityClass: (_, securityClass) => securityClass === granted,
      getHighestSecurityClass: () => granted,
      setSecurityClass: () => {},
      getSupportedCCVersion: () => 3,
      getDeviceConfig: () => undefined,
    };
    given = {
      manager,
      told: told.map(([node, entropy]) => [node, bytes(entropy)]),
      frames: frames.map(([node, frame]) => [bytes(frame), { ...context, sourceNodeId: node }]),
    };
    continue;
  }
  for (const [node, receiverEI] of given.told) {
    given.manager.deleteNonce(node);
    given.manager.setSPANState(node, { type: SPANState.LocalEI, receiverEI });
  }
  const before = process.cpuUsage();
  let opened = 0;
  for (const [frame, context] of given.frames) {
    opened += (await CommandClass.parse(frame, context)).encapsulated ? 1 : 0;
  }
  const { user, system } = process.cpuUsage(before);
  if (opened !== given.frames.length) throw new Error(`only ${opened} frames were opened`);
  console.log(JSON.stringify({ decoded: (user + system) / 1e6 }));
}
