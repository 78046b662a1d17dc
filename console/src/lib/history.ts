// Numbers of a device: windows of the past, and the readings that come after them.

import { api, ask, failed, type Schemas } from "../api/client";
import { keyOf, lines, step, type Lines, type Span } from "./series";

export async function history(tenant: string, device: string, span: Span): Promise<Lines> {
  const query = {
    device,
    every: step(span),
    from: new Date(span.from).toISOString(),
    to: new Date(span.to).toISOString(),
  };
  const found = await ask(
    api.GET("/api/v1/tenants/{tenant}/readings/windows", { params: { path: { tenant }, query } }),
  );
  return lines(found.items.map((w) => ({ key: keyOf(w), time: Date.parse(w.start) / 1000, value: w.mean })));
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
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const parts = (rest + piece.value).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      const reading = JSON.parse(line) as Schemas["ReadingView"] | { skipped: number };
      if (!("skipped" in reading)) take(reading);
    }
  }
}
