// Series for a chart: windows of the past, and the readings that come after them.

import { api, ask, failed, type Schemas } from "../api/client";

export interface Span {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
}

/** Points of a chart: more would not be seen. */
const POINTS = 240;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800];

/** Seconds of a window, so that a span has about as many as can be seen. */
export function step(span: Span): number {
  const wanted = (span.to - span.from) / 1000 / POINTS;
  return STEPS.find((seconds) => seconds >= wanted) ?? 604_800;
}

export interface Lines {
  /** Seconds since 1970. */
  readonly times: number[];
  /** By `stream/field`. */
  readonly values: Map<string, (number | null)[]>;
}

export async function history(tenant: string, device: string, span: Span): Promise<Lines> {
  const query = {
    device,
    every: step(span),
    from: new Date(span.from).toISOString(),
    to: new Date(span.to).toISOString(),
  };
  const found = await ask(api.GET("/api/v1/tenants/{tenant}/readings/windows", { params: { path: { tenant }, query } }));
  return lines(found.items.map((w) => ({ key: keyOf(w), time: Date.parse(w.start) / 1000, value: w.mean })));
}

export function keyOf(of: { stream: string; field?: string | null }): string {
  return `${of.stream}/${of.field ?? ""}`;
}

export interface Point {
  readonly key: string;
  readonly time: number;
  readonly value: number;
}

/** Points of several series under one list of times. */
export function lines(points: readonly Point[]): Lines {
  const times = [...new Set(points.map((p) => p.time))].sort((a, b) => a - b);
  const at = new Map(times.map((time, index) => [time, index]));
  const values = new Map<string, (number | null)[]>();
  for (const { key, time, value } of points) {
    let line = values.get(key);
    if (!line) values.set(key, (line = new Array<number | null>(times.length).fill(null)));
    line[at.get(time) as number] = value;
  }
  return { times, values };
}

/** Hands over each reading of a device as it comes, until told to stop or the service ends it. */
export async function follow(
  tenant: string,
  device: string,
  signal: AbortSignal,
  take: (reading: Schemas["ReadingView"]) => void,
): Promise<void> {
  const path = `/api/v1/tenants/${encodeURIComponent(tenant)}/readings/follow?device=${encodeURIComponent(device)}`;
  const response = await fetch(path, { signal });
  if (!response.ok || !response.body) throw failed(response.status, await response.json().catch(() => undefined));
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const reading = JSON.parse(line) as Schemas["ReadingView"] | { skipped: number };
      if (!("skipped" in reading)) take(reading);
    }
  }
}
