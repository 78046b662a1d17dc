// On whose word an entry stands: its actor signed what it says, or the service alone says so. docs/wire/audit-log.md.

import { base64url, equal, hex, sha256, type Bytes } from "./bytes";
import { readSign1 } from "./cose";
import type { Entry } from "./entry";
import { isApproved, readApproval, type Approval } from "./evidence";
import { orderBytes, readOrder, type Order } from "./order";
import { isSigned, keyId } from "./publickey";
import { goThrough, type Step } from "./steps";

export interface Word {
  /** What the actor signed with: a key of theirs, a passkey, a device's key; or nothing. */
  readonly by: "key" | "passkey" | "device" | "service" | "nobody";
  /** `open`: it could not be checked here. */
  readonly state: "verified" | "open" | "tampered" | "service" | "missing";
  readonly steps: Step[];
  readonly approval?: Approval;
  /** The entry that brought in the key. */
  readonly keyFrom?: number;
}

export interface Found {
  readonly key: Bytes;
  readonly index: number;
}

/** The newest earlier entry with this action that has the key. */
export type Find = (action: string, keyOf: (entry: Entry) => Promise<Bytes | undefined>) => Promise<Found | undefined>;

/** `log` is the log's name. */
export async function wordOn(entry: Entry, log: string, find: Find): Promise<Word> {
  const { evidence } = entry;
  if (isServices(entry)) return { by: "service", state: "service", steps: [] };
  if (!evidence) return { by: "nobody", state: "missing", steps: [] };
  if (MEMBERS.includes(kindOf(entry.actor))) return { by: "device", state: "open", steps: [] };
  const approval = readApproval(evidence);
  return approval ? ofPasskey(entry, approval, find) : ofKey(entry, evidence, log, find);
}

/** What the service notes itself, whoever caused it. */
const NOTED = ["access.refuse", "readings.export"];
const OF_SERVICE = ["operator", "service"];
const MEMBERS = ["device", "gateway", "application"];
const SIGNED_BY_MEMBERS = [
  ...["device.enrol", "device.renew", "chain.checkpoint", "command.reply", "grant.use"],
  ...["gateway.command", "gateway.policy", "gateway.refuse", "gateway.reply"],
];

function isServices({ action, actor, target, details, evidence }: Entry): boolean {
  const kind = kindOf(actor);
  if (NOTED.includes(action)) return true;
  if (MEMBERS.includes(kind)) return !SIGNED_BY_MEMBERS.includes(action);
  if (OF_SERVICE.includes(actor)) return true;
  if (kind !== "user" && kind !== "token") return false;
  // Who comes by a link has no key yet.
  const isByLink = action === "passkey.add" ? details.has("link") : action === "user.add" && actor === target;
  return isByLink && evidence === null;
}

function kindOf(actor: string): string {
  return actor.split("/")[0] ?? "";
}

async function ofKey(entry: Entry, evidence: Bytes, log: string, find: Find): Promise<Word> {
  const { steps, result } = await goThrough(async (step) => {
    const { order, bytes, signature } = await step("What was signed is an order", () => {
      const signed = readSign1(evidence);
      const bytes = orderBytes(signed, log);
      return { order: readOrder(bytes), bytes, signature: signed.signature };
    });
    await step("It says exactly what the entry says", () => same(order.deed, entry));
    await step("It was signed just before the entry was made", () =>
      must(isOfThisTime(order.deed.time, entry.time), "It is of another time."),
    );
    let isVouched = false;
    const brings = kindOf(entry.actor) === "token" ? "token.create" : "session.begin";
    const found = await find(brings, async (brought) => {
      const key = await keyOfHolder(brought, order, entry.actor);
      if (key) isVouched = OF_SERVICE.includes(brought.actor);
      return key;
    });
    if (found) {
      await step(`The key that entry ${found.index} brought in signed it`, async () =>
        must(await isSigned(found.key, signature, bytes), "It did not."),
      );
    }
    return { found, isVouched };
  });
  const { state, ...rest } = outcome(result);
  // The key is the actor's on the service's word.
  if (state === "verified" && result?.isVouched) return { by: "service", state: "service", steps, ...rest };
  return { by: "key", state, steps, ...rest };
}

async function ofPasskey(entry: Entry, approval: Approval, find: Find): Promise<Word> {
  const { steps, result } = await goThrough(async (step) => {
    await step(`A passkey was asked for ${ASKED_FOR[entry.action] ?? "this"}`, async () =>
      must(await wasAsked(entry, approval.challenge), "It was asked for something else."),
    );
    await step("It knew who touched it, by a finger, a face or a code", () =>
      must(approval.isUserVerified, "It did not."),
    );
    const target = `passkey/${hex((await sha256(approval.credential)).slice(0, 8))}`;
    const found = await find("passkey.add", (added) =>
      Promise.resolve(added.target === target && added.actor === entry.actor ? keyIn(added) : undefined),
    );
    if (found) {
      await step(`The passkey that entry ${found.index} brought in signed it`, async () =>
        must(await isApproved(approval, found.key), "It did not."),
      );
    }
    return { found };
  });
  return { by: "passkey", steps, approval, ...outcome(result) };
}

function outcome(result: { found: Found | undefined } | undefined): Pick<Word, "state" | "keyFrom"> {
  if (!result) return { state: "tampered" };
  return result.found ? { state: "verified", keyFrom: result.found.index } : { state: "open" };
}

const ASKED_FOR: Record<string, string> = {
  "command.send": "exactly this command",
  "session.begin": "the key of this session",
};

async function wasAsked({ action, details }: Entry, challenge: Bytes): Promise<boolean> {
  if (action === "command.send") return challenge.length === 32 && hex(challenge) === details.get("sha256");
  if (action !== "session.begin" || challenge.length <= 32) return false;
  const hash = await sha256(base64url(details.get("key") ?? ""));
  return equal(challenge.slice(-hash.length), hash);
}

/** Longest time from an order to its entry, and how far clocks may be apart, in microseconds. */
const [ORDER_AGE, CLOCK] = [600e6, 60e6];

function isOfThisTime(ordered: number, entered: number): boolean {
  return entered - ordered <= ORDER_AGE && ordered - entered <= CLOCK;
}

function same(ordered: Entry, entry: Entry): void {
  must(told(ordered) === told(entry), "Something else was signed.");
}

function told({ action, actor, target, details }: Entry): string {
  return JSON.stringify([action, actor, target, [...details].sort()]);
}

/** The key that an entry gave to the actor, if it is the one of the order. */
async function keyOfHolder(brought: Entry, order: Order, actor: string): Promise<Bytes | undefined> {
  const user = brought.actor === "service" ? brought.details.get("user") : undefined;
  const holder = brought.action === "token.create" ? brought.target : user ? `user/${user}` : brought.actor;
  const key = keyIn(brought);
  return key && holder === actor && (await keyId(key)) === order.keyId ? key : undefined;
}

function keyIn({ details }: Entry): Bytes | undefined {
  const text = details.get("key");
  return text === undefined ? undefined : base64url(text);
}

function must(holds: boolean, problem: string): void {
  if (!holds) throw new Error(problem);
}
