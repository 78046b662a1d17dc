// The Merkle tree of a log: RFC 9162 §2.1, and its hashes in tiles (C2SP tlog-tiles).

import { equal, sha256, type Bytes } from "./bytes";

export function leafHash(entry: Uint8Array): Promise<Bytes> {
  return sha256(new Uint8Array([0]), entry);
}

function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(new Uint8Array([1]), left, right);
}

/** The root that a path leads to from a leaf: RFC 9162 §2.1.3.2. */
export async function rootFromPath(index: number, size: number, leaf: Bytes, path: Bytes[]): Promise<Bytes> {
  if (index >= size) throw new Error("The entry is beyond the checkpoint.");
  let [node, last, hash] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) throw new Error("The path is too long.");
    if (node % 2 === 1 || node === last) {
      hash = await nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = await nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw new Error("The path is too short.");
  return hash;
}

/** Hashes of a log that has grown to `size` entries, from its tiles. */
export class Tiles {
  private readonly fetched = new Map<string, Promise<Bytes>>();

  constructor(
    private readonly size: number,
    private readonly fetchTile: (path: string) => Promise<Bytes>,
  ) {}

  /** The hash over the entries from `start` up to `end`, where `start` begins a subtree of that many. */
  async hash(start: number, end: number): Promise<Bytes> {
    const count = end - start;
    const split = powerBelow(count);
    if (count > 1 && split * 2 !== count) {
      return nodeHash(await this.hash(start, start + split), await this.hash(start + split, end));
    }
    const height = Math.round(Math.log2(count));
    const [level, within] = [Math.floor(height / 8), height % 8];
    const place = start / 256 ** level;
    const tile = await this.tile(level, Math.floor(place / 256));
    let hashes = Array.from({ length: 2 ** within }, (_, i) => {
      const at = (place % 256) + i;
      const hash = tile.slice(at * 32, at * 32 + 32);
      if (hash.length !== 32) throw new Error("A tile is too short.");
      return hash;
    });
    while (hashes.length > 1) {
      const pairs = hashes.length / 2;
      hashes = await Promise.all(
        Array.from({ length: pairs }, (_, i) => nodeHash(hashes[2 * i] as Bytes, hashes[2 * i + 1] as Bytes)),
      );
    }
    return hashes[0] as Bytes;
  }

  private tile(level: number, n: number): Promise<Bytes> {
    const there = Math.floor(this.size / 256 ** level);
    const width = Math.min(256, there - n * 256);
    const path = `${level}/${tileNumber(n)}${width < 256 ? `.p/${width}` : ""}`;
    const known = this.fetched.get(path);
    if (known) return known;
    const fetched = this.fetchTile(path);
    this.fetched.set(path, fetched);
    return fetched;
  }
}

/** Whether a log of `size` entries with `root` begins with the `oldSize` entries that had `oldRoot`: RFC 9162 §2.1.4. */
export async function isContinued(
  oldSize: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  tiles: Tiles,
): Promise<boolean> {
  if (oldSize > size) return false;
  if (oldSize === size) return equal(oldRoot, root);
  if (oldSize === 0) return true;
  // One walk makes both roots from the same hashes: what they share cannot differ.
  const walk = async (start: number, end: number): Promise<{ old: Bytes | undefined; now: Bytes }> => {
    if (end <= oldSize || start >= oldSize) {
      const now = await tiles.hash(start, end);
      return { old: start >= oldSize ? undefined : now, now };
    }
    const split = start + powerBelow(end - start);
    const [left, right] = await Promise.all([walk(start, split), walk(split, end)]);
    const now = await nodeHash(left.now, right.now);
    if (!left.old) return { old: undefined, now };
    return { old: right.old ? await nodeHash(left.old, right.old) : left.old, now };
  };
  const found = await walk(0, size);
  return equal(found.now, root) && found.old !== undefined && equal(found.old, oldRoot);
}

/** The largest power of two below `n`; 1 for 1. */
function powerBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}

function half(n: number): number {
  return Math.floor(n / 2);
}

/** `1234067` is `x001/x234/067`. */
function tileNumber(n: number): string {
  const digits = (part: number) => String(part % 1000).padStart(3, "0");
  let text = digits(n);
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) text = `x${digits(rest)}/${text}`;
  return text;
}
