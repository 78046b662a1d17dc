// An entry of the log: what its bytes say, and whether the log's key signed them.

import type { Bytes } from "./bytes";
import { decode, type Cbor } from "./cbor";
import { isBytes, readHeader, readSign1, toBeSigned } from "./cose";
import type { NamedKey } from "./note";
import { ed25519Spki, EDDSA, isSigned, keyId } from "./publickey";

export interface Entry {
  /** Microseconds since 1970. */
  readonly time: number;
  readonly action: string;
  readonly actor: string;
  readonly target: string;
  readonly details: ReadonlyMap<string, string>;
  /** What the actor signed, as it was signed. */
  readonly evidence: Bytes | null;
}

/** Separates these signatures from all others. */
const CONTEXT = "thingward audit entry";

/** Reads an entry that the log's key signed. */
export async function verifyEntry(bytes: Bytes, key: NamedKey): Promise<Entry> {
  const { header, payload, signature } = readSign1(bytes);
  const { algorithm, keyId: signer } = readHeader(header);
  const spki = ed25519Spki(key.bytes);
  if (algorithm !== EDDSA || signer !== (await keyId(spki))) {
    throw new Error("The entry is not signed with the log’s key.");
  }
  if (!(await isSigned(spki, signature, toBeSigned(header, CONTEXT, payload)))) {
    throw new Error("The log’s key did not sign this entry.");
  }
  return readEntry(payload);
}

/** Reads what an entry says, on nobody's word. */
export function readEntry(payload: Bytes): Entry {
  const parts = decode(payload);
  if (!Array.isArray(parts) || parts.length !== 7) return malformed();
  const [version, time, action, actor, target, details, evidence] = parts;
  if (version !== 1) throw new Error("The entry has a version that this page does not know.");
  if (typeof time !== "number" || !isText(action) || !isText(actor) || !isText(target)) return malformed();
  if (!(details instanceof Map) || !(evidence === null || isBytes(evidence))) return malformed();
  const pairs = [...details].map(([name, value]): [string, string] => {
    if (!isText(name) || !isText(value)) return malformed();
    return [name, value];
  });
  return { time, action, actor, target, details: new Map(pairs), evidence };
}

function isText(value: Cbor | undefined): value is string {
  return typeof value === "string";
}

function malformed(): never {
  throw new Error("The bytes are not a log entry.");
}
