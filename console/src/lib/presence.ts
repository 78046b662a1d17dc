// Whether a member is there: by its connection, by the gateway that carries it, and by what it sends.

import type { Member } from "./fleet";

/** Whoever is connected, or behind a gateway, and sends nothing for so long is quiet, in milliseconds. */
const QUIET_AFTER = 60 * 60_000;
/** A connection may break and come back: only after so long without one is somebody needed. */
const AWAY_AFTER = 15 * 60_000;

/** The state to show: the registry's word, and for who has enrolled whether they are there. */
export function stateOf(member: Member, now: number): string {
  if (member.state !== "enrolled") return member.state;
  const isThere = member.connected || member.gateway;
  if (!isThere) return member.role === "application" ? "not connected" : "offline";
  // Who never sent anything, or whose readings one may not see, did not stop.
  if (member.seen && now - Date.parse(member.seen) > QUIET_AFTER) return "quiet";
  return member.connected ? "connected" : "behind";
}

/** Applications come and go; a device or a gateway that is gone, or has gone quiet, needs somebody. */
export function isMissing(member: Member, now: number): boolean {
  const state = stateOf(member, now);
  if (state === "offline") return now - Date.parse(member.seen ?? member.created) > AWAY_AFTER;
  return state === "quiet";
}
