// Makes what the service and its users make: CBOR, orders, entries, assertions.

import { concat, hex, sha256, toBase64url, utf8, type Bytes } from "../bytes";
import { head } from "../cbor";
import { toBeSigned } from "../cose";
import { sign, type SessionKey } from "../key";

export type Item = number | string | Bytes | null | Item[] | Map<Item, Item>;

export function cbor(item: Item): Bytes {
  if (item === null) return new Uint8Array([0xf6]);
  if (typeof item === "number") return item < 0 ? head(1, -1 - item) : unsigned(item);
  if (typeof item === "string") return concat(head(3, utf8(item).length), utf8(item));
  if (item instanceof Uint8Array) return concat(head(2, item.length), item);
  if (item instanceof Map) return concat(head(5, item.size), ...[...item].flat().map(cbor));
  return concat(head(4, item.length), ...item.map(cbor));
}

function unsigned(n: number): Bytes {
  if (n < 0x100000000) return head(0, n);
  const bytes = new DataView(new ArrayBuffer(9));
  bytes.setUint8(0, 0x1b);
  bytes.setBigUint64(1, BigInt(n));
  return new Uint8Array(bytes.buffer);
}

export const LOG = "town.local/tenant/acme";
export const NONCE = new Uint8Array(16).fill(7);

export interface Told {
  time: number;
  action: string;
  actor: string;
  target: string;
  details: Record<string, string>;
  evidence: Bytes | null;
}

export const TOLD: Told = {
  time: 1_797_292_448_161_595,
  action: "user.roles",
  actor: "user/maya-id",
  target: "user/noor-id",
  details: { roles: "viewer" },
  evidence: NONCE,
};

export function payload(told: Told): Bytes {
  const { time, action, actor, target, details, evidence } = told;
  return cbor([1, time, action, actor, target, new Map(Object.entries(details)), evidence]);
}

export function header(keyId: Bytes, algorithm = -7): Bytes {
  const entries: [Item, Item][] = [
    [1, algorithm],
    [4, keyId],
  ];
  return cbor(new Map(entries));
}

export function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** What the service asks for. */
export function order(key: SessionKey, told: Partial<Told> = {}, context = `thingward order ${LOG}`): Bytes {
  return toBeSigned(header(fromHex(key.id)), context, payload({ ...TOLD, ...told }));
}

/** The order with its signature, as the log has it. */
export async function signedOrder(key: SessionKey, told: Partial<Told> = {}, log = LOG): Promise<Bytes> {
  const [protectedHeader, deed] = [header(fromHex(key.id)), payload({ ...TOLD, ...told })];
  const signature = await sign(key, toBeSigned(protectedHeader, `thingward order ${log}`, deed));
  return concat(new Uint8Array([0xd2]), cbor([protectedHeader, new Map(), deed, signature]));
}

const [PRESENT, VERIFIED] = [1, 4];

/** What a passkey says to a challenge: `approval` of docs/wire/commands.cddl. */
export async function approval(
  passkey: SessionKey,
  credential: Bytes,
  challenge: Bytes,
  flags = PRESENT | VERIFIED,
): Promise<Bytes> {
  const said = { type: "webauthn.get", challenge: toBase64url(challenge), origin: "https://console.example" };
  const client = utf8(JSON.stringify(said));
  const authenticator = concat(await sha256(utf8("console.example")), new Uint8Array([flags, 0, 0, 0, 1]));
  const signature = await sign(passkey, concat(authenticator, await sha256(client)));
  return cbor([credential, authenticator, client, der(signature)]);
}

/** `r` and `s` as authenticators write them. */
export function der(signature: Bytes): Bytes {
  const numbers = concat(integer(signature.slice(0, 32)), integer(signature.slice(32)));
  return concat(new Uint8Array([0x30, numbers.length]), numbers);
}

function integer(bytes: Bytes): Bytes {
  const short = bytes.slice(bytes.findIndex((byte) => byte !== 0));
  const positive = (short[0] as number) & 0x80 ? concat(new Uint8Array([0]), short) : short;
  return concat(new Uint8Array([2, positive.length]), positive);
}

/** What the log calls a passkey. */
export async function passkeyTarget(credential: Bytes): Promise<string> {
  return `passkey/${hex((await sha256(credential)).slice(0, 8))}`;
}
