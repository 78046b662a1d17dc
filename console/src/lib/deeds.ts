// What each call that changes something does, in the log's words: no order for anything else is signed.

import { match } from "./router";

/** By method and address within a tenant: the log's actions and their target. `*` stands for any name. */
const DEEDS: Record<string, { actions: string[]; target: string }> = {
  "POST/claims": { actions: ["device.claim"], target: "*/*" },
  "POST/devices/:device/commands": { actions: ["command.send"], target: "operation/:device/*" },
  "DELETE/devices/:device/commands/:command": { actions: ["command.cancel"], target: "operation/:device/*" },
  "POST/devices/:device/release": { actions: ["device.release"], target: "*/:device" },
  "POST/devices/:device/revoke": { actions: ["device.revoke"], target: "*/:device" },
  "PUT/groups/:group/:kind/:member": { actions: ["group.add"], target: "group/:group" },
  "DELETE/groups/:group/:kind/:member": { actions: ["group.remove"], target: "group/:group" },
  "PUT/key/recipient": { actions: ["key.recipient"], target: "key" },
  "POST/key/restore": { actions: ["key.restore"], target: "key" },
  "POST/key/rotate": { actions: ["key.rotate"], target: "key" },
  "POST/key/withdraw": { actions: ["key.withdraw"], target: "key" },
  "PUT/makers/:maker": { actions: ["maker.trust"], target: "maker/:maker" },
  "DELETE/makers/:maker": { actions: ["maker.remove"], target: "maker/:maker" },
  "PUT/makers/:maker/serials/:serial": { actions: ["maker.expect"], target: "maker/:maker" },
  "PUT/policy": { actions: ["policy.apply"], target: "policy/*" },
  "DELETE/sessions/:session": { actions: ["session.end"], target: "session/:session" },
  "POST/tokens": { actions: ["token.create"], target: "token/*" },
  "DELETE/tokens/:token": { actions: ["token.revoke"], target: "token/:token" },
  "PUT/users/:user": { actions: ["user.add", "user.roles"], target: "user/*" },
  "DELETE/users/:user": { actions: ["user.remove"], target: "user/*" },
  "POST/users/:user/link": { actions: ["link.create"], target: "user/*" },
  "POST/users/:user/passkeys": { actions: ["passkey.add"], target: "passkey/*" },
  "DELETE/users/:user/passkeys/:passkey": { actions: ["passkey.remove"], target: "passkey/*" },
};
const TABLE = Object.keys(DEEDS).map((call) => [call, call] as const);

/** Whether a call to an address of the tenant does this to that. */
export function fits(call: { method: string; path: string }, tenant: string, action: string, target: string): boolean {
  const tenantPath = `/api/v1/tenants/${encodeURIComponent(tenant)}/`;
  if (!call.path.startsWith(tenantPath)) return false;
  const { page, params } = match(TABLE, `${call.method}/${call.path.slice(tenantPath.length)}`);
  const deed = DEEDS[page];
  if (!deed?.actions.includes(action)) return false;
  const [wanted, parts] = [deed.target.split("/"), target.split("/")];
  const isFitting = (part: string, want = "") => (want === "*" ? part !== "" : part === named(want, params));
  return parts.length === wanted.length && parts.every((part, at) => isFitting(part, wanted[at]));
}

function named(part: string, params: Readonly<Record<string, string>>): string | undefined {
  return part.startsWith(":") ? params[part.slice(1)] : part;
}
