// On whose word entries stand, with evidence that is right, and with all that it could be instead.

import { describe, expect, test } from "vitest";
import { base64url, concat, sha256, utf8, type Bytes } from "../bytes";
import type { Entry } from "../entry";
import { isApproved, readApproval } from "../evidence";
import { makeKey } from "../key";
import { wordOn, type Find } from "../word";
import { approval, der, LOG, NONCE, order, passkeyTarget, signedOrder, TOLD, type Told } from "./make";

const key = await makeKey();
const other = await makeKey();
const passkey = await makeKey();
const credential = utf8("a passkey");

function entry(told: Partial<Told>): Entry {
  const all = { ...TOLD, evidence: null, ...told };
  return { ...all, details: new Map(Object.entries(all.details)) };
}

/** A log that has these, the newest first. */
function log(...entries: Entry[]): Find {
  return async (action, keyOf) => {
    for (const [index, entry] of entries.entries()) {
      const found = entry.action === action ? await keyOf(entry) : undefined;
      if (found) return { key: found, index };
    }
    return undefined;
  };
}

const began = (told: Partial<Told> = {}) =>
  entry({ action: "session.begin", target: "session/1", details: { way: "passkey", key: key.spki }, ...told });
const added = async (told: Partial<Told> = {}) =>
  entry({ action: "passkey.add", target: await passkeyTarget(credential), details: { key: passkey.spki }, ...told });

async function problem(told: Partial<Told>, find: Find): Promise<string> {
  const word = await wordOn(entry(told), LOG, find);
  expect(word.state).toBe("tampered");
  return word.steps.at(-1)?.problem ?? "";
}

describe("an order", () => {
  test("stands on the key that the session began with", async () => {
    const word = await wordOn(entry({ evidence: await signedOrder(key) }), LOG, log(began()));
    expect(word).toMatchObject({ by: "key", state: "verified", keyFrom: 0 });
    expect(word.steps.length).toBe(4);
  });

  test("of who signed in with a provider stands on the key that the service wrote down for them", async () => {
    const details = { way: "oidc", key: key.spki, user: "maya-id" };
    const find = log(began({ actor: "service", details }));
    expect(await wordOn(entry({ evidence: await signedOrder(key) }), LOG, find)).toMatchObject({
      by: "service",
      state: "service",
      keyFrom: 0,
    });
    const foreign = log(began({ actor: "service", details: { ...details, user: "noor-id" } }));
    expect((await wordOn(entry({ evidence: await signedOrder(key) }), LOG, foreign)).state).toBe("open");
  });

  test("of a token stands on the key that it was made with", async () => {
    const actor = "token/3f2a";
    const made = { action: "token.create", target: actor, details: { scopes: "users:manage", key: key.spki } };
    const evidence = await signedOrder(key, { actor });
    expect((await wordOn(entry({ actor, evidence }), LOG, log(began(), entry(made)))).state).toBe("verified");
    const find = log(entry({ ...made, target: "token/other" }));
    expect((await wordOn(entry({ actor, evidence }), LOG, find)).state).toBe("open");
  });

  test("is open where the key is not found, or is somebody else's", async () => {
    const evidence = await signedOrder(key);
    for (const find of [log(), log(began({ actor: "user/noor-id" })), log(began({ details: { key: other.spki } }))]) {
      expect((await wordOn(entry({ evidence }), LOG, find)).state).toBe("open");
    }
  });

  test("does not hold for another time", async () => {
    const { time } = entry({});
    for (const other of [time + 601e6, time - 61e6]) {
      expect(await problem({ time: other, evidence: await signedOrder(key) }, log(began()))).toBe("It is of another time.");
    }
  });

  test("does not stand on a key that a sign-in of somebody else brought in", async () => {
    const find = log(began({ actor: "user/noor-id", details: { key: key.spki, user: "maya-id" } }));
    expect((await wordOn(entry({ evidence: await signedOrder(key) }), LOG, find)).state).toBe("open");
  });

  test.each<[string, Partial<Told>]>([
    ["another role", { details: { roles: "administrator" } }],
    ["another user", { target: "user/other" }],
    ["another action", { action: "user.remove" }],
    ["a detail more", { details: { roles: "viewer", more: "" } }],
    ["a detail less", { details: {} }],
  ])("does not hold for %s", async (_, told) => {
    const evidence = await signedOrder(key);
    expect(await problem({ ...told, evidence }, log(began()))).toBe("Something else was signed.");
  });

  test("does not hold in somebody else's name", async () => {
    const evidence = await signedOrder(key, { actor: "user/noor-id" });
    expect(await problem({ evidence }, log(began()))).toBe("Something else was signed.");
  });

  test("does not hold with another's signature under the key's id, or for another log", async () => {
    const forged = await signedOrder({ ...other, id: key.id });
    expect(await problem({ evidence: forged }, log(began()))).toBe("It did not.");
    const elsewhere = await signedOrder(key, {}, "town.local/tenant/other");
    expect(await problem({ evidence: elsewhere }, log(began()))).toBe("It did not.");
  });

  test("does not hold with any of its bytes changed", async () => {
    const right = await signedOrder(key);
    for (let at = 0; at < right.length; at++) {
      const evidence = right.slice();
      evidence[at] = (evidence[at] as number) ^ 1;
      const { state } = await wordOn(entry({ evidence }), LOG, log(began()));
      // With another key's id it is an order of a key that is not found.
      expect(["tampered", "open"], `byte ${at}`).toContain(state);
    }
  });

  test.each<[string, Bytes | Promise<Bytes>]>([
    ["broken", new Uint8Array([0xd2, 0x84])],
    ["not signed", order(key)],
    ["empty", new Uint8Array()],
    ["too large", signedOrder(key, { details: { roles: "x".repeat(33 * 1024) } })],
    ["without a nonce", signedOrder(key, { evidence: null })],
  ])("that is %s is none", async (_, evidence) => {
    await problem({ evidence: await evidence }, log(began()));
  });
});

