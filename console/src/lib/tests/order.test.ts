// What this browser signs, and what it does not.

import { expect, test } from "vitest";
import { base64url, toBase64url, utf8 } from "../bytes";
import { makeKey, makeTokenKey, sign } from "../key";
import { check, readOrder } from "../order";
import { isSigned, keyId } from "../publickey";
import { cbor, header, LOG, NONCE, order, payload, TOLD, type Told } from "./make";

const key = await makeKey();
const other = await makeKey();
const signer = { tenant: "acme", user: "maya-id", key: key.id };
const tenantPath = (path: string) => `/api/v1/tenants/acme/${path}`;
const CALL = { method: "PUT", path: tenantPath("users/noor") };

test("a session's key signs, and does not come out of the browser", async () => {
  const message = order(key);
  expect(await isSigned(base64url(key.spki), await sign(key, message), message)).toBe(true);
  expect(await isSigned(base64url(other.spki), await sign(key, message), message)).toBe(false);
  expect(key.secret.extractable).toBe(false);
  await expect(crypto.subtle.exportKey("pkcs8", key.secret)).rejects.toThrow();
  expect(key.id).toBe(await keyId(base64url(key.spki)));
  expect(key.id).toMatch(/^[0-9a-f]{16}$/);
});

test("a token's key is the scalar of the public key that the service gets", async () => {
  const { spki, secret } = await makeTokenKey();
  expect(base64url(secret).length).toBe(32);
  const point = base64url(spki).slice(-64);
  const [x, y] = [point.slice(0, 32), point.slice(32)].map(toBase64url);
  const jwk = { kty: "EC", crv: "P-256", x, y, d: secret };
  const program = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const signature = await sign({ ...key, secret: program }, NONCE);
  expect(await isSigned(base64url(spki), signature, NONCE)).toBe(true);
});

test("an order says what will stand in the log", () => {
  const { log, deed, keyId } = readOrder(order(key));
  expect(log).toBe(LOG);
  expect(keyId).toBe(key.id);
  expect(deed).toEqual({ ...TOLD, details: new Map(Object.entries(TOLD.details)) });
  expect(() => check(readOrder(order(key)), CALL, signer)).not.toThrow();
});

const deeds: [string, string, Partial<Told>][] = [
  ["PUT", "users/noor", { action: "user.add" }],
  ["POST", "claims", { action: "device.claim", target: "device/meter-9" }],
  ["POST", "devices/meter-1/commands", { action: "command.send", target: "operation/meter-1/set-rate" }],
  ["DELETE", "devices/meter-1/commands/00ff", { action: "command.cancel", target: "operation/meter-1/set-rate" }],
  ["POST", "devices/hall/release", { action: "device.release", target: "gateway/hall" }],
  ["PUT", "groups/ops/user/noor", { action: "group.add", target: "group/ops" }],
  ["POST", "key/withdraw", { action: "key.withdraw", target: "key" }],
  ["PUT", "policy", { action: "policy.apply", target: "policy/4" }],
  ["POST", "tokens", { action: "token.create", target: "token/3f2a" }],
  ["DELETE", "sessions/3f2a", { action: "session.end", target: "session/3f2a" }],
  ["DELETE", "users/noor/passkeys/AbC_", { action: "passkey.remove", target: "passkey/0011223344556677" }],
];

test.each(deeds)("%s %s is signed", (method, path, told) => {
  expect(() => check(readOrder(order(key, told)), { method, path: tenantPath(path) }, signer)).not.toThrow();
});

const [pump, admins] = [
  { action: "device.revoke", target: "device/pump-1" },
  { action: "group.add", target: "group/admins" },
];
const wrong: [string, Partial<Told>, string, string][] = [
  ["somebody else's deed", { actor: "user/noor-id" }, CALL.method, CALL.path],
  ["the service's deed", { actor: "service" }, CALL.method, CALL.path],
  ["another action", { action: "user.remove" }, CALL.method, CALL.path],
  ["an action that is no change", { action: "session.begin" }, CALL.method, CALL.path],
  ["a role where a user is removed", {}, "DELETE", CALL.path],
  ["a role where something is read", {}, "GET", CALL.path],
  ["a call to another tenant", {}, "PUT", "/api/v1/tenants/other/users/noor"],
  ["another device", pump, "POST", tenantPath("devices/meter-1/revoke")],
  ["another group", admins, "PUT", tenantPath("groups/ops/user/noor")],
  ["a longer target", { target: "user/noor-id/more" }, CALL.method, CALL.path],
  ["no target", { target: "user/" }, CALL.method, CALL.path],
];

test.each(wrong)("%s is not signed", (_, told, method, path) => {
  expect(() => check(readOrder(order(key, told)), { method, path }, signer)).toThrow(/It is/);
});

test("an order for another key, algorithm or log is not signed", () => {
  expect(() => check(readOrder(order(other)), CALL, signer)).toThrow("another session");
  const elsewhere = order(key, {}, "thingward order town.local/tenant/other");
  expect(() => check(readOrder(elsewhere), CALL, signer)).toThrow("another log");
});

const id = new Uint8Array(8);

test.each([
  ["nothing", new Uint8Array()],
  ["no CBOR", new Uint8Array([0xff])],
  ["half of it", order(key).slice(0, -1)],
  ["a byte too many", new Uint8Array([...order(key), 0])],
  ["another list", cbor(["Signature", header(id), utf8(`thingward order ${LOG}`), payload(TOLD)])],
  ["an entry of the log", order(key, {}, "thingward audit entry")],
  ["a reply", order(key, {}, "thingward reply")],
  ["no deed", cbor(["Signature1", header(id), utf8(`thingward order ${LOG}`), NONCE])],
  ["no key id", cbor(["Signature1", cbor(new Map([[1, -7]])), utf8(`thingward order ${LOG}`), payload(TOLD)])],
  ["no nonce", order(key, { evidence: null })],
  ["too much", order(key, { details: { roles: "x".repeat(33 * 1024) } })],
])("%s is no order", (_, bytes) => {
  expect(() => readOrder(bytes)).toThrow();
});
