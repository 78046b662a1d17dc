// What protects a device, as it was measured: from certificates, readings and answers, never from a setting.

import type { Failure, Schemas } from "../api/client";
import type { Reading } from "./fleet";
import type { Share } from "./share";
import { ago, moment } from "./time";
import { count } from "./words";

export interface Measure {
  readonly what: string;
  readonly state: "good" | "warn" | "bad" | "unknown";
  readonly found: string;
}

const DAY = 86_400_000;

export function identity({ keys, keeper }: Schemas["DeviceDetail"], now: number): Measure {
  const what = "Identity";
  const valid = keys.find((k) => !k.revoked && Date.parse(k.not_before) <= now && now < Date.parse(k.not_after));
  if (!valid) return { what, state: "bad", found: "No certificate of it is valid now." };
  const days = Math.floor((Date.parse(valid.not_after) - now) / DAY);
  if (keeper) {
    return { what, state: "warn", found: `${keeper} keeps its key: nothing of it is more than that gateway’s word.` };
  }
  return { what, state: "good", found: `Its own key, with a certificate for ${count(days, "more day")}.` };
}

export function way({ connected, gateway }: Schemas["DeviceView"], now: number): Measure {
  const what = "Way to the service";
  if (connected) {
    return {
      what,
      state: "good",
      found: `A connection of its own, with its own key, since ${moment(connected, now)}.`,
    };
  }
  if (gateway) return { what, state: "good", found: `${gateway} handed on what came of it last, over its connection.` };
  return { what, state: "unknown", found: "It is not connected." };
}

export function signatures({ signed, missing, until }: Share, now: number, keeper?: string | null): Measure {
  const what = "Signatures";
  if (keeper) return { what, state: "warn", found: `${keeper} signs for it, as it has no key of its own.` };
  if (signed + missing === 0) return { what, state: "unknown", found: "No numbers came in the last ten minutes." };
  if (until === undefined) {
    return {
      what,
      state: "warn",
      found: "No number of the last ten minutes is signed: the connection vouches for them.",
    };
  }
  if (missing > 0) {
    return {
      what,
      state: "warn",
      found: `${missing} of ${signed + missing} numbers of the last ten minutes are not signed.`,
    };
  }
  const found = `All ${signed} numbers of the last ten minutes, up to ${ago(until, now)}, are under its own signature.`;
  return { what, state: "good", found };
}

export function rest(readings: readonly Reading[] | undefined, failure: Failure | undefined): Measure {
  const what = "Sealed at rest";
  if (failure?.status === 423) {
    return { what, state: "good", found: "Its readings did not open just now: the customer’s key is not there." };
  }
  if (!readings || readings.length === 0) return { what, state: "unknown", found: "Nothing was opened to see." };
  const sealed = readings.filter((r) => r.kind === "sealed").length;
  if (sealed === readings.length) return { what, state: "good", found: "The service cannot open its values." };
  return { what, state: "good", found: "Its latest values opened just now with the tenant’s key." };
}

export function chain(chains: readonly Schemas["ChainView"][]): Measure {
  const what = "Sealed on the way";
  if (chains.length === 0) return { what, state: "unknown", found: "It has opened no chain." };
  const customers = chains.filter((c) => c.sealed_for !== "service").length;
  const streams = count(new Set(chains.map((c) => c.stream)).size, "stream");
  if (customers === 0) return { what, state: "good", found: `${streams}, sealed by the device for the service.` };
  return { what, state: "good", found: `${streams}, of which ${customers} sealed for the customer alone.` };
}
