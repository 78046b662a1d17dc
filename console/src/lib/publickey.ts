// Public keys of others, as SubjectPublicKeyInfo: what names them, and whether they signed something.

import { concat, hex, sha256, type Bytes } from "./bytes";

/** Algorithms, as COSE numbers them. */
export const EDDSA = -8;
export const ES256 = -7;

const PARAMETERS: Record<number, { name: string; namedCurve?: string; hash?: string }> = {
  [EDDSA]: { name: "Ed25519" },
  [ES256]: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
};
/** What stands before an Ed25519 key: RFC 8410. */
const ED25519 = new Uint8Array([0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]);

export function ed25519Spki(key: Bytes): Bytes {
  return concat(ED25519, key);
}

/** The id of a key: 16 hexadecimal digits. */
export async function keyId(spki: Bytes): Promise<string> {
  return hex((await sha256(spki)).subarray(0, 8));
}

/** The algorithm that a key is for. */
export function algorithmOf(spki: Bytes): number {
  return hex(spki).startsWith(hex(ED25519)) ? EDDSA : ES256;
}

/** Whether the key signed the message. An ECDSA signature is `r` and `s`, 64 bytes. */
export async function isSigned(spki: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  const parameters = PARAMETERS[algorithmOf(spki)] as Algorithm;
  try {
    const key = await crypto.subtle.importKey("spki", spki, parameters, false, ["verify"]);
    return await crypto.subtle.verify(parameters, key, signature, message);
  } catch (cause) {
    if (cause instanceof DOMException) return false; // what is no key signed nothing
    throw cause;
  }
}
