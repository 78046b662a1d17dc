// Grants (docs/wire/grants.md, public profile): read, narrowed and shown by their holder, whose key stays in the browser.

import { concat, equal, hex, sha256, type Bytes } from "./bytes";
import { decode, encode, sequence, Tagged, type Cbor } from "./cbor";
import { isBytes, toBeSigned } from "./cose";

/** Who holds a grant: an Ed25519 key (RFC 8032). */
export interface Holder {
  /** 32 bytes. */
  readonly key: Bytes;
  readonly secret: CryptoKey;
}

export type Value = boolean | number | string;
/** What an argument may be: a value, one of several, or a number in a range with both ends. */
export type Bound = Value | readonly Value[] | { readonly min?: number; readonly max?: number };

export interface Permission {
  readonly action: string;
  /** By parameter; the input that is no map has the empty name. */
  readonly bounds: ReadonlyMap<string, Bound>;
}

/** What a block demands of a use; nothing where nothing is said. Times are in seconds since 1970. */
export interface Terms {
  readonly audience?: string;
  readonly notBefore?: number;
  readonly expires?: number;
  readonly uses?: number;
  readonly permissions?: readonly Permission[];
}

/** A grant that nobody has checked: the device does. */
export interface Grant {
  readonly bytes: Bytes;
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** Of the issuer's block, then of each narrowing. */
  readonly blocks: readonly Terms[];
  /** The key of who holds it now. */
  readonly holder: Bytes;
  /** The hash over all blocks. */
  readonly digest: Bytes;
}

export const NARROWINGS_MAX = 4;

const [SIGN1, EDDSA] = [18, -8];
const PROTECTED = encode(new Map([[1, EDDSA]]));
const [GRANT, NARROWING, USE] = ["thingward grant", "thingward narrowing", "thingward use"];
/** Claims, as a CWT has them; below them our own. */
const CLAIM = { aud: 3, exp: 4, nbf: 5, cti: 7, cnf: 8, scope: 9, uses: -65538 } as const;

const ED25519 = { name: "Ed25519" };

/** A new key that no script can read. */
export async function makeHolder(): Promise<Holder> {
  const pair = (await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"])) as CryptoKeyPair;
  return { key: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)), secret: pair.privateKey };
}

/** Reads a grant with its narrowings. */
export async function readGrant(bytes: Bytes): Promise<Grant> {
  const items = sequence(bytes);
  if (items.length < 1 || items.length > 1 + NARROWINGS_MAX) return malformed();
  const claims = items.map(({ value }, at) => readClaims(value, at === 0));
  let digest = await sha256((items[0] as { bytes: Bytes }).bytes);
  for (const { bytes: block } of items.slice(1)) digest = await sha256(digest, block);
  const id = claims[0]?.get(CLAIM.cti);
  if (!isBytes(id)) return malformed();
  return { bytes, id: hex(id), blocks: claims.map(terms), holder: holderOf(claims.at(-1)), digest };
}

/** What of a grant's terms holds for everything: the last moments, the fewest uses. */
export function bounds(grant: Grant): { notBefore?: number; expires?: number; uses?: number } {
  const least = (all: (number | undefined)[]) => {
    const said = all.filter((n) => n !== undefined);
    return said.length > 0 ? Math.min(...said) : undefined;
  };
  const starts = grant.blocks.map((block) => block.notBefore).filter((n) => n !== undefined);
  return {
    notBefore: starts.length > 0 ? Math.max(...starts) : undefined,
    expires: least(grant.blocks.map((block) => block.expires)),
    uses: least(grant.blocks.map((block) => block.uses)),
  };
}

/** Hands a grant on: `next` may do what both it and `terms` allow. */
export async function narrow(grant: Grant, holder: Holder, terms: Terms, next: Bytes): Promise<Bytes> {
  if (grant.blocks.length > NARROWINGS_MAX) throw new Error("the grant was handed on too often");
  const payload = encode(writeTerms(terms, next));
  const block = [PROTECTED, new Map(), payload, await signed(grant, holder, NARROWING, payload)];
  return concat(grant.bytes, encode(block));
}

/** Shows a grant to a device, for one operation. */
export async function present(
  grant: Grant,
  holder: Holder,
  to: { device: string; nonce: Bytes },
  operation: { action: string; input: ReadonlyMap<string, Value> },
): Promise<Bytes> {
  const payload = encode([1, to.device, to.nonce, [operation.action, new Map(operation.input)]]);
  const proof = [PROTECTED, new Map(), payload, await signed(grant, holder, USE, payload)];
  return concat(grant.bytes, encode(new Tagged(SIGN1, proof)));
}

