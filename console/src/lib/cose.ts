// COSE_Sign1 (RFC 9052 §4.2): what entries of the log are, and what users and tokens sign.

import { concat, hex, utf8, type Bytes } from "./bytes";
import { decode, head, Tagged, type Cbor } from "./cbor";

const SIGN1 = 18;
const ALGORITHM = 1;
const KEY_ID = 4;

export interface Sign1 {
  readonly header: Bytes;
  readonly payload: Bytes;
  readonly signature: Bytes;
}

export function readSign1(bytes: Bytes): Sign1 {
  const sign1 = decode(bytes);
  if (!(sign1 instanceof Tagged) || sign1.tag !== SIGN1 || !Array.isArray(sign1.value)) return malformed();
  const [header, unprotected, payload, signature, ...rest] = sign1.value;
  if (!isBytes(header) || !isBytes(payload) || !isBytes(signature) || rest.length > 0) return malformed();
  if (!(unprotected instanceof Map) || unprotected.size > 0) return malformed();
  return { header, payload, signature };
}

export interface Header {
  readonly algorithm: number;
  /** The id of the signer's key, as hexadecimal digits. */
  readonly keyId: string;
}

/** Reads the protected header. */
export function readHeader(bytes: Bytes): Header {
  const header = decode(bytes);
  if (!(header instanceof Map) || header.size !== 2) return malformed();
  const [algorithm, keyId] = [header.get(ALGORITHM), header.get(KEY_ID)];
  if (typeof algorithm !== "number" || !isBytes(keyId)) return malformed();
  return { algorithm, keyId: hex(keyId) };
}

const SIGNATURE1 = "Signature1";

/**
 * What is signed: the Sig_structure of §4.4. `context` separates one kind of signature from all others; `about` is what
 * else it holds for.
 */
export function toBeSigned(header: Bytes, context: string, payload: Bytes, about = new Uint8Array()): Bytes {
  const text = utf8(SIGNATURE1);
  const parts = [header, concat(utf8(context), about), payload].flatMap((part) => [head(2, part.length), part]);
  return concat(head(4, 4), head(3, text.length), text, ...parts);
}

/** Takes apart what is to be signed. */
export function readToBeSigned(bytes: Bytes): { header: Bytes; context: string; payload: Bytes } {
  const parts = decode(bytes);
  if (!Array.isArray(parts) || parts.length !== 4) return malformed();
  const [kind, header, context, payload] = parts;
  if (kind !== SIGNATURE1 || !isBytes(header) || !isBytes(context) || !isBytes(payload)) return malformed();
  return { header, context: new TextDecoder("utf-8", { fatal: true }).decode(context), payload };
}

export function isBytes(value: Cbor | undefined): value is Bytes {
  return value instanceof Uint8Array;
}

function malformed(): never {
  throw new Error("The bytes are nothing that is signed.");
}
