// Times as people say them.

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

const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

/** The time of day, `20:55`, of what was within the last day; else the day, `27 Nov 2026`. */
export function moment(time: string | number | Date, now: number): string {
  const date = new Date(time);
  return (now - date.getTime() < 86_400_000 ? timeOfDay : day).format(date);
}

export function exact(time: string | number | Date): string {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}
