// The key of a session, with which this browser signs what is changed. It cannot be taken out of the browser.

import { Failure } from "../api/failure";
import { toBase64url, type Bytes } from "./bytes";
import { keyId } from "./publickey";

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

// IndexedDB takes keys that no script can read. There is one: a sign-in replaces the key of the last.
const [DATABASE, STORE, PLACE] = ["thingward", "keys", "session"];

export async function keepKey(key: SessionKey): Promise<void> {
  await stored("readwrite", (keys) => keys.put(key, PLACE));
}

/** The key with this id, unless this browser lost it. */
export async function findKey(id: string): Promise<SessionKey | undefined> {
  const key = await stored<SessionKey | undefined>("readonly", (keys) => keys.get(PLACE));
  return key?.id === id ? key : undefined;
}

export async function forgetKey(): Promise<void> {
  await stored("readwrite", (keys) => keys.delete(PLACE));
}

async function stored<T>(mode: IDBTransactionMode, request: (keys: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  try {
    const opening = indexedDB.open(DATABASE);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await done(opening);
    try {
      return await done(request(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    throw new Failure(0, "no-keys", "This browser keeps no key for this page. Let it store data, then try again.");
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as DOMException);
  });
}
