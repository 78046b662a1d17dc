// Whether an entry is in the log, and the log is the one that was seen before: decided here, not by the service.

import { base64, equal, type Bytes } from "./bytes";
import { verifyEntry, type Entry } from "./entry";
import { cosigned, readKey, verifyCheckpoint, type Checkpoint, type NamedKey } from "./note";
import { goThrough, type Step } from "./steps";
import { leafHash, rootFromPath } from "./tree";

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

export async function verify(claim: Claim): Promise<Verdict> {
  const { steps, result } = await goThrough(async (step) => {
    const key = await step("The log’s key is well-formed", () => readKey(claim.key));
    const checkpoint = await step("The checkpoint is signed with the log’s key", () =>
      verifyCheckpoint(claim.proof.checkpoint, key),
    );
    const { bytes, entry } = await step("The entry is signed with the log’s key", async () => {
      const bytes = base64(claim.entry);
      return { bytes, entry: await verifyEntry(bytes, key) };
    });
    await step(`The entry is number ${claim.index} of the ${checkpoint.size} under the checkpoint’s root`, () =>
      verifyInclusion(bytes, claim, checkpoint),
    );
    return { entry, checkpoint, witnesses: await cosigners(claim, checkpoint) };
  });
  return result ? { steps, holds: true, ...result } : { steps, holds: false, witnesses: [] };
}

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
