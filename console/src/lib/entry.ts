// An entry of the log: what its bytes say, and whether the log's key signed them.

import { concat, equal, sha256, utf8, type Bytes } from "./bytes";
import { decode, head, Tagged, type Cbor } from "./cbor";
import { verifyEd25519, type NamedKey } from "./note";

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
const CONTEXT = utf8("thingward audit entry");
const SIGN1 = 18;
const ALGORITHM = 1;
const KEY_ID = 4;
const EDDSA = -8;
/** What stands before an Ed25519 key in a SubjectPublicKeyInfo: RFC 8410. */
const SPKI = new Uint8Array([0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]);

/** Reads an entry that the log's key signed: COSE_Sign1, RFC 9052 §4.4. */
export async function verifyEntry(bytes: Bytes, key: NamedKey): Promise<Entry> {
  const sign1 = decode(bytes);
  if (!(sign1 instanceof Tagged) || sign1.tag !== SIGN1 || !Array.isArray(sign1.value)) return malformed();
  const [header, unprotected, payload, signature, ...rest] = sign1.value;
  if (!isBytes(header) || !isBytes(payload) || !isBytes(signature) || rest.length > 0) return malformed();
  if (!(unprotected instanceof Map) || unprotected.size > 0) return malformed();
  const protectedHeader = decode(header);
  if (!(protectedHeader instanceof Map) || protectedHeader.size !== 2) return malformed();
  const keyId = protectedHeader.get(KEY_ID);
  const right = (await sha256(SPKI, key.bytes)).slice(0, 8);
  if (protectedHeader.get(ALGORITHM) !== EDDSA || !isBytes(keyId) || !equal(keyId, right)) {
    throw new Error("The entry is not signed with the log’s key.");
  }
  const text = utf8("Signature1");
  const message = concat(head(4, 4), head(3, text.length), text, ...[header, CONTEXT, payload].flatMap(asBytes));
  if (!(await verifyEd25519(key.bytes, signature, message))) {
    throw new Error("The log’s key did not sign this entry.");
  }
  return read(payload);
}

function read(payload: Bytes): Entry {
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

function asBytes(part: Bytes): Bytes[] {
  return [head(2, part.length), part];
}

function isBytes(value: Cbor | undefined): value is Bytes {
  return value instanceof Uint8Array;
}

function isText(value: Cbor | undefined): value is string {
  return typeof value === "string";
}

function malformed(): never {
  throw new Error("The bytes are not a log entry.");
}
