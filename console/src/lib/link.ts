// The local link of a device (docs/wire/grants.md): a grant is shown to the device itself, with no service in between.

import { equal, sha256, type Bytes } from "./bytes";
import { decode, Tagged, type Cbor } from "./cbor";
import { isBytes, toBeSigned } from "./cose";
import { present, type Grant, type Holder, type Value } from "./grant";
import { isSigned } from "./publickey";

/** A device within reach. */
export interface Nearby {
  /** Where its local link is, as `http://192.0.2.7:8886`. */
  readonly link: string;
  readonly device: string;
  /** Its key, as SubjectPublicKeyInfo. */
  readonly key: Bytes;
}

export type Ending =
  | { readonly is: "done"; readonly output: Cbor; readonly time: Date }
  | { readonly is: "failed"; readonly why: string; readonly time: Date }
  | { readonly is: "interrupted"; readonly time: Date };

/** What came of showing a grant, and what proves it: the device's signed reply to the exact presentation. */
export interface Served {
  readonly ending: Ending;
  readonly reply: Bytes;
  readonly presentation: Bytes;
}

/** Why nothing was done. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const PATH = "/thingward/grants";
const REPLY = "thingward reply";
const SIGN1 = 18;
const ACCEPTED = 202;

/** Shows a grant for one operation, and checks what the device says to it. */
export async function show(
  nearby: Nearby,
  grant: Grant,
  holder: Holder,
  operation: { action: string; input: ReadonlyMap<string, Value> },
): Promise<Served> {
  const nonce = await post(nearby, "/nonce");
  const presentation = await present(grant, holder, { device: nearby.device, nonce }, operation);
  const reply = await post(nearby, "/use", presentation);
  return { ending: await readReply(nearby, reply, nonce, presentation), reply, presentation };
}

/** Carries what the service has taken back to a device that may not have heard of it. */
export async function carry(nearby: Nearby, revocation: Bytes, signal: AbortSignal): Promise<void> {
  await post(nearby, "/revocation", revocation, signal);
}

async function post({ link }: Nearby, path: string, body?: Bytes, signal?: AbortSignal): Promise<Bytes> {
  const send = { method: "POST", body, signal, credentials: "omit", referrerPolicy: "no-referrer" } as const;
  const answer = await fetch(link + PATH + path, send).catch(() => {
    throw new Refused("unreachable", "The device does not answer. Come closer, and try again.");
  });
  if (answer.status === ACCEPTED) throw new Refused("slow", "The device is still at it. Look at it before you try again.");
  if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  const said = (await answer.json().catch(() => null)) as { error?: { code?: string; message?: string } } | null;
  throw new Refused(said?.error?.code ?? "refused", said?.error?.message ?? "The device refuses.");
}

async function readReply(nearby: Nearby, bytes: Bytes, nonce: Bytes, presentation: Bytes): Promise<Ending> {
  const sign1 = decode(bytes);
  if (!(sign1 instanceof Tagged) || sign1.tag !== SIGN1 || !Array.isArray(sign1.value)) return wrong("no reply");
  const [header, , payload, signature] = sign1.value;
  if (!isBytes(header) || !isBytes(payload) || !isBytes(signature)) return wrong("no reply");
  const isIts = await isSigned(nearby.key, signature, toBeSigned(header, REPLY, payload));
  if (!isIts) return wrong("not signed by this device");
  const reply = decode(payload);
  const [version, id, digest, micros, outcome, said] = Array.isArray(reply) ? reply : [];
  if (version !== 1 || !isBytes(id) || !isBytes(digest) || typeof micros !== "number") return wrong("no reply");
  if (!equal(id, nonce) || !equal(digest, await sha256(presentation))) return wrong("about something else");
  const time = new Date(micros / 1000);
  if (outcome === 0) return { is: "done", output: said ?? null, time };
  return outcome === 2 ? { is: "failed", why: String(said), time } : { is: "interrupted", time };
}

function wrong(what: string): never {
  throw new Refused("wrong-reply", `What the device answers is ${what}. Somebody may stand in between.`);
}

/** The input of an operation with one argument that has no name. */
export function input(value: Value | undefined): ReadonlyMap<string, Value> {
  return new Map(value === undefined ? [] : [["", value]]);
}
