// What each change that this console makes is in the log's words: no order for anything else is signed.

import type { Entry } from "./entry";
import { match } from "./router";

/** What is sent to the service. */
export interface Call {
  readonly method: string;
  readonly path: string;
  /** As it was before it became JSON. */
  readonly body?: unknown;
}

/** The log's actions, their target, and what it says of them in clear. */
type Deed = readonly [actions: string, target: string, details?: Readonly<Record<string, string>>];

/**
 * By method and address within a tenant. In what the log says, `*` stands for any name, `:name` for what the address has
 * there, and `.name` for what the body has there.
 */
const DEEDS: Record<string, Deed> = {
  "POST/claims": ["device.claim", ".role/.name"],
  "POST/devices/:device/commands": ["command.send", "operation/:device/.action"],
  "DELETE/devices/:device/commands/:command": ["command.cancel", "operation/:device/*", { id: ":command" }],
  "POST/devices/:device/release": ["device.release", "*/:device"],
  "POST/devices/:device/revoke": ["device.revoke", "*/:device", { reason: ".reason" }],
  "POST/devices/:device/attestation/ask": ["evidence.ask", "*/:device"],
  "POST/devices/:device/attestation/accept": ["evidence.accept", "*/:device", { evidence: ".evidence" }],
  "POST/gateways/:gateway/admission": [
    "gateway.admit",
    "gateway/:gateway",
    { seconds: ".seconds", radio: ".radio" },
  ],
  "DELETE/gateways/:gateway/admission": ["gateway.close", "gateway/:gateway"],
  "POST/gateways/:gateway/roll": ["gateway.roll", "gateway/:gateway", { radio: ".radio" }],
  "PUT/devices/:device/offer": [
    "offer.set",
    "device/:device",
    {
      start: ".start",
      finish: ".finish",
      amount: ".amount",
      currency: ".currency",
      per: ".per",
      most: ".most",
      notice: ".notice",
    },
  ],
  "DELETE/devices/:device/offer": ["offer.remove", "device/:device"],
  "POST/purchases/:purchase/refund": ["purchase.refund", "purchase/:purchase"],
  "POST/grants": ["grant.issue", "grant/*"],
  "DELETE/grants/:grant": ["grant.revoke", "grant/:grant"],
  // A user is in the log by their id, which is not in the address.
  "PUT/groups/:group/user/:name": ["group.add", "group/:group", { member: "user/*" }],
  "PUT/groups/:group/:kind/:name": ["group.add", "group/:group", { member: ":kind/:name" }],
  "DELETE/groups/:group/user/:name": ["group.remove", "group/:group", { member: "user/*" }],
  "DELETE/groups/:group/:kind/:name": ["group.remove", "group/:group", { member: ":kind/:name" }],
  "PUT/makers/:maker": ["maker.trust", "maker/:maker", { admit: ".admit" }],
  "DELETE/makers/:maker": ["maker.remove", "maker/:maker"],
  "PUT/makers/:maker/serials/:serial": ["maker.expect", "maker/:maker", { serial: ":serial" }],
  "PUT/policy": ["policy.apply", "policy/*"],
  "DELETE/sessions/:session": ["session.end", "session/:session"],
  "POST/tokens": ["token.create", "token/*", { scopes: ".scopes", key: ".key" }],
  "DELETE/tokens/:token": ["token.revoke", "token/:token"],
  "PUT/users/:user": ["user.add user.roles", "user/*", { roles: ".roles" }],
  "DELETE/users/:user": ["user.remove", "user/*"],
  "POST/users/:user/link": ["link.create", "user/*", { kind: ".kind" }],
  "POST/users/:user/passkeys": ["passkey.add", "passkey/*", { key: ".credential.response.publicKey" }],
  "DELETE/users/:user/passkeys/:passkey": ["passkey.remove", "passkey/*"],
};
const TABLE = Object.keys(DEEDS).map((call) => [call, call] as const);

/** Whether a call to an address of the tenant does what the log would say. */
export function fits({ method, path, body }: Call, tenant: string, said: Entry): boolean {
  const tenantPath = `/api/v1/tenants/${encodeURIComponent(tenant)}/`;
  if (!path.startsWith(tenantPath)) return false;
  const { page, params } = match(TABLE, `${method}/${path.slice(tenantPath.length)}`);
  const deed = DEEDS[page];
  if (!deed) return false;
  const [actions, target, details = {}] = deed;
  if (!actions.split(" ").includes(said.action)) return false;

  const means = (part: string) => {
    if (part.startsWith(":")) return params[part.slice(1)];
    return part.startsWith(".") ? inBody(body, part.slice(1).split(".")) : part;
  };
  const isLike = (template: string, text: string | undefined) => {
    // What the call does not say, the log does not say.
    if (text === undefined) return means(template) === undefined;
    const wanted = template.split("/");
    const parts = wanted.length === 1 ? [text] : text.split("/");
    const isPart = (part: string, want: string) =>
      want === "*" ? part !== "" : inOrder(part) === inOrder(means(want));
    return parts.length === wanted.length && wanted.every((want, at) => isPart(parts[at] as string, want));
  };
  const isSaid = ([name, want]: [string, string]) => isLike(want, said.details.get(name));
  return isLike(target, said.target) && Object.entries(details).every(isSaid);
}

/** A text of the body, or the words of a list. */
function inBody(body: unknown, names: readonly string[]): string | undefined {
  const found = names.reduce((of, name) => (of as Record<string, unknown> | null | undefined)?.[name], body);
  if (Array.isArray(found)) return found.join(" ");
  if (typeof found === "number") return String(found);
  return typeof found === "string" ? found : undefined;
}

/** Lists of words are sets: the service has its own order for them. */
function inOrder(words: string | undefined): string | undefined {
  return words?.split(" ").sort().join(" ");
}
