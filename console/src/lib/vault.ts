// What this browser keeps for the page: IndexedDB takes keys that no script can read.

import { Failure } from "../api/failure";

const [DATABASE, STORE] = ["thingward", "keys"];

export async function keep(place: string, value: unknown): Promise<void> {
  await stored("readwrite", (values) => done(values.put(value, place)));
}

/** Keeps what `next` makes of what is there, also when another tab does so at once. */
export async function change<T>(place: string, next: (value: T | undefined) => T): Promise<void> {
  await stored("readwrite", async (values) => {
    const value = await done<T | undefined>(values.get(place));
    await done(values.put(next(value), place));
  });
}

/** Keeps a value where there is none, and gives the one that is there then: of two at once the first stays. */
export async function keepFirst<T>(place: string, value: T): Promise<T> {
  // One that is there already is no failure, and any other shows below.
  await stored("readwrite", (values) => done(values.add(value, place))).catch(() => undefined);
  return (await find<T>(place)) ?? value;
}

export async function find<T>(place: string): Promise<T | undefined> {
  return stored<T | undefined>("readonly", (values) => done(values.get(place)));
}

export async function forget(place: string): Promise<void> {
  await stored("readwrite", (values) => done(values.delete(place)));
}

async function stored<T>(mode: IDBTransactionMode, use: (values: IDBObjectStore) => Promise<T>): Promise<T> {
  try {
    const opening = indexedDB.open(DATABASE);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await done(opening);
    try {
      return await use(database.transaction(STORE, mode).objectStore(STORE));
    } finally {
      database.close();
    }
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    throw new Failure(0, "no-keys", "This browser keeps no key for this page. Let it store data, then try again.");
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as DOMException);
  });
}