describe("a passkey", () => {
  const command = utf8("the canonical command");
  const sent = async (challenge?: Bytes) => {
    const hash = await sha256(command);
    const sha = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const evidence = await approval(passkey, credential, challenge ?? hash);
    return { action: "command.send", target: "operation/pump-1/set-rate", details: { sha256: sha }, evidence };
  };
  const signedIn = async (spki = key.spki) => {
    const evidence = await approval(passkey, credential, concat(NONCE, await sha256(base64url(spki))));
    return { action: "session.begin", details: { key: key.spki }, evidence };
  };

  test("signs the command that it was asked for", async () => {
    const word = await wordOn(entry(await sent()), LOG, log(await added()));
    expect(word).toMatchObject({ by: "passkey", state: "verified", keyFrom: 0 });
    expect(word.approval?.isUserVerified).toBe(true);
  });

  test("that signed in approves no command by it", async () => {
    const { evidence } = await signedIn();
    const asked = concat(NONCE, await sha256(base64url(key.spki)));
    const sha256Detail = Array.from(asked, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const told = { action: "command.send", target: "operation/door/open", details: { sha256: sha256Detail }, evidence };
    expect(await problem(told, log(await added()))).toBe("It was asked for something else.");
  });

  test("signs the key of a session", async () => {
    expect((await wordOn(entry(await signedIn()), LOG, log(await added()))).state).toBe("verified");
    expect(await problem(await signedIn(other.spki), log(await added()))).toBe("It was asked for something else.");
    const bad = { ...(await signedIn()), details: { key: "no key%" } };
    await problem(bad, log(await added()));
  });

  test("is open where it was added long ago, or by somebody else", async () => {
    expect((await wordOn(entry(await sent()), LOG, log())).state).toBe("open");
    const foreign = log(await added({ actor: "user/noor-id" }));
    expect((await wordOn(entry(await sent()), LOG, foreign)).state).toBe("open");
  });

  test("signs no other command, and nothing else", async () => {
    expect(await problem(await sent(NONCE), log(await added()))).toBe("It was asked for something else.");
    const roles = { evidence: await approval(passkey, credential, await sha256(command)) };
    expect(await problem(roles, log(await added()))).toBe("It was asked for something else.");
  });

  test("has to know who touches it", async () => {
    const told = await sent();
    const evidence = await approval(passkey, credential, await sha256(command), 1);
    expect(await problem({ ...told, evidence }, log(await added()))).toBe("It did not.");
  });

  test("does not vouch with another's signature", async () => {
    const find = log(await added({ details: { key: other.spki } }));
    expect(await problem(await sent(), find)).toBe("It did not.");
  });

  test("has signatures of one form", async () => {
    const small = new Uint8Array(64);
    small[31] = 1;
    small[63] = 0x80;
    expect(Array.from(der(small))).toEqual([0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
    const read = readApproval(await approval(passkey, credential, NONCE));
    if (!read) throw new Error("no approval");
    expect(await isApproved(read, base64url(passkey.spki))).toBe(true);
    const { signature } = read;
    for (const wrong of [signature.slice(0, -1), concat(signature, new Uint8Array(1)), new Uint8Array(), small]) {
      expect(await isApproved({ ...read, signature: wrong }, base64url(passkey.spki))).toBe(false);
    }
  });
});

test.each<[string, Partial<Told>, string, string]>([
  ["the operator does", { actor: "operator" }, "service", "service"],
  ["the service does", { actor: "service", action: "session.end" }, "service", "service"],
  ["somebody was refused", { action: "access.refuse" }, "service", "service"],
  ["somebody exported", { action: "readings.export" }, "service", "service"],
  ["came by a link", { action: "passkey.add", details: { link: "invite" } }, "service", "service"],
  ["the first administrator is", { action: "user.add", target: TOLD.actor }, "service", "service"],
  ["a standard client sent", { actor: "application/erp", action: "command.publish" }, "service", "service"],
  ["a device asked for", { actor: "device/m", action: "device.enrol", evidence: NONCE }, "device", "open"],
  ["a device did not sign", { actor: "device/m", action: "device.enrol" }, "nobody", "missing"],
  ["a user did not sign", {}, "nobody", "missing"],
  ["a token did not sign", { actor: "token/3f2a" }, "nobody", "missing"],
  ["a user added without a link", { action: "passkey.add" }, "nobody", "missing"],
  ["a user added for another", { action: "user.add" }, "nobody", "missing"],
])("what %s", async (_, told, by, state) => {
  expect(await wordOn(entry(told), LOG, log())).toMatchObject({ by, state });
});
