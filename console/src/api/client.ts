// The typed client, and what becomes of what is asked.

import createClient from "openapi-fetch";
import { Failure } from "./failure";
import type { components, paths } from "./schema";
import { send } from "./sign";

export { Failure };
export type Schemas = components["schemas"];

export const api = createClient<paths>({ baseUrl: location.origin, fetch: send });

/**
 * Told of every answer that says that the session is `over`, or may not what was asked: `denied`. And of every change
 * that could not be signed: `keyless`.
 */
export const answers = new EventTarget();

type Answered<T> = { data?: T; error?: unknown; response: Response };

/** What the service answered, or a `Failure`. */
export async function ask<T>(call: Promise<Answered<T>>): Promise<T> {
  let answered: Answered<T>;
  try {
    answered = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    if (cause instanceof Failure) {
      if (cause.code === "key-lost") answers.dispatchEvent(new Event("keyless"));
      throw cause;
    }
    throw new Failure(0, "unreachable", "The service does not answer.");
  }
  const { data, error, response } = answered;
  if (response.ok) return data as T;
  throw failed(response.status, error);
}

/** The `Failure` that an answer stands for. */
export function failed(status: number, body: unknown): Failure {
  if (status === 401) answers.dispatchEvent(new Event("over"));
  if (status === 403) answers.dispatchEvent(new Event("denied"));
  const detail = (body as Partial<Schemas["ErrorBody"]> | undefined)?.error;
  if (detail) return new Failure(status, detail.code, detail.message);
  return new Failure(status, "unknown", `The service answered with status ${status}.`);
}

/** All pages of a list, up to `most` items. */
export async function all<T>(
  page: (after: string | undefined) => Promise<{ items: T[]; next?: string | null }>,
  most = 5000,
): Promise<T[]> {
  const items: T[] = [];
  let after: string | undefined;
  do {
    const answer = await page(after);
    items.push(...answer.items);
    after = answer.next ?? undefined;
  } while (after !== undefined && items.length < most);
  return items;
}

/** Runs `task` for each item, a few at a time, so that a page with many rows does not flood the service. */
export async function each<T, R>(items: readonly T[], task: (item: T) => Promise<R>, width = 6): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await task(items[at] as T);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
