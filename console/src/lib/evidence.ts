// What a user's passkey was asked, and signed, out of the evidence of an entry: `approval` of docs/wire/commands.cddl.

import { base64url, concat, sha256, type Bytes } from "./bytes";
import { decode } from "./cbor";
import { algorithmOf, ES256, isSigned } from "./publickey";

export interface Approval {
  /** Names the passkey. */
  readonly credential: Bytes;
  /** What it was asked to sign. */
  readonly challenge: Bytes;
  /** The page that asked. */
  readonly origin: string;
  /** The authenticator says that it knew the user: by a finger, a face or a code. */
  readonly isUserVerified: boolean;
  readonly authenticator: Bytes;
  readonly client: Bytes;
  readonly signature: Bytes;
}

const FLAGS_AT = 32;
const USER_VERIFIED = 0x04;

/** The approval that the evidence is; nothing when it is something else. */
export function readApproval(evidence: Bytes): Approval | undefined {
  try {
    const parts = decode(evidence);
    if (!Array.isArray(parts) || parts.length !== 4 || !parts.every((part) => part instanceof Uint8Array))
      return undefined;
    const [credential, authenticator, client, signature] = parts as [Bytes, Bytes, Bytes, Bytes];
    const { type, challenge, origin } = JSON.parse(new TextDecoder().decode(client)) as Record<string, unknown>;
    if (type !== "webauthn.get" || typeof challenge !== "string" || typeof origin !== "string") return undefined;
    const isUserVerified = ((authenticator[FLAGS_AT] ?? 0) & USER_VERIFIED) !== 0;
    return { credential, challenge: base64url(challenge), origin, isUserVerified, authenticator, client, signature };
  } catch {
    return undefined;
  }
}

/** Whether the passkey with this key signed it: WebAuthn Level 3 §6.3.3. */
export async function isApproved({ authenticator, client, signature }: Approval, spki: Bytes): Promise<boolean> {
  const message = concat(authenticator, await sha256(client));
  const raw = algorithmOf(spki) === ES256 ? rawSignature(signature) : signature;
  return raw !== undefined && isSigned(spki, raw, message);
}

const HALF = 32;

/** `r` and `s` out of a DER `ECDSA-Sig-Value`, as browsers take them. */
function rawSignature(der: Bytes): Bytes | undefined {
  const [sequence, length, kind, first = 0] = der;
  const r = der.slice(4, 4 + first);
  const [otherKind, second = 0] = der.slice(4 + first);
  const s = der.slice(6 + first, 6 + first + second);
  const isWhole = sequence === 0x30 && length === der.length - 2 && der.length === 6 + first + second;
  if (!isWhole || kind !== 2 || otherKind !== 2) return undefined;
  const [left, right] = [half(r), half(s)];
  return left && right && concat(left, right);
}

/** A positive integer in 32 bytes. */
function half(integer: Bytes): Bytes | undefined {
  const digits = integer.length > HALF && integer[0] === 0 ? integer.slice(1) : integer;
  return digits.length > HALF ? undefined : concat(new Uint8Array(HALF - digits.length), digits);
}
