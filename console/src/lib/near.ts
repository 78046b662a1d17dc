// Whoever stands before a device: the device, their key, and the grants that they have for it.

import { base64, base64url, toBase64url } from "./bytes";
import { makeHolder, readGrant, type Bound, type Grant, type Holder, type Permission } from "./grant";
import type { Nearby } from "./link";
import { whole, type Ends } from "./permission";
import { change, find, keepFirst } from "./vault";

const [HOLDER, GRANTS] = ["holder", "grants"];
/** So many are kept, the newest. */
const GRANTS_MAX = 64;

/** Where one stands: the device, and whose it is when it may be for sale. */
export interface Place extends Nearby {
  readonly tenant?: string;
}

/** The address of the page for a device; nothing when its link is none. `key` is in base64, as the API has it. */
export function placeOf(of: { tenant: string; device: string; link: string; key: string }): string | undefined {
  const { tenant, device, link, key } = of;
  const fragment = new URLSearchParams({ tenant, device, link: link.trim(), key: toBase64url(base64(key)) });
  return readPlace(`#${fragment}`) && `${location.origin}/near#${fragment}`;
}

/** The device that an address names behind its `#`, as its QR code has it: `tenant=…&device=…&link=…&key=…`. */
export function readPlace(fragment: string): Place | undefined {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const [device, link, key] = [said.get("device"), said.get("link"), said.get("key")];
  if (!device || !link || !key) return undefined;
  try {
    const { protocol, origin, pathname } = new URL(link);
    const isPlain = (protocol === "http:" || protocol === "https:") && pathname === "/";
    const tenant = said.get("tenant") ?? undefined;
    return isPlain ? { tenant, device, link: origin, key: base64url(key) } : undefined;
  } catch {
    return undefined;
  }
}

/** The key of this browser, made at the first time. */
export async function ownKey(): Promise<Holder> {
  const known = await find<Holder>(HOLDER);
  return known ?? keepFirst(HOLDER, await makeHolder());
}

/** The grants that this browser has for a device. */
export async function ownGrants(device: string): Promise<Grant[]> {
  const kept = (await find<string[]>(GRANTS)) ?? [];
  const grants = await Promise.all(kept.map((text) => readGrant(base64url(text))));
  return grants.filter((grant) => isFor(grant, device));
}

/** Keeps a grant that somebody gave; says why when it is of no use here. */
export async function take(text: string, holder: Holder, device: string): Promise<string | undefined> {
  const plain = text.replace(/\s/g, "");
  const grant = await readGrant(base64url(plain)).catch(() => undefined);
  if (!grant) return "This is no grant. Take the whole text, and nothing else.";
  if (toBase64url(grant.holder) !== toBase64url(holder.key)) return "This grant is for another key than this browser's.";
  if (!isFor(grant, device)) return `This grant is not for ${device}.`;
  await change<string[]>(GRANTS, (kept = []) => [plain, ...kept.filter((known) => known !== plain)].slice(0, GRANTS_MAX));
  return undefined;
}

export async function drop(grant: Grant): Promise<void> {
  await change<string[]>(GRANTS, (kept = []) => kept.filter((text) => text !== toBase64url(grant.bytes)));
}


/** A class of devices is left to the device. */
function isFor(grant: Grant, device: string): boolean {
  return grant.blocks.every(({ audience }) => !audience?.startsWith("device/") || audience === `device/${device}`);
}

/** What may be done with a grant: what its first block permits and no later one leaves out. */
export function actions(grant: Grant): Permission[] {
  const [first, ...later] = grant.blocks.map((block) => block.permissions).filter((scope) => scope !== undefined);
  const isLeft = ({ action }: Permission) => later.every((scope) => scope.some((own) => own.action === action));
  return (first ?? []).filter(isLeft).map((permission) => narrowest(permission, later));
}

/** Numbers within all blocks; other bounds as the first block has them. The device decides. */
function narrowest(permission: Permission, later: readonly (readonly Permission[])[]): Permission {
  const bounds = new Map(permission.bounds);
  for (const scope of later) {
    const own = scope.find(({ action }) => action === permission.action);
    for (const [name, bound] of own?.bounds ?? []) bounds.set(name, both(bounds.get(name), bound));
  }
  return { action: permission.action, bounds };
}

function both(a: Bound | undefined, b: Bound): Bound {
  if (a === undefined) return b;
  if (!isRange(a) || !isRange(b)) return isRange(a) ? b : a;
  const least = [a.min, b.min].filter((n) => n !== undefined);
  const most = [a.max, b.max].filter((n) => n !== undefined);
  return {
    min: least.length > 0 ? Math.max(...least) : undefined,
    max: most.length > 0 ? Math.min(...most) : undefined,
  };
}

export function isRange(bound: Bound): bound is { min?: number; max?: number } {
  return typeof bound === "object" && !Array.isArray(bound);
}

/** A permission within what was typed for its numbers. */
export function within({ action, bounds }: Permission, ends: Readonly<Record<string, Ends>>): Permission {
  const typed = Array.from(bounds, ([name, bound]): [string, Bound] => {
    const own = ends[name];
    return [name, own && isRange(bound) ? { min: whole(own.min), max: whole(own.max) } : bound];
  });
  return { action, bounds: new Map(typed) };
}
