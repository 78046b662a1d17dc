// What this browser remembers of a tenant's log, so that the service cannot tell it another story later.

export interface Pin {
  /** The log's key, as C2SP signed-note writes it. */
  readonly key: string;
  /** When a person said that it is the right one. */
  readonly since: string;
}

export interface Seen {
  readonly size: number;
  readonly root: string;
}

export const pins = remembered<Pin>("log-key");
export const seen = remembered<Seen>("log-seen");

function remembered<T>(what: string) {
  const key = (tenant: string) => `thingward:${what}:${tenant}`;
  return {
    get(tenant: string): T | undefined {
      const text = localStorage.getItem(key(tenant));
      try {
        return text === null ? undefined : (JSON.parse(text) as T);
      } catch {
        return undefined;
      }
    },
    set(tenant: string, value: T) {
      localStorage.setItem(key(tenant), JSON.stringify(value));
    },
    forget(tenant: string) {
      localStorage.removeItem(key(tenant));
    },
  };
}
