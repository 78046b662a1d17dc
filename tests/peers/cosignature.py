"""Verifies the cosignature of a witness on standard input's checkpoint with pyca/cryptography: C2SP tlog-cosignature.

    cosignature.py VKEY < checkpoint

Prints the time of the cosignature, and fails when it is not right, or right for a changed checkpoint.
"""

import base64
import hashlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def main():
    name, _, encoded = sys.argv[1].split("+", 2)
    kind, key = base64.b64decode(encoded)[:1], base64.b64decode(encoded)[1:]
    assert kind == b"\x04", "not the key of a witness"
    key_id = hashlib.sha256(name.encode() + b"\n" + kind + key).digest()[:4]
    text, _, signatures = sys.stdin.buffer.read().decode().rpartition("\n\n")
    text += "\n"
    blobs = [line.split(" ")[2] for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    blobs = [blob for blob in map(base64.b64decode, blobs) if blob[:4] == key_id]
    assert len(blobs) == 1, f"{len(blobs)} cosignatures of {name}"
    time, signature = int.from_bytes(blobs[0][4:12], "big"), blobs[0][12:]
    public = Ed25519PublicKey.from_public_bytes(key)
    public.verify(signature, f"cosignature/v1\ntime {time}\n{text}".encode())
    for time_then, text_then in ((time + 1, text), (time, text.replace("\n", "x\n", 1))):
        try:
            public.verify(signature, f"cosignature/v1\ntime {time_then}\n{text_then}".encode())
        except InvalidSignature:
            continue
        sys.exit("another checkpoint or time passes too")
    print(time)


main()
