// Keys out of earlier entries of the log, which its own key signed.

import { base64, type Bytes } from "./bytes";
import { verifyEntry, type Entry } from "./entry";
import { page, type LogEntry } from "./log";
import type { NamedKey } from "./note";
import type { Find, Found } from "./word";

/** How far back a key is looked for. `thingward audit verify` goes to the first entry. */
export const LOOK_BACK = 2000;
const PAGE = 1000;

/** Looks through what was before an entry, the newest first. */
export function past(tenant: string, index: number, log: NamedKey): Find {
  const least = Math.max(0, index - LOOK_BACK);
  return async (action, keyOf) => {
    for (let end = index; end > least; end -= PAGE) {
      const start = Math.max(least, end - PAGE);
      const shown = (await page(tenant, start, end - start)).filter((entry) => entry.action === action);
      for (const entry of shown.reverse()) {
        const found = await keyFrom(entry, log, keyOf);
        if (found) return found;
      }
    }
    return undefined;
  };
}

type KeyOf = (entry: Entry) => Promise<Bytes | undefined>;

async function keyFrom(shown: LogEntry, log: NamedKey, keyOf: KeyOf): Promise<Found | undefined> {
  try {
    const key = await keyOf(await verifyEntry(base64(shown.entry), log));
    return key && { key, index: shown.index };
  } catch {
    return undefined; // an entry that is not the log's brings in no key
  }
}
