import { expect, test } from "vitest";
import { decode } from "../cbor";

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

test.each([
  ["00", 0],
  ["1864", 100],
  ["1a000f4240", 1_000_000],
  ["1b000662a0c1ee1f3b", 1_797_292_448_161_595],
  ["27", -8],
  ["f6", null],
  ["f5", true],
  ["6161", "a"],
  ["83010203", [1, 2, 3]],
])("%s is read", (hex, value) => {
  expect(decode(bytes(hex))).toEqual(value);
});

test.each([
  ["", "too short"],
  ["0000", "left over"],
  ["1817", "shortest"],
  ["190064", "shortest"],
  ["1bffffffffffffffff", "too large"],
  ["9f01ff", "length is missing"],
  ["9affffffff", "too short"],
  ["5affffffff", "too short"],
  ["a2616101616102", "twice"],
  ["f97e00", "unknown"],
  ["61ff", /utf-8/],
  ["81".repeat(40) + "00", "too deep"],
])("%s is refused", (hex, why) => {
  expect(() => decode(bytes(hex))).toThrow(why);
});
