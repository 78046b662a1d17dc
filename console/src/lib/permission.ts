// What a grant permits, in words; and what an action opens, as a form.

import type { Form } from "./td";
import { list } from "./words";

type Value = boolean | number | string;

/** As the API has it: a value, one of several, or a range. */
export type Bound = Value | Value[] | { min?: number | null; max?: number | null };

export interface Permission {
  action: string;
  bounds?: Record<string, Bound>;
}

/** `park from 1 to 120`. */
export function said({ action, bounds = {} }: { action: string; bounds?: unknown }): string {
  const parts = Object.entries(bounds as Record<string, Bound>).map(([name, bound]) =>
    [name, inWords(bound)].filter(Boolean).join(" "),
  );
  return [action, list(parts)].filter(Boolean).join(" ");
}

function inWords(bound: Bound): string {
  if (typeof bound !== "object") return String(bound);
  if (Array.isArray(bound)) return bound.map(String).join(" or ");
  const { min, max } = bound;
  if (min != null && max != null) return `from ${min} to ${max}`;
  return min != null ? `at least ${min}` : `at most ${max}`;
}

/** What was typed for one number of an action: its ends. */
export interface Ends {
  min: string;
  max: string;
}

/** The ends that the description has for each number of an action. */
export function endsOf(form: Form): Record<string, Ends> {
  const numbers = form.fields.filter((field) => field.kind === "number");
  const end = (n: number | undefined) => (n === undefined ? "" : String(n));
  return Object.fromEntries(
    numbers.map(({ name, schema }) => [name, { min: end(schema.minimum), max: end(schema.maximum) }]),
  );
}

/** The whole number that was typed; nothing for anything else. */
export function whole(text: string): number | undefined {
  return /^-?\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** The permission for an action, its numbers within `ends`. An end that is no whole number is left to the device. */
export function permission(form: Form, ends: Readonly<Record<string, Ends>>): Permission {
  const bounds = Object.entries(ends).map(([name, { min, max }]) => {
    const range = { min: whole(min), max: whole(max) };
    return [name, range] as const;
  });
  const bounded = bounds.filter(([, { min, max }]) => min !== undefined || max !== undefined);
  return bounded.length > 0 ? { action: form.action, bounds: Object.fromEntries(bounded) } : { action: form.action };
}
