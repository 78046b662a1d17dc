// Money as the API has it: whole numbers of a currency's smallest unit.

/** As people of this browser's language write it: `€2.40`. */
export function money(amount: number, currency: string): string {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** What so much costs: rounded up to the smallest unit, as the service does. */
export function price({ amount, per }: { amount: number; per: number }, quantity: number): number {
  return Math.ceil((amount * quantity) / per);
}

/** What was typed as an amount, in the smallest unit; nothing when it is none. */
export function smallest(typed: string, currency: string): number | undefined {
  const text = typed.trim();
  try {
    const digits = new Intl.NumberFormat(undefined, { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
    const [, whole, part = ""] = /^(\d{1,9})(?:\.(\d*))?$/.exec(text) ?? [];
    if (whole === undefined || part.length > digits) return undefined;
    return Number(whole + part.padEnd(digits, "0"));
  } catch {
    // No currency.
    return undefined;
  }
}

const UNITS: Record<string, string> = { s: "seconds", min: "minutes", h: "hours" };

/** The unit of what is sold, in full. */
export function unitName(unit: string): string {
  return UNITS[unit] ?? unit;
}
