// What protects a device, as it was measured: from certificates, readings and answers, never from a setting.

import type { Failure, Schemas } from "../api/client";
import type { Reading } from "./fleet";
import { ASSURANCE, count } from "./words";

export interface Measure {
  readonly what: string;
  readonly state: "good" | "warn" | "bad" | "unknown";
  readonly found: string;
}

const DAY = 86_400_000;

export function identity(keys: readonly Schemas["DeviceKey"][], now: number): Measure {
  const what = "Identity";
  const valid = keys.find((k) => !k.revoked && Date.parse(k.not_before) <= now && now < Date.parse(k.not_after));
  if (!valid) return { what, state: "bad", found: "No certificate of it is valid now." };
  const days = Math.floor((Date.parse(valid.not_after) - now) / DAY);
  return { what, state: "good", found: `Its own key, with a certificate for ${count(days, "more day")}.` };
}

export function signatures(readings: readonly Reading[]): Measure {
  const what = "Signatures";
  if (readings.length === 0) return { what, state: "unknown", found: "No readings to look at." };
  const level = (r: Reading) => ASSURANCE[r.assurance]?.level ?? 0;
  const signed = readings.filter((r) => level(r) >= 3).length;
  if (signed === readings.length) {
    return { what, state: "good", found: "Its signature was checked for each latest value." };
  }
  const found = `Its signature was checked for ${signed} of ${readings.length} latest values.`;
  return { what, state: "warn", found };
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
