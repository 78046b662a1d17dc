// Entries of the log, the newest first, and who they speak of.

import { api, ask, type Schemas } from "../api/client";
import { session } from "./session.svelte";

export type LogEntry = Schemas["LogEntryView"];

const PAGE = 1000;
/** Pages that are gone through at once before the person is asked whether to look further. */
const PAGES_MAX = 5;

export interface Stretch {
  /** The newest first. */
  readonly entries: LogEntry[];
  /** The entry that the older ones end before; 0 when there are none. */
  readonly from: number;
  /** How many entries were looked through. */
  readonly looked: number;
}

/** Entries before number `end` that `wanted` takes, at least `least` where there are so many nearby. */
export async function before(
  tenant: string,
  end: number,
  wanted: (entry: LogEntry) => boolean,
  least = 50,
): Promise<Stretch> {
  const entries: LogEntry[] = [];
  let from = end;
  for (let pages = 0; from > 0 && entries.length < least && pages < PAGES_MAX; pages++) {
    const start = Math.max(0, from - PAGE);
    const found = await page(tenant, start, from - start);
    entries.push(...found.filter(wanted).reverse());
    from = start;
  }
  return { entries, from, looked: end - from };
}

/** Up to `limit` entries from number `start` on, in their order. */
export async function page(tenant: string, start: number, limit: number): Promise<LogEntry[]> {
  const query = { limit, ...(start > 0 && { after: start - 1 }) };
  const found = await ask(api.GET("/api/v1/tenants/{tenant}/log/entries", { params: { path: { tenant }, query } }));
  return found.items;
}

export async function logSize(tenant: string): Promise<number> {
  return (await ask(api.GET("/api/v1/tenants/{tenant}/log", { params: { path: { tenant } } }))).entries;
}

/** Names of users by their ids: the log has only those. */
export type Names = ReadonlyMap<string, string>;

export async function userNames(tenant: string): Promise<Names> {
  const own = session.info?.user;
  const names = new Map(own ? [[own.id, own.name]] : []);
  if (session.may("users:manage")) {
    const query = { limit: 1000 };
    const users = await ask(api.GET("/api/v1/tenants/{tenant}/users", { params: { path: { tenant }, query } }));
    for (const user of users.items) names.set(user.id, user.name);
  }
  return names;
}

/** `user/<id>` with the name where it is known; everything else as it is. */
export function named(who: string, names: Names): string {
  const [kind, id = ""] = who.split("/");
  return kind === "user" ? (names.get(id) ?? who) : who;
}

/** The page that an entry is about. */
export function linkTo(target: string, action: string): string | undefined {
  const [kind, name] = target.split("/");
  // A refusal names what was wanted as policies do: `meter-1/set-rate`.
  if (action === "access.refuse" && name) return `/devices/${encodeURIComponent(kind ?? "")}`;
  if (!name) return undefined;
  if (["device", "gateway", "application", "stream", "operation"].includes(kind ?? ""))
    return `/devices/${encodeURIComponent(name)}`;
  return kind === "policy" ? "/policy/versions" : undefined;
}
