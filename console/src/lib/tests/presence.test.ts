// Who is there, and who is missing.

import { expect, test } from "vitest";
import type { Member } from "../fleet";
import { isMissing, stateOf } from "../presence";
import { way } from "../protection";
import { moment } from "../time";

const NOW = Date.parse("2026-11-28T21:00:00Z");
const before = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString();
const member = (of: Partial<Member>): Member => ({
  name: "meter-1",
  role: "device",
  state: "enrolled",
  created: before(10_000),
  connected: null,
  gateway: null,
  ...of,
});

const [there, behind] = [{ connected: before(300) }, { gateway: "hall-gateway" }];

test.each<[string, Partial<Member>, string, boolean]>([
  ["with a connection", { ...there, seen: before(1) }, "connected", false],
  ["with a connection, and nothing that one may see", there, "connected", false],
  ["with a connection, and silent", { ...there, seen: before(61) }, "quiet", true],
  ["that comes by a gateway", { ...behind, seen: before(59) }, "behind", false],
  ["that comes by a gateway, unseen", behind, "behind", false],
  ["that came by a gateway", { ...behind, seen: before(61) }, "quiet", true],
  ["that has its own connection now", { ...there, ...behind, seen: before(1) }, "connected", false],
  ["without anything", {}, "offline", true],
  ["that was there just now", { seen: before(14) }, "offline", false],
  ["that was there", { seen: before(16) }, "offline", true],
  ["that was just registered", { created: before(1) }, "offline", false],
  ["that has not enrolled", { state: "claimed" }, "claimed", false],
  ["that was released", { state: "released", seen: before(100) }, "released", false],
])("a device %s", (_, of, state, missing) => {
  expect(stateOf(member(of), NOW)).toBe(state);
  expect(isMissing(member(of), NOW)).toBe(missing);
});

test("a gateway that is gone is missing, an application is not", () => {
  expect(isMissing(member({ role: "gateway" }), NOW)).toBe(true);
  expect(stateOf(member({ role: "application" }), NOW)).toBe("not connected");
  expect(isMissing(member({ role: "application" }), NOW)).toBe(false);
  expect(stateOf(member({ role: "application", ...there }), NOW)).toBe("connected");
});

test("the way to the service is what was seen of it", () => {
  expect(way(member(there), NOW).found).toContain("with its own key, since");
  expect(way(member(behind), NOW).found).toContain("hall-gateway");
  expect(way(member({}), NOW)).toMatchObject({ state: "unknown", found: "It is not connected." });
});

test("a moment is a time of this day, or another day", () => {
  expect(moment(before(300), NOW)).toMatch(/^\d\d:\d\d$/);
  expect(moment("2026-11-20T12:00:00Z", NOW)).toBe("20 Nov 2026");
});
