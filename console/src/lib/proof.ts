// Whether an entry is in the log, and the log is the one that was seen before: decided here, not by the service.

import { base64, equal, type Bytes } from "./bytes";
import { verifyEntry, type Entry } from "./entry";
import { cosigned, readKey, verifyCheckpoint, type Checkpoint, type NamedKey } from "./note";
import { leafHash, rootFromPath } from "./tree";

export interface Step {
  readonly what: string;
  /** Why not; absent when it holds. */
  readonly problem?: string;
}

export interface Verdict {
  readonly steps: Step[];
  readonly holds: boolean;
  /** What the proved bytes say; absent when they were not proved. */
  readonly entry?: Entry;
  readonly checkpoint?: Checkpoint;
  /** The witnesses that co-signed, by name. */
  readonly witnesses: { name: string; time: Date }[];
}

export interface Claim {
  /** The exact bytes of the entry, base64. */
  readonly entry: string;
  readonly index: number;
  readonly proof: { size: number; proof: string[]; checkpoint: string; index: number };
  /** The log's key, as it is known here. */
  readonly key: string;
  readonly witnesses: string[];
}

/** Goes through all steps and stops at the first that fails: what comes after it would rest on it. */
export async function verify(claim: Claim): Promise<Verdict> {
  const steps: Step[] = [];
  const step = async <T>(what: string, check: () => Promise<T>): Promise<T> => {
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
    const key = await step("The log’s key is well-formed", () => readKey(claim.key));
    const checkpoint = await step("The checkpoint is signed with the log’s key", () =>
      verifyCheckpoint(claim.proof.checkpoint, key),
    );
    const bytes = await step("The entry is signed with the log’s key", async () => {
      const bytes = base64(claim.entry);
      return { bytes, entry: await verifyEntry(bytes, key) };
    });
    await step(`The entry is number ${claim.index} of the ${checkpoint.size} under the checkpoint’s root`, () =>
      verifyInclusion(bytes.bytes, claim, checkpoint),
    );
    const witnesses = await cosigners(claim, checkpoint);
    return { steps, holds: true, entry: bytes.entry, checkpoint, witnesses };
  } catch (cause) {
    if (cause !== STOP) throw cause;
    return { steps, holds: false, witnesses: [] };
  }
}

const STOP = Symbol("a step failed");

async function verifyInclusion(entry: Bytes, claim: Claim, checkpoint: Checkpoint): Promise<void> {
  const { index, size, proof } = claim.proof;
  if (index !== claim.index) throw new Error("The proof is of another entry.");
  if (size !== checkpoint.size) throw new Error("The proof is for another size than the checkpoint.");
  const root = await rootFromPath(index, size, await leafHash(entry), proof.map(base64));
  if (!equal(root, checkpoint.root)) throw new Error("The path does not lead to the checkpoint’s root.");
}

async function cosigners(claim: Claim, checkpoint: Checkpoint): Promise<{ name: string; time: Date }[]> {
  const found = await Promise.all(
    claim.witnesses.map(async (text) => {
      const key: NamedKey = await readKey(text);
      const time = await cosigned(checkpoint.note, key);
      return time ? [{ name: key.name, time }] : [];
    }),
  );
  return found.flat();
}
