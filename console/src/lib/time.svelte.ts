// Times as people say them.

class Clock {
  now = $state(Date.now());
}

export const clock = new Clock();

setInterval(() => {
  clock.now = Date.now();
}, 5_000);

const STEPS = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Infinity],
] as const;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

/** `3 min ago`, `in 2 days`, `now`. */
export function ago(time: string | number | Date, now: number): string {
  let amount = (new Date(time).getTime() - now) / 1000;
  if (Math.abs(amount) < 10) return "just now";
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.trunc(amount), unit).replace(".", "");
    amount /= size;
  }
  return "";
}

export function exact(time: string | number | Date): string {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}
