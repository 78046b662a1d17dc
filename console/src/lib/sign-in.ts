// Signing in: a new key for the session, and somebody who vouches for it.

import { api, ask, Failure, type Schemas } from "../api/client";
import { base64url, equal, sha256 } from "./bytes";
import { keepKey, makeKey, type SessionKey } from "./key";
import { approve } from "./passkey";

/** Signs in with whichever passkey of this place the person chooses. */
export async function signIn(): Promise<Schemas["SessionInfo"]> {
  const key = await makeKey();
  const { options } = await ask(api.POST("/api/v1/sign-in/passkey/begin", { body: { key: key.spki } }));
  if (!(await isOver(options.challenge, key))) {
    throw new Failure(0, "passkey", "The service asks your passkey for another session’s key. Nothing was signed.");
  }
  const credential = await approve(options);
  // Before there is a session, so that there is none without its key.
  await keepKey(key);
  return ask(api.POST("/api/v1/sign-in/passkey", { body: { credential, key: key.spki } }));
}

/** Where signing in with a provider begins. The key is there when the person comes back. */
export async function providerAddress(provider: string): Promise<string> {
  const key = await makeKey();
  await keepKey(key);
  return `/api/v1/sign-in/oidc/${encodeURIComponent(provider)}?key=${key.spki}`;
}

/** Whether who signs the challenge signs the key, too: it ends with the key's hash. */
async function isOver(challenge: string, key: SessionKey): Promise<boolean> {
  const hash = await sha256(base64url(key.spki));
  return equal(base64url(challenge).slice(-hash.length), hash);
}
