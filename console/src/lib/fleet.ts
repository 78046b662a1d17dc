// Devices with what their latest readings say about them.

import { all, api, ask, Failure, type Schemas } from "../api/client";
import { lately } from "./signed";
import { ASSURANCE } from "./words";

export type Device = Schemas["DeviceView"];
export type Reading = Schemas["ReadingView"];

export interface Member extends Device {
  /** When the service last received a reading of it. */
  readonly seen?: string;
  /** What stands behind each of its streams, as far as it was checked lately. */
  readonly assurance?: string;
}

export interface Fleet {
  readonly members: Member[];
  readonly latest: Reading[];
  /** Why there are no latest values. */
  readonly unread?: Failure;
}

/** All members of a tenant, or those with a role. */
export async function membersOf(tenant: string, role?: string): Promise<Device[]> {
  const query = role === undefined ? { limit: 1000 } : { role, limit: 1000 };
  return all((after) =>
    ask(api.GET("/api/v1/tenants/{tenant}/devices", { params: { path: { tenant }, query: { ...query, after } } })),
  );
}

export async function fleet(tenant: string): Promise<Fleet> {
  const [devices, read, signed] = await Promise.all([
    membersOf(tenant),
    latest(tenant).catch((cause: unknown) => {
      if (cause instanceof Failure) return cause;
      throw cause;
    }),
    // Many devices can be too many to look through: then the latest values have to do.
    lately(tenant).then(
      ({ signed }) => new Set(signed.map(streamOf)),
      () => new Set<string>(),
    ),
  ]);
  if (read instanceof Failure) return { members: devices, latest: [], unread: read };
  const of = Map.groupBy(read, (reading) => reading.device);
  const members = devices.map((device) => ({ ...device, ...summary(of.get(device.name) ?? [], signed) }));
  return { members, latest: read };
}

export async function latest(tenant: string, device?: string): Promise<Reading[]> {
  const query = device === undefined ? {} : { device };
  const found = await ask(api.GET("/api/v1/tenants/{tenant}/readings/latest", { params: { path: { tenant }, query } }));
  return found.items;
}

export function summary(
  readings: readonly Reading[],
  signed: ReadonlySet<string> = new Set(),
): Pick<Member, "seen" | "assurance"> {
  const level = (word: string) => ASSURANCE[word]?.level ?? 0;
  const checked = readings.map((r) =>
    level(r.assurance) < 3 && signed.has(streamOf(r)) ? "device-signed" : r.assurance,
  );
  const last = readings.reduce<string | undefined>((max, r) => (max && max > r.received ? max : r.received), undefined);
  const least = checked.reduce<string | undefined>(
    (min, word) => (min !== undefined && level(min) <= level(word) ? min : word),
    undefined,
  );
  return { ...(last && { seen: last }), ...(least && { assurance: least }) };
}

function streamOf(of: { device: string; stream: string }): string {
  return `${of.device}/${of.stream}`;
}
