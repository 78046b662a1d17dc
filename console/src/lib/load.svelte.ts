// Something that is asked for, and the four things that can come of it: nothing yet, data, a no, a failure.

import { Failure } from "../api/client";
import { session } from "./session.svelte";

export class Loaded<T> {
  data = $state.raw<T | undefined>();
  failure = $state<Failure | undefined>();
  isLoading = $state(true);
  private turn = 0;

  constructor(private readonly fetch: () => Promise<T>) {}

  /** Asks again; what is shown stays until the answer is there. */
  async again(): Promise<void> {
    const turn = ++this.turn;
    this.isLoading = true;
    try {
      const data = await this.fetch();
      if (turn !== this.turn) return;
      this.data = data;
      this.failure = undefined;
    } catch (cause) {
      if (turn !== this.turn) return;
      this.failure = cause instanceof Failure ? cause : unexpected(cause);
    }
    this.isLoading = false;
  }
}

/**
 * Asks at once, and again whenever state that `fetch` reads before its first wait changes. Who may not do what it
 * `needs` is told so without a question: the service would put its no into the log.
 */
export function load<T>(fetch: () => Promise<T>, needs?: string): Loaded<T> {
  const loaded = new Loaded(needs === undefined || session.may(needs) ? fetch : refused);
  $effect(() => {
    void loaded.again();
  });
  return loaded;
}

/** Asks again every so many seconds while somebody looks. */
export function repeat(seconds: number, task: () => void) {
  $effect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") task();
    }, seconds * 1000);
    return () => clearInterval(timer);
  });
}

/** How long to wait before something that ended is begun again, in milliseconds. */
const RESUME_AFTER = 5_000;

/**
 * Keeps a connection open while somebody looks: a browser has six of them for a place, and each page wants one.
 * When it ends it is begun again.
 */
export function whileSeen(run: (signal: AbortSignal) => Promise<void>) {
  $effect(() => {
    let stop: AbortController | undefined;
    const keep = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        await run(signal).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, RESUME_AFTER));
      }
    };
    const turn = () => {
      if (document.visibilityState === "hidden") {
        stop?.abort();
        stop = undefined;
      } else if (!stop) {
        stop = new AbortController();
        void keep(stop.signal);
      }
    };
    turn();
    document.addEventListener("visibilitychange", turn);
    return () => {
      document.removeEventListener("visibilitychange", turn);
      stop?.abort();
    };
  });
}

function refused(): Promise<never> {
  return Promise.reject(new Failure(403, "not-permitted", ""));
}

function unexpected(cause: unknown): Failure {
  console.error(cause);
  return new Failure(0, "unexpected", "Something in this page failed. Load it again.");
}
