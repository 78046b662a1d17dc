// What a user's passkey was asked, out of the evidence of an entry: `approval` of docs/wire/commands.cddl.
//
// The passkey's key is not in the log, so its signature is not checked here: the service did it before the entry was
// written, and a device does it before it obeys. What can be seen here is that it was asked for this and nothing else.

import { hex, type Bytes } from "./bytes";
import { decode } from "./cbor";

export interface Approval {
  /** The passkey, as hexadecimal digits. */
  readonly credential: string;
  /** The hash that was signed, as hexadecimal digits. */
  readonly challenge: string;
  /** The page that asked. */
  readonly origin: string;
  /** The authenticator says that it knew the user: by a finger, a face or a code. */
  readonly isUserVerified: boolean;
}

const FLAGS_AT = 32;
const USER_VERIFIED = 0x04;

/** The approval that the evidence is; nothing when it is something else. */
export function readApproval(evidence: Bytes): Approval | undefined {
  try {
    const parts = decode(evidence);
    if (!Array.isArray(parts) || parts.length !== 4 || !parts.every((part) => part instanceof Uint8Array))
      return undefined;
    const [credential, authenticator, client] = parts as [Bytes, Bytes, Bytes, Bytes];
    const { type, challenge, origin } = JSON.parse(new TextDecoder().decode(client)) as Record<string, unknown>;
    if (type !== "webauthn.get" || typeof challenge !== "string" || typeof origin !== "string") return undefined;
    const asked = atob(challenge.replaceAll("-", "+").replaceAll("_", "/"));
    return {
      credential: hex(credential),
      challenge: hex(Uint8Array.from(asked, (c) => c.charCodeAt(0))),
      origin,
      isUserVerified: ((authenticator[FLAGS_AT] ?? 0) & USER_VERIFIED) !== 0,
    };
  } catch {
    return undefined;
  }
}
