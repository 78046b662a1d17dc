// The key of a session, with which this browser signs what is changed. It cannot be taken out of the browser.

import { toBase64url, type Bytes } from "./bytes";
import { keyId } from "./publickey";
import { find, forget, keep } from "./vault";

export interface SessionKey {
  readonly id: string;
  /** The public half, as the service takes it: SubjectPublicKeyInfo, base64url. */
  readonly spki: string;
  readonly secret: CryptoKey;
}

const P256 = { name: "ECDSA", namedCurve: "P-256" };

export async function makeKey(): Promise<SessionKey> {
  const { spki, secret } = await makePair(false);
  return { id: await keyId(spki), spki: toBase64url(spki), secret };
}

/** The signature as orders have it: `r` and `s`, 64 bytes. */
export async function sign(key: SessionKey, message: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.secret, message));
}

/** A key for a program: its public half as the service takes it, and its secret, which the service never gets. */
export async function makeTokenKey(): Promise<{ spki: string; secret: string }> {
  const { spki, secret } = await makePair(true);
  const { d } = await crypto.subtle.exportKey("jwk", secret);
  return { spki: toBase64url(spki), secret: d as string };
}

async function makePair(isExtractable: boolean): Promise<{ spki: Bytes; secret: CryptoKey }> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(P256, isExtractable, ["sign"]);
  return { spki: new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)), secret: privateKey };
}

// There is one: a sign-in replaces the key of the last.
const PLACE = "session";

export async function keepKey(key: SessionKey): Promise<void> {
  await keep(PLACE, key);
}

/** The key with this id, unless this browser lost it. */
export async function findKey(id: string): Promise<SessionKey | undefined> {
  const key = await find<SessionKey>(PLACE);
  return key?.id === id ? key : undefined;
}

export async function forgetKey(): Promise<void> {
  await forget(PLACE);
}
