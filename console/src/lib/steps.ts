// Checks that rest on each other, and what became of each.

export interface Step {
  readonly what: string;
  /** Why not; absent when it holds. */
  readonly problem?: string;
}

export type Check = <T>(what: string, check: () => T | Promise<T>) => Promise<T>;

/** Goes through all steps and stops at the first that fails: what comes after it would rest on it. */
export async function goThrough<T>(run: (step: Check) => Promise<T>): Promise<{ steps: Step[]; result?: T }> {
  const steps: Step[] = [];
  const step: Check = async (what, check) => {
    try {
      const result = await check();
      steps.push({ what });
      return result;
    } catch (cause) {
      steps.push({ what, problem: cause instanceof Error ? cause.message : String(cause) });
      throw STOP;
    }
  };
  try {
    return { steps, result: await run(step) };
  } catch (cause) {
    if (cause !== STOP) throw cause;
    return { steps };
  }
}

const STOP = Symbol("a step failed");
