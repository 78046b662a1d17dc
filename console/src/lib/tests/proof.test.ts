// Vectors are of a log that the service wrote: 300 entries, over the edge of a tile.

import { describe, expect, test } from "vitest";
import { base64, toBase64, utf8 } from "../bytes";
import { cosigned, readKey, verifyCheckpoint } from "../note";
import { verify, type Claim } from "../proof";
import { isContinued, Tiles } from "../tree";
import vectors from "./log-vectors.json";

const claims: Claim[] = vectors.proofs.map(({ entry, proof }) => ({
  entry,
  index: proof.index,
  proof,
  key: vectors.key,
  witnesses: [],
}));

const claim = (index: number, size = 300) => {
  const found = claims.find((c) => c.index === index && c.proof.size === size);
  if (!found) throw new Error(`no vector for ${index}`);
  return structuredClone(found);
};

/** The text with its bit changed. */
function flipped(text: string, at: number): string {
  const bytes = base64(text);
  bytes[at] = (bytes[at] as number) ^ 1;
  return toBase64(bytes);
}

describe("a proof", () => {
  test.each(claims)("of entry $index of $proof.size holds", async (claim) => {
    const verdict = await verify(claim);
    expect(verdict.steps.filter((step) => step.problem)).toEqual([]);
    expect(verdict.holds).toBe(true);
    const shown = vectors.proofs.find((p) => p.entry === claim.entry);
    expect(verdict.entry?.action).toBe(shown?.action);
    expect(verdict.entry?.target).toBe(shown?.target);
  });

  test("fails with any bit of the entry changed, and says nothing of it then", async () => {
    const right = claim(299);
    for (let at = 0; at < base64(right.entry).length; at++) {
      const verdict = await verify({ ...right, entry: flipped(right.entry, at) });
      expect(verdict.holds, `byte ${at}`).toBe(false);
      expect(verdict.entry).toBeUndefined();
    }
  });

  test("fails with any hash of the path changed, left out or added", async () => {
    const right = claim(255);
    for (const at of right.proof.proof.keys()) {
      const proof = right.proof.proof.with(at, flipped(right.proof.proof[at] as string, 31));
      expect((await verify({ ...right, proof: { ...right.proof, proof } })).holds).toBe(false);
      const shorter = right.proof.proof.toSpliced(at, 1);
      expect((await verify({ ...right, proof: { ...right.proof, proof: shorter } })).holds).toBe(false);
    }
    const longer = [...right.proof.proof, right.proof.proof[0] as string];
    expect((await verify({ ...right, proof: { ...right.proof, proof: longer } })).holds).toBe(false);
  });

  test("fails for another entry's place", async () => {
    const right = claim(255);
    const proof = { ...right.proof, index: 254 };
    expect((await verify({ ...right, index: 254, proof })).holds).toBe(false);
    expect((await verify({ ...right, index: 254 })).holds).toBe(false);
  });

  test("fails under a checkpoint of another size, and with another key", async () => {
    const right = claim(255);
    const checkpoint = vectors.checkpoints[4] as string;
    expect((await verify({ ...right, proof: { ...right.proof, checkpoint } })).holds).toBe(false);
    const [name, , key] = vectors.key.split("+");
    const other = await namedKey(name as string, flipped(key as string, 5));
    const verdict = await verify({ ...right, key: other });
    expect(verdict.steps.at(-1)?.problem).toBe("The checkpoint is not signed with the log’s key.");
  });
});

describe("a checkpoint", () => {
  test("says what it is over", async () => {
    const key = await readKey(vectors.key);
    const sizes = await Promise.all(vectors.checkpoints.map(async (note) => (await verifyCheckpoint(note, key)).size));
    expect(sizes).toEqual([1, 2, 7, 255, 256, 300]);
  });

  test("is refused with another size, root or signature", async () => {
    const key = await readKey(vectors.key);
    const note = vectors.checkpoints[5] as string;
    const [origin, size, root, , signature] = note.split("\n") as [string, string, string, string, string];
    const [mark, name, blob] = signature.split(" ") as [string, string, string];
    const notes = [
      note.replace(`\n${size}\n`, "\n301\n"),
      note.replace(root, flipped(root, 0)),
      note.replace(blob, flipped(blob, 20)),
      note.replace(origin, "another.local/log"),
      `${note}${mark} ${name} ${blob}\n`,
    ];
    for (const wrong of notes) await expect(verifyCheckpoint(wrong, key), wrong).rejects.toThrow();
  });
});

describe("a log", () => {
  const fetchTile = (path: string) => Promise.resolve(base64(vectors.tiles[path as keyof typeof vectors.tiles]));
  const heads = async () => {
    const key = await readKey(vectors.key);
    return Promise.all(vectors.checkpoints.map((note) => verifyCheckpoint(note, key)));
  };

  test("continues each of its former checkpoints", async () => {
    const all = await heads();
    const now = all[5] as (typeof all)[number];
    for (const old of all) {
      const tiles = new Tiles(now.size, fetchTile);
      expect(await isContinued(old.size, old.root, now.size, now.root, tiles), `${old.size}`).toBe(true);
    }
  });

  test("does not continue another history, nor become smaller", async () => {
    const all = await heads();
    const now = all[5] as (typeof all)[number];
    for (const old of all) {
      const other = base64(flipped(toBase64(old.root), 7));
      expect(await isContinued(old.size, other, now.size, now.root, new Tiles(now.size, fetchTile))).toBe(false);
    }
    expect(await isContinued(301, now.root, now.size, now.root, new Tiles(now.size, fetchTile))).toBe(false);
  });

  test("is not believed by tiles that were changed", async () => {
    const all = await heads();
    const [old, now] = [all[3], all[5]] as [(typeof all)[number], (typeof all)[number]];
    const wrong = async (path: string) => {
      const tile = await fetchTile(path);
      tile[40] = (tile[40] as number) ^ 1;
      return tile;
    };
    expect(await isContinued(old.size, old.root, now.size, now.root, new Tiles(now.size, wrong))).toBe(false);
  });
});

describe("a witness", () => {
  test("is found on the note that it co-signed, and on no other", async () => {
    const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    const witness = await readKey(await namedKey("witness.example", toBase64(new Uint8Array([4, ...raw]))));
    const note = vectors.checkpoints[5] as string;
    const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
    const message = utf8(`cosignature/v1\ntime 1700000000\n${text}`);
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message));
    const time = new Uint8Array(8);
    new DataView(time.buffer).setBigUint64(0, 1_700_000_000n);
    const blob = toBase64(new Uint8Array([...witness.id, ...time, ...signature]));
    const line = `\u2014 witness.example ${blob}\n`;
    expect(await cosigned(note + line, witness)).toEqual(new Date(1_700_000_000_000));
    expect(await cosigned(note, witness)).toBeUndefined();
    expect(await cosigned((vectors.checkpoints[4] as string) + line, witness)).toBeUndefined();
  });
});

/** `name+id+key` for a key blob in base64. */
async function namedKey(name: string, blob: string): Promise<string> {
  const bytes = new Uint8Array([...utf8(`${name}\n`), ...base64(blob)]);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const id = Array.from(hash.slice(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${name}+${id}+${blob}`;
}
