// A list of devices, as people paste it: a name a line, or CSV with the name first and a role behind it.

const ROLES = ["device", "gateway", "application"] as const;
export type Role = (typeof ROLES)[number];

export interface Wanted {
  readonly name: string;
  readonly role: Role;
}

export interface Listed {
  readonly wanted: Wanted[];
  readonly problems: { line: number; problem: string }[];
}

/** What needs no escaping in a topic or a path. As `pattern` of a field, it has to have the backslash. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._\-]{0,62}$/;

export function readNames(text: string): Listed {
  const wanted: Wanted[] = [];
  const problems: Listed["problems"] = [];
  const known = new Set<string>();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const [name = "", role = ""] = line.split(/[,;\t]/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    if (name === "" || (at === 0 && name.toLowerCase() === "name")) continue;
    const found = role === "" ? "device" : ROLES.find((r) => r === role.toLowerCase());
    const problem = !NAME.test(name)
      ? `“${name}” is no name: up to 63 letters, digits, “-”, “_” and “.”, a letter or digit first`
      : !found
        ? `“${role}” is not device, gateway or application`
        : known.has(name)
          ? `“${name}” is there twice`
          : undefined;
    if (problem || !found) problems.push({ line: at + 1, problem: problem ?? "" });
    else {
      known.add(name);
      wanted.push({ name, role: found });
    }
  }
  return { wanted, problems };
}

/** Rows as CSV (RFC 4180). */
export function csv(rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
