// Grants against the vectors of the device's own code.

import { expect, test } from "vitest";
import vectors from "../../../../docs/wire/vectors/grants.json";
import { concat, hex, type Bytes } from "../bytes";
import { decode, encode } from "../cbor";
import { bounds, isGenuine, makeHolder, narrow, present, readGrant, type Holder, type Value } from "../grant";

const PUBLIC = vectors.grants.filter(({ profile }) => profile === "public");
/** What stands before an Ed25519 seed in PKCS#8, and before a key in SubjectPublicKeyInfo: RFC 8410. */
const PKCS8 = "302e020100300506032b657004220420";
const SPKI_LENGTH = 12;

function bytes(digits: string): Bytes {
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

async function holder({ seed, spki }: { seed: string; spki: string }): Promise<Holder> {
  const secret = await crypto.subtle.importKey("pkcs8", bytes(PKCS8 + seed), { name: "Ed25519" }, false, ["sign"]);
  return { key: bytes(spki).slice(SPKI_LENGTH), secret };
}

const issuer = bytes(vectors.keys.issuer.spki).slice(SPKI_LENGTH);
const people = await Promise.all([vectors.keys.anna, vectors.keys.ben].map(holder));
const [anna, ben] = people as [Holder, Holder];

function named(name: string) {
  const found = PUBLIC.find((vector) => vector.name === name);
  if (!found) throw new Error(`there is no vector ${name}`);
  return found;
}

test.each(PUBLIC)("$name is read, found genuine, and shown byte by byte as the device's code shows it", async (vector) => {
  const grant = await readGrant(bytes(vector.grant));
  expect(grant.id).toBe(vector.id);
  expect(grant.blocks.map((block) => block.expires ?? null)).toEqual(vector.blocks.map((block) => block.expires));
  expect(grant.blocks.map((block) => block.audience ?? null)).toEqual(vector.blocks.map((block) => block.audience));
  expect(await isGenuine(grant, issuer)).toBe(true);
  expect(await isGenuine(grant, anna.key)).toBe(false);
  const [action, input] = decode(bytes(vector.operation)) as [string, Map<string, Value>];
  const own = people.find((person) => hex(person.key) === hex(grant.holder));
  // A third holder is in the vectors too, whose key is not needed here.
  if (!own) return expect(vector.blocks.length).toBeGreaterThan(2);
  const to = { device: vector.device, nonce: bytes(vector.nonce) };
  expect(hex(await present(grant, own, to, { action, input }))).toBe(vector.presentation);
});

test("a grant is narrowed byte by byte as the device's code narrows it", async () => {
  const [whole, narrowed] = [named("a usual grant"), named("a usual grant, narrowed")];
  const minutes = new Map([["minutes", { max: 30 }]]);
  const terms = { expires: 1_800_003_600, permissions: [{ action: "reserve", bounds: minutes }] };
  const handed = await narrow(await readGrant(bytes(whole.grant)), anna, terms, ben.key);
  expect(hex(handed)).toBe(narrowed.grant);
  const grant = await readGrant(handed);
  expect(bounds(grant)).toEqual({ notBefore: 1_800_000_000, expires: 1_800_003_600, uses: 1 });
  expect(grant.blocks[1]?.permissions).toEqual([{ action: "reserve", bounds: new Map([["minutes", { min: undefined, max: 30 }]]) }]);
});

test("only its holder shows or hands on a grant, at most four times", async () => {
  let grant = await readGrant(bytes(named("a usual grant").grant));
  const to = { device: "meter-12", nonce: new Uint8Array(16) };
  const reserve = { action: "reserve", input: new Map([["minutes", 1]]) };
  await expect(present(grant, ben, to, reserve)).rejects.toThrow("somebody else's");
  await expect(narrow(grant, ben, {}, ben.key)).rejects.toThrow("somebody else's");
  for (let n = 0; n < 4; n += 1) grant = await readGrant(await narrow(grant, anna, {}, anna.key));
  await expect(narrow(grant, anna, {}, anna.key)).rejects.toThrow("too often");
});

test("every byte of a grant matters", async () => {
  const whole = bytes(named("a usual grant, narrowed").grant);
  for (const at of whole.keys()) {
    const bent = whole.slice();
    bent[at] = (bent[at] as number) ^ 1;
    const isTaken = async () => isGenuine(await readGrant(bent), issuer);
    expect(await isTaken().catch(() => false), `byte ${at}`).toBe(false);
  }
  await expect(readGrant(concat(whole, new Uint8Array([0])))).rejects.toThrow();
  await expect(readGrant(new Uint8Array())).rejects.toThrow();
});

test("a new holder's key is no script's to read", async () => {
  const { key, secret } = await makeHolder();
  expect(key.length).toBe(32);
  expect(secret.extractable).toBe(false);
});

test("what is written is read again, in one order whatever order it came in", () => {
  const map = new Map<string, Value>([["minutes", 5], ["z", true], ["a", "x"]]);
  expect(hex(encode(map))).toBe("a361616178617af5676d696e7574657305");
  expect(decode(encode([-65538, 4_294_967_295, null, new Uint8Array([1])]))).toEqual([-65538, 4_294_967_295, null, new Uint8Array([1])]);
  expect(() => encode(4_294_967_296)).toThrow();
});
