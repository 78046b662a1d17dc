// The way that a reading took.

import { expect, test } from "vitest";
import type { Reading } from "../fleet";
import { linkOf, newest, pathOf } from "../path";

const reading = (of: Partial<Reading>): Reading => ({
  time: "2026-11-28T21:00:00Z",
  device: "lamp",
  stream: "light",
  field: null,
  kind: "number",
  value: 3,
  unit: null,
  assurance: "gateway-sealed",
  received: "2026-11-28T21:00:02Z",
  chain: "0000000000000000",
  seq: 0,
  item: 0,
  link: null,
  gateway: null,
  gateway_received: null,
  ...of,
});

test("a reading of a radio has its link, its gateway and both times", () => {
  const through = { link: "zigbee-install-code", gateway: "hall", gateway_received: "2026-11-28T21:00:01Z" };
  const steps = pathOf(reading(through));
  expect(steps.map((s) => s.place)).toEqual(["lamp", "Zigbee", "hall", "The service"]);
  expect(steps.map((s) => s.at)).toEqual([
    "2026-11-28T21:00:00Z",
    undefined,
    "2026-11-28T21:00:01Z",
    "2026-11-28T21:00:02Z",
  ]);
});

test("a reading over a connection of its own went through nobody, and an old one through a gateway not known", () => {
  const own = pathOf(reading({ assurance: "device-signed" }));
  expect(own.map((s) => s.place)).toEqual(["lamp", "TLS 1.3", "The service"]);
  expect(pathOf(reading({})).map((s) => s.place)).toEqual(["lamp", "A gateway", "The service"]);
});

test("a reading over CoAP at the service went through no gateway", () => {
  const steps = pathOf(reading({ assurance: "device-signed", link: "oscore" }));
  expect(steps.map((s) => s.place)).toEqual(["lamp", "CoAP", "The service"]);
});

test("no link looks better than it is", () => {
  const states = ["zwave-none", "ble-none", "zwave-s0", "zigbee-network-key", "zigbee2mqtt", "new"].map(
    (word) => linkOf(word).state,
  );
  expect(states).toEqual(["bad", "bad", "warn", "warn", "warn", "warn"]);
});

test("the newest is what the service took last", () => {
  const [first, second] = [reading({ seq: 1 }), reading({ seq: 2, received: "2026-11-28T21:00:03Z" })];
  expect(newest([first, second, first])).toBe(second);
  expect(newest([])).toBeUndefined();
});
