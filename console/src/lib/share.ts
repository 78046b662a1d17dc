// How much of what was measured is under a signature.
//
// A device signs checkpoints over its readings, every few seconds: the newest readings always wait for the next one.
// So it is not the latest values that show whether it signs.

import type { Schemas } from "../api/client";

export type Window = Pick<Schemas["WindowView"], "start" | "count">;

/** The same stretch of time, once with all numbers and once with those that are signed. */
export interface Lately<W = Window> {
  readonly all: W[];
  readonly signed: W[];
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
  return { signed: sum(signed), missing: Math.max(0, before(all) - before(signed)), until };
}
