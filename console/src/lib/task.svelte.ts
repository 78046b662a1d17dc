// Something that a button does: whether it runs, and why it did not work.

import { Failure } from "../api/client";

export class Task {
  isBusy = $state(false);
  failure = $state<Failure | undefined>();

  /** Runs `work` unless it runs already; says whether it came to its end. */
  async run(work: () => Promise<void>): Promise<boolean> {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.failure = undefined;
    try {
      await work();
      return true;
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      this.failure = cause;
      return false;
    } finally {
      this.isBusy = false;
    }
  }
}
