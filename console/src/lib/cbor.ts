// A reader of CBOR (RFC 8949), as far as log entries need it: definite lengths, no floats, shortest heads.

import { concat, hex, utf8, type Bytes } from "./bytes";

export type Cbor = number | string | Bytes | null | boolean | Cbor[] | Map<Cbor, Cbor> | Tagged;

export class Tagged {
  constructor(
    readonly tag: number,
    readonly value: Cbor,
  ) {}
}

const DEPTH_MAX = 16;

/** The one value that `bytes` are. */
export function decode(bytes: Uint8Array): Cbor {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (!reader.isEmpty()) throw new Error("CBOR: bytes are left over");
  return value;
}

/** The items of a sequence (RFC 8742), each with its exact bytes. */
export function sequence(bytes: Bytes): { value: Cbor; bytes: Bytes }[] {
  const reader = new Reader(bytes);
  const items = [];
  while (!reader.isEmpty()) {
    const start = reader.position();
    const value = reader.value(0);
    items.push({ value, bytes: bytes.slice(start, reader.position()) });
  }
  return items;
}

/** What can be written: whole numbers, truths, texts, bytes, arrays, maps with texts or numbers as keys, tags. */
export function encode(value: Cbor): Bytes {
  if (value === null) return new Uint8Array([0xf6]);
  if (typeof value === "boolean") return new Uint8Array([value ? 0xf5 : 0xf4]);
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") return concat(head(3, utf8(value).length), utf8(value));
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encode));
  if (value instanceof Tagged) return concat(head(6, value.tag), encode(value.value));
  const pairs = Array.from(value, ([key, item]) => [encode(key), encode(item)] as const);
  // RFC 8949 §4.2.1: in the order of their keys' bytes.
  pairs.sort(([a], [b]) => (hex(a) < hex(b) ? -1 : 1));
  return concat(head(5, pairs.length), ...pairs.flat());
}

/** The head of an item: its kind in three bits, and a number. */
export function head(major: number, n: number): Bytes {
  const kind = major << 5;
  if (n < 24) return new Uint8Array([kind | n]);
  if (n < 0x100) return new Uint8Array([kind | 24, n]);
  if (n < 0x10000) return new Uint8Array([kind | 25, n >> 8, n & 0xff]);
  if (!Number.isSafeInteger(n) || n > 0xffffffff) throw new Error("CBOR: too large a number");
  return new Uint8Array([kind | 26, n >>> 24, (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff]);
}

class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  isEmpty(): boolean {
    return this.at === this.bytes.length;
  }

  position(): number {
    return this.at;
  }

  value(depth: number): Cbor {
    if (depth > DEPTH_MAX) throw new Error("CBOR: nested too deep");
    const first = this.take(1)[0] as number;
    const [major, info] = [first >> 5, first & 0x1f];
    if (major === 7) return simple(info);
    const n = this.number(info);
    switch (major) {
      case 0:
        return n;
      case 1:
        return -1 - n;
      case 2:
        return this.take(n).slice() as Bytes;
      case 3:
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(n));
      case 4:
        return this.items(n, () => this.value(depth + 1));
      case 5:
        return this.map(n, depth);
      default:
        return new Tagged(n, this.value(depth + 1));
    }
  }

  private map(n: number, depth: number): Map<Cbor, Cbor> {
    const pairs = this.items(n, (): [Cbor, Cbor] => [this.value(depth + 1), this.value(depth + 1)]);
    const map = new Map(pairs);
    if (map.size !== pairs.length) throw new Error("CBOR: a key is there twice");
    return map;
  }

  private items<T>(n: number, item: () => T): T[] {
    // An item has at least a byte, so a length beyond that is a lie: nothing is set aside for it.
    if (n > this.bytes.length - this.at) throw new Error("CBOR: too short");
    return Array.from({ length: n }, item);
  }

  private number(info: number): number {
    if (info < 24) return info;
    const width = { 24: 1, 25: 2, 26: 4, 27: 8 }[info];
    if (width === undefined) throw new Error("CBOR: a length is missing");
    const n = this.take(width).reduce((sum, byte) => sum * 256 + byte, 0);
    if (!Number.isSafeInteger(n)) throw new Error("CBOR: too large a number");
    const least = { 1: 24, 2: 0x100, 4: 0x10000, 8: 0x100000000 }[width] as number;
    if (n < least) throw new Error("CBOR: not the shortest form");
    return n;
  }

  private take(n: number): Uint8Array {
    if (n > this.bytes.length - this.at) throw new Error("CBOR: too short");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
}

function simple(info: number): Cbor {
  switch (info) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    default:
      throw new Error("CBOR: an unknown value");
  }
}
