// What the service's words mean to people.

/** What stands behind a reading: docs/wire/chain.md. */
export const ASSURANCE: Record<string, { short: string; long: string; level: number }> = {
  none: { short: "none", long: "Nothing stands behind it.", level: 0 },
  transport: { short: "transport", long: "It came over a connection that the device proved to be its own.", level: 1 },
  "gateway-sealed": { short: "gateway-sealed", long: "The gateway sealed it for the device behind it.", level: 2 },
  "device-signed": { short: "device-signed", long: "The device's own signature stands behind it.", level: 3 },
  "end-to-end": {
    short: "end-to-end",
    long: "Signed by the device and sealed for the customer: the service cannot read it.",
    level: 4,
  },
};

/** The roles that have an action everywhere: docs/policy.md. */
const ROLES: Record<string, string[]> = {
  "devices:read": ["viewer", "auditor", "operator", "administrator"],
  "devices:manage": ["operator", "administrator"],
  "readings:read": ["viewer", "operator", "administrator"],
  "commands:send": ["operator", "administrator"],
  "grants:issue": ["operator", "administrator"],
  "grants:revoke": ["operator", "administrator"],
  "log:read": ["auditor", "administrator"],
  "policy:read": ["auditor", "administrator"],
};

/** Which roles have the action. */
export function rolesWith(action: string): string {
  const roles = ROLES[action] ?? ["administrator"];
  return roles.length === 1 ? `the role ${roles[0]}` : `one of the roles ${list(roles)}`;
}

export const ROLE_WORDS: { role: string; may: string }[] = [
  { role: "administrator", may: "Everything in the tenant, its users and policies too." },
  { role: "operator", may: "Reads all values, adds and revokes devices, sends commands." },
  { role: "viewer", may: "Sees devices, and values that are neither a place nor about a person." },
  { role: "auditor", may: "Reads the log and the policies, sees devices." },
];

/** Every action that policies decide about, and what it is on. */
export const ACTIONS: { action: string; does: string; on: "tenant" | "member" | "field" | "stream" | "operation" }[] = [
  { action: "devices:read", does: "See devices", on: "tenant" },
  { action: "devices:manage", does: "Manage devices", on: "tenant" },
  { action: "readings:read", does: "Read values", on: "field" },
  { action: "readings:publish", does: "Publish readings", on: "stream" },
  { action: "commands:send", does: "Send commands", on: "operation" },
  { action: "grants:issue", does: "Issue grants", on: "operation" },
  { action: "grants:revoke", does: "Revoke grants", on: "member" },
  { action: "messages:forward", does: "Forward messages", on: "tenant" },
  { action: "segments:read", does: "Download history", on: "tenant" },
  { action: "keys:manage", does: "Manage keys", on: "tenant" },
  { action: "log:read", does: "Read the log", on: "tenant" },
  { action: "users:manage", does: "Manage users", on: "tenant" },
  { action: "policy:read", does: "Read policies", on: "tenant" },
  { action: "policy:manage", does: "Change policies", on: "tenant" },
  { action: "tokens:manage", does: "Manage tokens", on: "tenant" },
];

const UNITS: Record<string, string> = {
  Cel: "°C",
  "%RH": "% RH",
  "%EL": "%",
  "1/min": "/min",
  "N.m": "N·m",
  count: "",
};

/** A unit as people write it. */
export function unit(code: string | null | undefined): string {
  return code ? (UNITS[code] ?? code) : "";
}

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });

/** A value as people write it. */
export function value(of: number | boolean | string | null | undefined): string {
  if (typeof of === "number") return number.format(of);
  if (typeof of === "boolean") return of ? "yes" : "no";
  return of ?? "";
}

/** The input or output of a command, in a line. */
export function spoken(input: unknown): string {
  if (input === null || input === undefined) return "";
  if (typeof input !== "object") return String(input);
  return Object.entries(input as Record<string, unknown>)
    .map(([name, part]) => `${name} ${String(part)}`)
    .join(", ");
}

/** `a`, `a and b`, `a, b and c`. */
export function list(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** A text of the service as a sentence. */
export function sentence(text: string): string {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.?]$/.test(said) || said === "" ? said : `${said}.`;
}

/** `1 device`, `2 devices`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
