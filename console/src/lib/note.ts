// Signed notes and what logs and witnesses sign in them: C2SP signed-note, tlog-checkpoint, tlog-cosignature.

import { base64, equal, hex, sha256, utf8, type Bytes } from "./bytes";
import { ed25519Spki, isSigned } from "./publickey";

const LOG_KEY = 1;
const WITNESS_KEY = 4;

/** An Ed25519 key with its name, read from `name+id+key`. */
export interface NamedKey {
  readonly text: string;
  readonly name: string;
  readonly id: Bytes;
  readonly kind: number;
  readonly bytes: Bytes;
}

export async function readKey(text: string): Promise<NamedKey> {
  const [name, id, ...rest] = text.split("+");
  const blob = base64(rest.join("+"));
  const [kind, bytes] = [blob[0] ?? 0, blob.slice(1)];
  if (!name || /\s/.test(name) || (kind !== LOG_KEY && kind !== WITNESS_KEY) || bytes.length !== 32) {
    throw new Error("This is no key of a log or witness.");
  }
  const hash = await sha256(utf8(`${name}\n`), blob);
  const right = hash.slice(0, 4);
  if (hex(right) !== id) throw new Error("The key’s id is not that of the key.");
  return { text, name, id: right, kind, bytes };
}

export interface Checkpoint {
  readonly note: string;
  readonly text: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
}

/** Reads a checkpoint that the log's key signed, of the log that has the key's name. */
export async function verifyCheckpoint(note: string, key: NamedKey): Promise<Checkpoint> {
  const { text, signatures } = split(note);
  const found = signaturesOf(signatures, key);
  if (found.length !== 1) throw new Error("The checkpoint is not signed with the log’s key.");
  const signature = found[0] as Bytes;
  if (key.kind !== LOG_KEY || !(await isSigned(ed25519Spki(key.bytes), signature, utf8(text)))) {
    throw new Error("The signature on the checkpoint is not right.");
  }
  const [origin, size, root] = text.split("\n");
  if (origin !== key.name) throw new Error("The checkpoint is of another log.");
  if (!size || !/^(0|[1-9][0-9]{0,15})$/.test(size)) throw new Error("The checkpoint has no size.");
  const bytes = base64(root ?? "");
  if (bytes.length !== 32) throw new Error("The checkpoint has no root.");
  return { note, text, origin, size: Number(size), root: bytes };
}

/** When a witness co-signed the note, or nothing. */
export async function cosigned(note: string, witness: NamedKey): Promise<Date | undefined> {
  const { text, signatures } = split(note);
  const found = signaturesOf(signatures, witness);
  if (found.length !== 1 || witness.kind !== WITNESS_KEY) return undefined;
  const blob = found[0] as Bytes;
  if (blob.length !== 72) return undefined;
  const seconds = new DataView(blob.buffer, blob.byteOffset).getBigUint64(0);
  const message = utf8(`cosignature/v1\ntime ${seconds}\n${text}`);
  const isRight = await isSigned(ed25519Spki(witness.bytes), blob.slice(8), message);
  return isRight ? new Date(Number(seconds) * 1000) : undefined;
}

interface Signature {
  readonly name: string;
  readonly blob: Bytes;
}

function split(note: string): { text: string; signatures: Signature[] } {
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || !note.endsWith("\n")) throw new Error("This is no signed note.");
  const signatures = note
    .slice(at + 2, -1)
    .split("\n")
    .map((line) => {
      const [, name, blob] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
      if (!name || !blob) throw new Error("This is no signed note.");
      return { name, blob: base64(blob) };
    });
  return { text: note.slice(0, at + 1), signatures };
}

/** What stands behind the key's id in its signatures. */
function signaturesOf(signatures: Signature[], key: NamedKey): Bytes[] {
  return signatures.filter((s) => s.name === key.name && equal(s.blob.slice(0, 4), key.id)).map((s) => s.blob.slice(4));
}
