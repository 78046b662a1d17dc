// A change goes out, comes back to be signed, and goes out again.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Failure } from "../../api/failure";
import { send, signAs } from "../../api/sign";
import { base64url, toBase64url } from "../bytes";
import * as keys from "../key";
import { isSigned } from "../publickey";
import { order } from "./make";

const key = await keys.makeKey();
const URL_OF = "https://console.example/api/v1/tenants/acme/users/noor";
const change = () => new Request(URL_OF, { method: "PUT", body: '{"roles":["viewer"]}' });
const signIt = (bytes = order(key)) => Response.json({ error: {}, order: toBase64url(bytes) }, { status: 428 });

/** What was sent: the body and our header of each. */
let sent: { body: string; order: string | null }[] = [];
let answers: Response[] = [];

beforeEach(() => {
  [sent, answers] = [[], []];
  signAs({ tenant: "acme", user: "maya-id", key: key.id });
  vi.spyOn(keys, "findKey").mockResolvedValue(key);
  vi.stubGlobal("fetch", async (request: Request) => {
    sent.push({ body: await request.text(), order: request.headers.get("thingward-order") });
    return answers.shift();
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test("what needs no signature goes out once", async () => {
  answers = [new Response(null, { status: 204 })];
  expect((await send(change())).status).toBe(204);
  expect(sent).toEqual([{ body: '{"roles":["viewer"]}', order: null }]);
});

test("a change is signed, and is the same the second time", async () => {
  answers = [signIt(), new Response("{}")];
  expect((await send(change())).status).toBe(200);
  expect(sent.map(({ body }) => body)).toEqual(['{"roles":["viewer"]}', '{"roles":["viewer"]}']);
  const [bytes, signature] = (sent[1]?.order ?? "").split(".").map(base64url);
  expect(bytes).toEqual(order(key));
  expect(await isSigned(base64url(key.spki), signature as never, bytes as never)).toBe(true);
});

test("what changed meanwhile is signed once more, and then no more", async () => {
  answers = [signIt(), signIt(order(key, { target: "user/other" })), new Response("{}")];
  expect((await send(change())).status).toBe(200);
  sent = [];
  answers = [signIt(), signIt(), signIt(), new Response("{}")];
  await expect(send(change())).rejects.toMatchObject({ status: 428, code: "sign-it" });
  expect(sent.length).toBe(3);
});

test("without the key, it says to sign in again", async () => {
  vi.spyOn(keys, "findKey").mockResolvedValue(undefined);
  answers = [signIt()];
  await expect(send(change())).rejects.toMatchObject({ code: "key-lost", message: /Sign in again/ });
});

test.each([
  ["a role that was not asked for", signIt(order(key, { details: { roles: "administrator" } }))],
  ["something else", signIt(order(key, { action: "policy.apply" }))],
  ["somebody else's deed", signIt(order(key, { actor: "user/noor-id" }))],
  ["garbage", Response.json({ order: "%%" }, { status: 428 })],
  ["nothing", Response.json({ error: {} }, { status: 428 })],
])("%s is not signed", async (_, answer) => {
  answers = [answer];
  await expect(send(change())).rejects.toThrow(Failure);
  expect(sent.length).toBe(1);
});

test("nothing is signed when nobody is signed in", async () => {
  signAs(undefined);
  answers = [signIt()];
  await expect(send(change())).rejects.toMatchObject({ code: "wrong-order" });
});
