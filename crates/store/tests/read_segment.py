"""Prints the rows of a segment as JSON Lines, with pyarrow and nothing but the customer's key.

usage: read_segment.py SEGMENT KEY_FILE
"""
import base64
import json
import sys
from datetime import timezone

import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class CustomerKms(pe.KmsClient):
    """Opens what is boxed under the customer's key: nonce(12) || ciphertext || tag(16), AAD = master key id."""

    def __init__(self, key):
        super().__init__()
        self.key = AESGCM(key)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        box = base64.b64decode(wrapped_key)
        return self.key.decrypt(box[:12], box[12:], master_key_identifier.encode())

    def wrap_key(self, key_bytes, master_key_identifier):
        raise NotImplementedError("only reads")


def load_key(path):
    raw = open(path, "rb").read()
    return raw if len(raw) == 32 else base64.b64decode(raw)


def rfc3339(time):
    text = time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    if time.microsecond % 1000:
        text += f".{time.microsecond:06}"
    elif time.microsecond:
        text += f".{time.microsecond // 1000:03}"
    return text + "Z"


def line(row):
    kinds = [("value", "number"), ("bool", "bool"), ("text", "text"), ("data", "data"), ("sealed", "sealed")]
    ((column, kind),) = [k for k in kinds if row[k[0]] is not None]
    value = row[column]
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    return {
        "time": rfc3339(row["time"]), "device": row["device"], "stream": row["stream"], "field": row["field"],
        "kind": kind, "value": value, "unit": row["unit"], "assurance": row["assurance"],
        "received": rfc3339(row["received"]), "chain": row["chain"].hex(), "seq": row["seq"], "item": row["item"],
        "link": row["link"], "gateway": row["gateway"],
        "gateway_received": row["gateway_received"] and rfc3339(row["gateway_received"]),
    }


def main(segment, key_file):
    key = load_key(key_file)
    factory = pe.CryptoFactory(lambda config: CustomerKms(key))
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig())
    table = pq.ParquetFile(segment, decryption_properties=properties).read()
    for row in table.to_pylist():
        print(json.dumps(line(row)))


if __name__ == "__main__":
    main(*sys.argv[1:])
