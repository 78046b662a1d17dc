// Z-Wave JS as host: includes a bulb by its device-specific key with Security 2, reads it, switches it and hears it.
// Arguments: path of node_modules, port on 127.0.0.1 of a controller, the key as it is printed. Prints one line per behaviour.
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";

const [modules, port, dsk] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Driver, InclusionStrategy } = require("zwave-js");
const { SecurityClass } = require("@zwave-js/core");

const key = (byte) => Buffer.alloc(16, byte);
const driver = new Driver(`tcp://127.0.0.1:${port}`, {
  logConfig: { enabled: Boolean(process.env.VERBOSE), level: "debug", forceConsole: true },
  securityKeys: {
    S2_Unauthenticated: key(1),
    S2_Authenticated: key(2),
    S2_AccessControl: key(3),
    S0_Legacy: key(4),
  },
  storage: { cacheDir: mkdtempSync(join(tmpdir(), "zwave-js-host-")) },
  testingHooks: { skipNodeInterview: false },
});

const fail = (error) => {
  console.error(error);
  process.exit(1);
};
const expect = (condition, what) => (condition ? console.log(what) : fail(new Error(`not so: ${what}`)));
const heard = (node, isMeant) =>
  new Promise((resolve) => {
    const listener = (_, change) => {
      if (!isMeant(change)) return;
      node.off("value updated", listener);
      resolve();
    };
    node.on("value updated", listener);
  });

driver.on("error", fail);
setTimeout(() => fail(new Error("it takes too long")), 110_000).unref();
await driver.start();
await new Promise((resolve) => driver.once("driver ready", resolve));
console.log("the controller is interviewed");

const { controller } = driver;
const ready = new Promise((resolve) => {
  controller.on("node added", (node, result) => {
    expect(!result.lowSecurity, "the bulb is let in with what it asked for");
    node.once("ready", () => resolve(node));
  });
});
const granted = [];
await controller.beginInclusion({
  strategy: InclusionStrategy.Security_S2,
  userCallbacks: {
    grantSecurityClasses: async (requested) => {
      granted.push(...requested.securityClasses);
      return requested;
    },
    validateDSKAndEnterPIN: async (shown) => {
      expect(shown === dsk.slice(5), "the bulb hides the first five digits of its key and shows the others");
      return dsk.slice(0, 5);
    },
    abort: () => fail(new Error("the exchange of keys was aborted")),
  },
});
const bulb = await ready;
expect(granted.length === 1 && granted[0] === SecurityClass.S2_Authenticated, "it asks for the key of its class");
expect(bulb.getHighestSecurityClass() === SecurityClass.S2_Authenticated, "it joins with that key");

const level = { commandClass: 0x26, property: "targetValue" };
const current = { commandClass: 0x26, property: "currentValue" };
const set = await bulb.setValue(level, 55);
expect(set.status === 255, "a level is set, and the bulb confirms it");
await bulb.commandClasses["Multilevel Switch"].get();
expect(bulb.getValue(current) === 55, "and says so when it is asked");
await bulb.commandClasses["Binary Switch"].set(false);
expect((await bulb.commandClasses["Binary Switch"].get()).currentValue === false, "it is switched off");
await heard(bulb, (change) => change.commandClass === 0x26 && change.newValue === 42);
console.log("somebody turns its knob, and it is heard");
await driver.destroy();
process.exit(0);
