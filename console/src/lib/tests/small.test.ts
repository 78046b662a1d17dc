import { expect, test } from "vitest";
import { utf8 } from "../bytes";
import { head } from "../cbor";
import { readApproval } from "../evidence";
import { csv, readNames } from "../names";
import { match, path } from "../router";
import { lines, step } from "../series";
import { share } from "../share";
import { word } from "../shell";

test("a path leads to its page, with its parts unescaped", () => {
  const table = [
    ["/", "home"],
    ["/devices/:device", "device"],
  ] as const;
  expect(match(table, "/")).toEqual({ page: "home", params: {} });
  expect(match(table, "/devices/a%20b/")).toEqual({ page: "device", params: { device: "a b" } });
  expect(match(table, path("devices", "a/b"))).toEqual({ page: "device", params: { device: "a/b" } });
  expect(match(table, "/devices/%E0%A4%A")).toEqual({ page: "missing", params: {} });
  expect(match(table, "/devices")).toEqual({ page: "missing", params: {} });
});

test("a list of names is read with its kinds, and each mistake has its line", () => {
  expect(readNames('name,kind\nmeter-2\n\nyard,Gateway\r\n"mill"\n')).toEqual({
    wanted: [
      { name: "meter-2", role: "device" },
      { name: "yard", role: "gateway" },
      { name: "mill", role: "device" },
    ],
    problems: [],
  });
  const { wanted, problems } = readNames("a b\nmeter\nmeter\nx,boss");
  expect(wanted).toEqual([{ name: "meter", role: "device" }]);
  expect(problems.map((p) => p.line)).toEqual([1, 3, 4]);
});

test("CSV quotes what has to be", () => {
  expect(csv([["a", 'b"c', "d,e"]])).toBe('a,"b""c","d,e"\r\n');
});

test("series share one list of times", () => {
  const { times, values } = lines([
    { key: "a", time: 2, value: 20 },
    { key: "b", time: 1, value: 5 },
    { key: "a", time: 1, value: 10 },
  ]);
  expect(times).toEqual([1, 2]);
  expect([...values]).toEqual([
    ["a", [10, 20]],
    ["b", [5, null]],
  ]);
});

test("windows are as wide as can be seen", () => {
  expect(step({ from: 0, to: 60_000 })).toBe(1);
  expect(step({ from: 0, to: 3_600_000 })).toBe(15);
  expect(step({ from: 0, to: 30 * 86_400_000 })).toBe(14_400);
});

test("an approval says what the passkey was asked for", () => {
  const bytes = (content: Uint8Array) => [...head(2, content.length), ...content];
  const authenticator = new Uint8Array(37);
  authenticator[32] = 0x05;
  const approval = (client: string) =>
    new Uint8Array([
      0x84,
      ...bytes(new Uint8Array([1, 2])),
      ...bytes(authenticator),
      ...bytes(utf8(client)),
      ...bytes(new Uint8Array([3])),
    ]);
  const client = '{"type":"webauthn.get","challenge":"-_8","origin":"https://console.example"}';
  expect(readApproval(approval(client))).toMatchObject({
    credential: new Uint8Array([1, 2]),
    challenge: new Uint8Array([0xfb, 0xff]),
    origin: "https://console.example",
    isUserVerified: true,
  });
  expect(readApproval(approval(client).with(0, 0x83))).toBeUndefined();
  expect(readApproval(approval(client.replace(".get", ".new")))).toBeUndefined();
  expect(readApproval(utf8("something else"))).toBeUndefined();
});

test("a word of a command line stays one", () => {
  expect(word("town.local/tenant/town+0b8bdca8+AS2Et8Ec=")).toBe("town.local/tenant/town+0b8bdca8+AS2Et8Ec=");
  expect(word("x'; reboot")).toBe(String.raw`'x'\''; reboot'`);
  expect(word("")).toBe("''");
});

test("numbers after the last signature are not missing, numbers that it leaves out are", () => {
  const windows = (...counts: number[]) => counts.map((count, at) => ({ start: `10:0${at}`, count }));
  expect(share({ all: windows(5, 5, 5), signed: windows(5, 3) })).toEqual({ signed: 8, missing: 0, until: "10:01" });
  expect(share({ all: windows(5, 5, 5), signed: windows(2, 3) })).toEqual({ signed: 5, missing: 3, until: "10:01" });
  expect(share({ all: windows(5, 5), signed: [] })).toEqual({ signed: 0, missing: 10 });
  expect(share({ all: [], signed: [] })).toEqual({ signed: 0, missing: 0 });
});
