// The tenant's log, seen from this browser: its key against the pinned one, its present against what was seen.

import { api, ask, type Schemas } from "../api/client";
import { base64, equal, toBase64, type Bytes } from "./bytes";
import { cosigned, readKey, verifyCheckpoint } from "./note";
import { pins, seen } from "./pin";
import { isContinued, Tiles } from "./tree";

export interface Ledger {
  readonly log: Schemas["LogView"];
  /** The key that proofs are checked with: the pinned one, where there is one. */
  readonly key: string;
  readonly pin: "none" | "same" | "other";
  /** Whether the present log begins with what this browser saw before. */
  readonly past:
    { state: "first" } | { state: "continued" | "broken"; from: number } | { state: "unknown"; problem: string };
  readonly size: number;
  /** The witnesses whose cosignature on the present checkpoint is right. */
  readonly cosigners: string[];
}

export async function ledger(tenant: string): Promise<Ledger> {
  const params = { path: { tenant } };
  const log = await ask(api.GET("/api/v1/tenants/{tenant}/log", { params }));
  const pinned = pins.get(tenant);
  const pin = !pinned ? "none" : pinned.key === log.key ? "same" : "other";
  const key = pinned?.key ?? log.key;
  if (log.size === 0) return { log, key, pin, past: { state: "first" }, size: 0, cosigners: [] };
  try {
    const note = await ask(api.GET("/api/v1/tenants/{tenant}/log/checkpoint", { params, parseAs: "text" }));
    const now = await verifyCheckpoint(note, await readKey(key));
    const cosigners = await Promise.all(
      log.witnesses.map(async (text) => {
        const witness = await readKey(text);
        return (await cosigned(note, witness)) ? [witness.name] : [];
      }),
    );
    const past = await compare(tenant, now.size, now.root);
    if (past.state !== "broken") seen.set(tenant, { size: now.size, root: toBase64(now.root) });
    return { log, key, pin, past, size: now.size, cosigners: cosigners.flat() };
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    return { log, key, pin, past: { state: "unknown", problem }, size: log.size, cosigners: [] };
  }
}

async function compare(tenant: string, size: number, root: Bytes): Promise<Ledger["past"]> {
  const old = seen.get(tenant);
  if (!old) return { state: "first" };
  const oldRoot = base64(old.root);
  if (size < old.size) {
    return { state: "broken", from: old.size };
  }
  const tiles = new Tiles(size, async (piece) => {
    const path = `/api/v1/tenants/${encodeURIComponent(tenant)}/log/tile/${piece}`;
    const response = await fetch(path);
    if (!response.ok) throw new Error("A piece of the log is missing.");
    return new Uint8Array(await response.arrayBuffer());
  });
  const holds = old.size === size ? equal(oldRoot, root) : await isContinued(old.size, oldRoot, size, root, tiles);
  return { state: holds ? "continued" : "broken", from: old.size };
}
