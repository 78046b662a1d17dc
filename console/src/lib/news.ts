// What the service has taken back reaches a device that is cut off from it with whoever comes by.

import { api, ask } from "../api/client";
import { toBase64url, type Bytes } from "./bytes";
import type { Grant } from "./grant";
import { carry } from "./link";
import type { Place } from "./near";

/** So long is waited for a service or device that may be out of reach, in milliseconds. */
const PATIENCE = 2000;
/** What this page has brought already. */
const brought = new Set<string>();

/**
 * Brings a device what was taken back of its grants, and of the classes that a grant is for. A device that has heard of it
 * stays as it is, and nobody waits long for a service or device that does not answer: whether the grant counts, the device says.
 */
export async function bringNews(place: Place, grant: Grant): Promise<void> {
  const classes = grant.blocks.flatMap(({ audience }) => (audience?.startsWith("class/") ? [audience.slice(6)] : []));
  await Promise.all([undefined, ...new Set(classes)].map((name) => bring(place, name).catch(() => undefined)));
}

async function bring(place: Place, name: string | undefined): Promise<void> {
  const { tenant, device } = place;
  if (!tenant) return;
  const revocation: Bytes = new Uint8Array(
    await ask(
      api.GET("/api/v1/near/{tenant}/{device}/revocation", {
        params: { path: { tenant, device }, query: { class: name } },
        parseAs: "arrayBuffer",
        signal: AbortSignal.timeout(PATIENCE),
      }),
    ),
  );
  const text = toBase64url(revocation);
  if (brought.has(text)) return;
  await carry(place, revocation, AbortSignal.timeout(PATIENCE));
  brought.add(text);
}