async function signed(grant: Grant, holder: Holder, label: string, payload: Bytes): Promise<Bytes> {
  if (!equal(grant.holder, holder.key)) throw new Error("the grant is somebody else's");
  const message = toBeSigned(PROTECTED, label, payload, grant.digest);
  return new Uint8Array(await crypto.subtle.sign(ED25519, holder.secret, message));
}

/** Whether the issuer signed the grant, and each holder the next narrowing. `issuer` is an Ed25519 key of 32 bytes. */
export async function isGenuine(grant: Grant, issuer: Bytes): Promise<boolean> {
  let [key, digest] = [issuer, new Uint8Array() as Bytes];
  for (const [at, { value, bytes }] of sequence(grant.bytes).entries()) {
    const [, , payload, signature] = (value instanceof Tagged ? value.value : value) as Bytes[];
    if (!isBytes(payload) || !isBytes(signature)) return false;
    const message = toBeSigned(PROTECTED, at === 0 ? GRANT : NARROWING, payload, digest);
    const verifier = await crypto.subtle.importKey("raw", key, ED25519, false, ["verify"]);
    if (!(await crypto.subtle.verify(ED25519, verifier, signature, message))) return false;
    digest = await sha256(digest, bytes);
    key = holderOf(readClaims(value, at === 0));
  }
  return true;
}

type Claims = Map<Cbor, Cbor>;

function readClaims(block: Cbor, isFirst: boolean): Claims {
  const item = isFirst && block instanceof Tagged && block.tag === SIGN1 ? block.value : isFirst ? null : block;
  if (!Array.isArray(item) || item.length !== 4) return malformed();
  const [header, , payload] = item;
  if (!isBytes(header) || !equal(header, PROTECTED) || !isBytes(payload)) return malformed();
  const claims = decode(payload);
  return claims instanceof Map ? claims : malformed();
}

/** RFC 8747 §3.2, with an OKP key (RFC 9053 §7.2). */
function holderOf(claims: Claims | undefined): Bytes {
  const cnf = claims?.get(CLAIM.cnf);
  const key = cnf instanceof Map ? cnf.get(1) : undefined;
  const x = key instanceof Map ? key.get(-2) : undefined;
  return isBytes(x) && x.length === 32 ? x : malformed();
}

function terms(claims: Claims): Terms {
  const number = (claim: number) => {
    const n = claims.get(claim);
    return n === undefined || typeof n === "number" ? n : malformed();
  };
  const [audience, scope] = [claims.get(CLAIM.aud), claims.get(CLAIM.scope)];
  return {
    audience: audience === undefined || typeof audience === "string" ? audience : malformed(),
    notBefore: number(CLAIM.nbf),
    expires: number(CLAIM.exp),
    uses: number(CLAIM.uses),
    permissions: scope === undefined ? undefined : readScope(scope),
  };
}

function writeTerms(terms: Terms, next: Bytes): Claims {
  const key: Claims = new Map<Cbor, Cbor>([
    [1, 1],
    [-1, 6],
    [-2, next],
  ]);
  const claims: Claims = new Map<Cbor, Cbor>([[CLAIM.cnf, new Map([[1, key]])]]);
  const say = (claim: number, value: Cbor | undefined) => value !== undefined && claims.set(claim, value);
  say(CLAIM.aud, terms.audience);
  say(CLAIM.nbf, terms.notBefore);
  say(CLAIM.exp, terms.expires);
  say(CLAIM.uses, terms.uses);
  say(CLAIM.scope, terms.permissions && encode(terms.permissions.map(writePermission)));
  return claims;
}

function readScope(scope: Cbor): Permission[] {
  const permissions = isBytes(scope) ? decode(scope) : null;
  if (!Array.isArray(permissions)) return malformed();
  return permissions.map((permission) => {
    const [action, bounds] = Array.isArray(permission) ? permission : [];
    if (typeof action !== "string" || !(bounds instanceof Map)) return malformed();
    return { action, bounds: new Map(Array.from(bounds, ([name, bound]) => [String(name), readBound(bound)])) };
  });
}

function readBound(bound: Cbor): Bound {
  if (bound instanceof Map) return { min: bound.get(0) as number, max: bound.get(1) as number };
  return bound as Value | Value[];
}

function writePermission({ action, bounds }: Permission): Cbor {
  return [action, new Map(Array.from(bounds, ([name, bound]) => [name, writeBound(bound)]))];
}

function writeBound(bound: Bound): Cbor {
  if (typeof bound !== "object") return bound;
  if (Array.isArray(bound)) return [...(bound as readonly Value[])];
  const { min, max } = bound as { min?: number; max?: number };
  const ends: Claims = new Map();
  if (min !== undefined) ends.set(0, min);
  if (max !== undefined) ends.set(1, max);
  return ends;
}

function malformed(): never {
  throw new Error("this is no grant");
}
