// How much of what a device measured lately its own signature stands behind.
//
// A device signs checkpoints over its readings, every few seconds: the newest readings always wait for the next one.
// So it is not the latest values that show whether it signs.

import { api, ask, type Schemas } from "../api/client";

type Window = Schemas["WindowView"];

/** What is looked at, in milliseconds, and how finely, in seconds. */
const LATELY = 10 * 60_000;
const STEP = 10;

export interface Lately {
  readonly all: Window[];
  readonly signed: Window[];
}

/** Numbers of the last ten minutes, of one device or of all. */
export async function lately(tenant: string, device?: string): Promise<Lately> {
  const from = new Date(Date.now() - LATELY).toISOString();
  const windows = async (assurance?: string) => {
    const query = { from, every: STEP, ...(device && { device }), ...(assurance && { assurance }) };
    return (await ask(api.GET("/api/v1/tenants/{tenant}/readings/windows", { params: { path: { tenant }, query } })))
      .items;
  };
  const [all, signed] = await Promise.all([windows(), windows("device-signed")]);
  return { all, signed };
}

export interface Share {
  /** Numbers that are signed. */
  readonly signed: number;
  /** Numbers before the last signature that it leaves out. */
  readonly missing: number;
  /** When the last signed numbers were measured, to a few seconds; nothing when none are. */
  readonly until?: string;
}

export function share({ all, signed }: Lately): Share {
  const sum = (windows: Window[]) => windows.reduce((total, window) => total + window.count, 0);
  const until = signed.reduce<string | undefined>((max, w) => (max && max > w.start ? max : w.start), undefined);
  if (until === undefined) return { signed: 0, missing: sum(all) };
  const before = (windows: Window[]) => sum(windows.filter((w) => w.start < until));
  return { signed: sum(signed), missing: before(all) - before(signed), until };
}
