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
const CALL = { method: "PUT", path: tenantPath("users/noor"), body: { roles: ["viewer"] } };

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

const COMMAND = { action: "command.send", target: "operation/meter-1/set-rate" };
const CANCEL = { action: "command.cancel", target: "operation/meter-1/set-rate", details: { id: "00ff" } };
const CLAIM = { action: "device.claim", target: "device/meter-9" };
const MEMBER = { action: "group.add", target: "group/ops", details: { member: "device/pump-1" } };
const TOKEN = {
  action: "token.create",
  target: "token/3f2a",
  details: { scopes: "devices:read keys:manage", key: "K" },
};
const PASSKEY = { action: "passkey.add", target: "passkey/0011", details: { key: "K" } };
const SERIAL = { action: "maker.expect", target: "maker/m", details: { serial: "7/b a" } };
const REVOKE = { action: "device.revoke", target: "device/pump-1", details: { reason: "superseded" } };
const LINK = { action: "link.create", target: "user/noor-id", details: { kind: "invite" } };

const deeds: [string, string, Partial<Told>, unknown?][] = [
  ["PUT", "users/noor", { action: "user.add" }, { roles: ["viewer"] }],
  ["PUT", "users/noor", { details: { roles: "administrator viewer" } }, { roles: ["viewer", "administrator"] }],
  ["PUT", "users/noor", { details: { roles: "" } }, { roles: [] }],
  ["POST", "claims", CLAIM, { name: "meter-9", role: "device" }],
  ["POST", "devices/meter-1/commands", COMMAND, { action: "set-rate", input: 1 }],
  ["DELETE", "devices/meter-1/commands/00ff", CANCEL],
  ["POST", "devices/hall/release", { action: "device.release", target: "gateway/hall" }],
  ["POST", "devices/pump-1/revoke", REVOKE, { reason: "superseded" }],
  ["PUT", "groups/ops/device/pump-1", MEMBER],
  ["PUT", "groups/ops/user/noor", { ...MEMBER, details: { member: "user/noor-id" } }],
  ["PUT", "makers/m/serials/7%2Fb%20a", SERIAL, {}],
  ["PUT", "policy", { action: "policy.apply", target: "policy/4" }, { files: [] }],
  ["POST", "tokens", TOKEN, { scopes: ["keys:manage", "devices:read"], key: "K" }],
  ["POST", "tokens", { ...TOKEN, details: { scopes: "log:read" } }, { scopes: ["log:read"] }],
  ["DELETE", "sessions/3f2a", { action: "session.end", target: "session/3f2a" }],
  ["POST", "users/noor/link", LINK, { kind: "invite" }],
  ["POST", "users/maya/passkeys", PASSKEY, { name: "n", credential: { response: { publicKey: "K" } } }],
  ["DELETE", "users/noor/passkeys/AbC_", { action: "passkey.remove", target: "passkey/0011223344556677" }],
];

test.each(deeds)("%s %s is signed", (method, path, told, body) => {
  expect(() => check(readOrder(order(key, told)), { method, path: tenantPath(path), body }, signer)).not.toThrow();
});

const [pump, admins] = [
  { action: "device.revoke", target: "device/pump-1" },
  { action: "group.add", target: "group/admins", details: { member: "user/noor-id" } },
];
const wrong: [string, Partial<Told>, string, string, unknown?][] = [
  ["somebody else's deed", { actor: "user/noor-id" }, CALL.method, CALL.path, CALL.body],
  ["the service's deed", { actor: "service" }, CALL.method, CALL.path, CALL.body],
  ["another action", { action: "user.remove" }, CALL.method, CALL.path, CALL.body],
  ["an action that is no change", { action: "session.begin" }, CALL.method, CALL.path, CALL.body],
  ["a role where a user is removed", {}, "DELETE", CALL.path, CALL.body],
  ["a role where something is read", {}, "GET", CALL.path, CALL.body],
  ["a call to another tenant", {}, "PUT", "/api/v1/tenants/other/users/noor", CALL.body],
  ["what no page does", { action: "key.withdraw", target: "key" }, "POST", tenantPath("key/withdraw")],
  ["no action", { action: "", target: "" }, "POST", tenantPath("key/withdraw")],
  ["another device", pump, "POST", tenantPath("devices/meter-1/revoke"), {}],
  ["another group", admins, "PUT", tenantPath("groups/ops/user/noor")],
  ["a longer target", { target: "user/noor-id/more" }, CALL.method, CALL.path, CALL.body],
  ["no target", { target: "user/" }, CALL.method, CALL.path, CALL.body],
  ["a higher role", { details: { roles: "administrator" } }, CALL.method, CALL.path, CALL.body],
  ["a role more", { details: { roles: "viewer administrator" } }, CALL.method, CALL.path, CALL.body],
  ["no role", { details: {} }, CALL.method, CALL.path, CALL.body],
  ["a role that was not asked for", {}, CALL.method, CALL.path],
  ["a claim of another name", CLAIM, "POST", tenantPath("claims"), { name: "meter-8", role: "device" }],
  ["a claim for a gateway", CLAIM, "POST", tenantPath("claims"), { name: "meter-9", role: "gateway" }],
  ["another operation", COMMAND, "POST", tenantPath("devices/meter-1/commands"), { action: "open" }],
  ["another command", CANCEL, "DELETE", tenantPath("devices/meter-1/commands/00fe")],
  ["another reason", REVOKE, "POST", tenantPath("devices/pump-1/revoke"), { reason: "unspecified" }],
  ["another member", MEMBER, "PUT", tenantPath("groups/ops/device/pump-2")],
  ["a member of another kind", MEMBER, "PUT", tenantPath("groups/ops/user/pump-1")],
  ["a scope more", TOKEN, "POST", tenantPath("tokens"), { scopes: ["devices:read"], key: "K" }],
  [
    "another key of a token",
    TOKEN,
    "POST",
    tenantPath("tokens"),
    { scopes: ["devices:read", "keys:manage"], key: "L" },
  ],
  ["a key that a token has not", TOKEN, "POST", tenantPath("tokens"), { scopes: ["devices:read", "keys:manage"] }],
  ["a link of another kind", LINK, "POST", tenantPath("users/noor/link"), { kind: "recover" }],
  ["another passkey", PASSKEY, "POST", tenantPath("users/maya/passkeys"), { credential: { response: {} } }],
  ["another serial number", SERIAL, "PUT", tenantPath("makers/m/serials/7"), {}],
];

test.each(wrong)("%s is not signed", (_, told, method, path, body) => {
  expect(() => check(readOrder(order(key, told)), { method, path, body }, signer)).toThrow(/It is/);
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
