// What whoever stands before a device can buy there, and what they bought.

import { api, ask, Failure, type Schemas } from "../api/client";
import { toBase64url } from "./bytes";
import type { Holder } from "./grant";
import { take, type Place } from "./near";
import { change, find } from "./vault";

export type Offer = Schemas["OfferView"];
export type Purchase = Schemas["OwnPurchase"];

const PURCHASES = "purchases";
/** So many are kept, the newest. */
const PURCHASES_MAX = 64;

/** A purchase that this browser made. */
interface Kept {
  readonly tenant: string;
  readonly device: string;
  readonly id: string;
}

/** What a device costs; nothing when it is not for sale. */
export async function offerOf({ tenant, device }: Place): Promise<Offer | undefined> {
  if (!tenant) return undefined;
  return found(ask(api.GET("/api/v1/near/{tenant}/{device}", { params: { path: { tenant, device } } })));
}

/** Asks for so much, and keeps what becomes of it: it is paid on the provider's page. */
export async function buy({ tenant = "", device }: Place, quantity: number, holder: Holder): Promise<Purchase> {
  const body = { quantity, holder: toBase64url(holder.key), return_url: location.href };
  const params = { path: { tenant, device } };
  const made = await ask(api.POST("/api/v1/near/{tenant}/{device}/purchases", { params, body }));
  const own = { tenant, device, id: made.id };
  await change<Kept[]>(PURCHASES, (kept = []) => [own, ...kept].slice(0, PURCHASES_MAX));
  return made;
}

/** What this browser bought of a device, the newest first. Grants that were paid for are kept with the others. */
export async function bought(place: Place, holder: Holder): Promise<Purchase[]> {
  const own = ((await find<Kept[]>(PURCHASES)) ?? []).filter(({ tenant, device }) => tenant === place.tenant && device === place.device);
  const purchases = await Promise.all(
    own.map(({ tenant, device, id }) => {
      const params = { path: { tenant, device, purchase: id } };
      return found(ask(api.GET("/api/v1/near/{tenant}/{device}/purchases/{purchase}", { params })));
    }),
  );
  const known = purchases.filter((purchase) => purchase !== undefined);
  // The newest is taken last, and stands in front.
  for (const { grant, state } of known.toReversed()) {
    if (grant && (state === "paid" || state === "active")) await take(grant, holder, place.device);
  }
  return known;
}

/** Of a grant that is not wanted any more: a purchase has the id of its grant. */
export async function forgetPurchase(id: string): Promise<void> {
  await change<Kept[]>(PURCHASES, (kept = []) => kept.filter((purchase) => purchase.id !== id));
}

/** What is not there is nothing. */
async function found<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (cause) {
    if (cause instanceof Failure && cause.status === 404) return undefined;
    throw cause;
  }
}
