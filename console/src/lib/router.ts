// Which page an address stands for.

export interface Route {
  readonly page: string;
  readonly params: Readonly<Record<string, string>>;
}

/** `:name` stands for one part; the first pattern that fits wins. */
export type Table = readonly (readonly [pattern: string, page: string])[];

export function match(table: Table, path: string): Route {
  const parts = path.split("/").filter(Boolean);
  for (const [pattern, page] of table) {
    const wanted = pattern.split("/").filter(Boolean);
    if (wanted.length !== parts.length) continue;
    const params: Record<string, string> = {};
    const fits = wanted.every((want, at) => {
      const part = parts[at] as string;
      if (!want.startsWith(":")) return want === part;
      const text = unescaped(part);
      if (text !== undefined) params[want.slice(1)] = text;
      return text !== undefined;
    });
    if (fits) return { page, params };
  }
  return { page: "missing", params: {} };
}

/** A path, with each part escaped. */
export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

function unescaped(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
