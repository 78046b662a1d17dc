// Orders: what whoever changes something signs, which is what the log gets. docs/wire/audit-log.md has the form.

import type { Bytes } from "./bytes";
import { readHeader, readToBeSigned, toBeSigned, type Header, type Sign1 } from "./cose";
import { fits, type Call } from "./deeds";
import { readEntry, type Entry } from "./entry";
import { ES256 } from "./publickey";

/** Separates these signatures from all others; the log's name follows. */
const CONTEXT = "thingward order ";
/** More than the largest entry without evidence has. */
const BYTES_MAX = 32 * 1024;

export interface Order extends Header {
  /** `<trust domain>/tenant/<tenant>` */
  readonly log: string;
  readonly deed: Entry;
}

/** Who signs, and with which key. */
export interface Signer {
  readonly tenant: string;
  /** The user's id. */
  readonly user: string;
  readonly key: string;
}

/** Reads what is to be signed. */
export function readOrder(bytes: Bytes): Order {
  if (bytes.length > BYTES_MAX) throw new Error("It is too large.");
  const { header, context, payload } = readToBeSigned(bytes);
  if (!context.startsWith(CONTEXT)) throw new Error("It is no order.");
  const deed = readEntry(payload);
  if (deed.evidence === null) throw new Error("It could be used twice.");
  return { ...readHeader(header), log: context.slice(CONTEXT.length), deed };
}

/** The bytes that were signed, of an order that became the evidence of an entry. */
export function orderBytes({ header, payload }: Sign1, log: string): Bytes {
  return toBeSigned(header, CONTEXT + log, payload);
}

/** Throws unless the order is what the signer's own call does, and nothing else. */
export function check(order: Order, call: Call, signer: Signer): void {
  const { deed } = order;
  if (order.algorithm !== ES256 || order.keyId !== signer.key) {
    throw new Error("It is for the key of another session: load the page again.");
  }
  if (!order.log.endsWith(`/tenant/${signer.tenant}`)) throw new Error("It is for another log.");
  if (deed.actor !== `user/${signer.user}`) throw new Error("It is in somebody else’s name.");
  if (!fits(call, signer.tenant, deed)) throw new Error("It is about something else.");
}
