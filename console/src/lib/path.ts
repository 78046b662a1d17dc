// The way that a reading took: from the thing over its link to a gateway or to the service.

import type { Reading } from "./fleet";

/** How much a link protects: all of it, in part, nothing. */
export type Strength = "good" | "warn" | "bad";

export interface Link {
  readonly name: string;
  readonly about: string;
  readonly state: Strength;
}

/** By the word of docs/wire/chain.md. */
const LINKS: Record<string, Link> = {
  "mutual-tls": { name: "TLS 1.3", about: "with the thing’s own certificate", state: "good" },
  serial: { name: "Serial line", about: "on which the thing proved its key", state: "good" },
  "zigbee-network-key": { name: "Zigbee", about: "under the network’s key, which all its nodes have", state: "warn" },
  "zigbee-link-key": { name: "Zigbee", about: "under a key of its own, which others may have heard", state: "warn" },
  "zigbee-install-code": { name: "Zigbee", about: "under a key of its own, by its install code", state: "good" },
  "zwave-none": { name: "Z-Wave", about: "in the clear", state: "bad" },
  "zwave-s0": { name: "Z-Wave", about: "with Security 0, whose keys may have been heard", state: "warn" },
  "zwave-s2-unauthenticated": { name: "Z-Wave", about: "with Security 2, and nobody compared its key", state: "warn" },
  "zwave-s2-authenticated": { name: "Z-Wave", about: "with Security 2, its key compared", state: "good" },
  "zwave-s2-access": { name: "Z-Wave", about: "with Security 2, and the key of doors", state: "good" },
  "ble-none": { name: "Bluetooth LE", about: "in the open: anybody may have sent it", state: "bad" },
  "ble-key": { name: "Bluetooth LE", about: "under its own key", state: "good" },
  oscore: { name: "CoAP", about: "under OSCORE, with keys of its own", state: "good" },
  zigbee2mqtt: { name: "Zigbee2MQTT", about: "on its word", state: "warn" },
  "zwave-js": { name: "Z-Wave JS", about: "on its word", state: "warn" },
};

export function linkOf(word: string): Link {
  return LINKS[word] ?? { name: word, about: "which this page does not know", state: "warn" };
}

export interface Step {
  readonly place: string;
  readonly about: string;
  /** When the reading was there. */
  readonly at?: string;
  readonly state?: Strength;
  /** Whether the place is a member, which has a page. */
  readonly isMember?: boolean;
}

export function pathOf(reading: Reading): Step[] {
  const { device, time, link, gateway, gateway_received: at, received, assurance } = reading;
  const way: Step[] = [];
  if (link) {
    const { name, about, state } = linkOf(link);
    way.push({ place: name, about, state });
    if (gateway && at) way.push({ place: gateway, about: "took it, by its clock", at, isMember: true });
  } else if (assurance === "gateway-sealed") {
    way.push({ place: "A gateway", about: "carried it, before such ways were kept", state: "warn" });
  } else {
    way.push({ place: "TLS 1.3", about: "over a connection of its own, with its own certificate", state: "good" });
  }
  const measured: Step = { place: device, about: "measured it", at: time, isMember: true };
  return [measured, ...way, { place: "The service", about: "took it", at: received }];
}

/** What came last. */
export function newest(readings: readonly Reading[]): Reading | undefined {
  return readings.reduce<Reading | undefined>((last, r) => (last && last.received > r.received ? last : r), undefined);
}
