// Numbers over time, as a chart takes them.

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
