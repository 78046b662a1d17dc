#!/usr/bin/env python3
"""Count, mean, least and greatest of each series over stretches of time, from a tenant's own segment files.

Needs pyarrow, cryptography and the customer's key; no Thingward, no service, no network. Prints JSON Lines with the
fields of `thingward reading windows --output json`, by series and time.

usage: query_segments.py [--every SECONDS] FOLDER KEY_FILE TENANT
"""
import argparse
import base64
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SERIES = ["device", "stream", "field", "unit"]


class CustomerKms(pe.KmsClient):
    """Opens what is boxed under the customer's key: nonce(12) || ciphertext || tag(16), AAD = master key id."""

    def __init__(self, key, tenant):
        super().__init__()
        self.key = AESGCM(key)
        self.master_key_id = f"thingward/{tenant}"

    def unwrap_key(self, wrapped_key, master_key_identifier):
        if master_key_identifier != self.master_key_id:
            raise ValueError(f"the segment is of {master_key_identifier}, not of {self.master_key_id}")
        box = base64.b64decode(wrapped_key)
        return self.key.decrypt(box[:12], box[12:], master_key_identifier.encode())

    def wrap_key(self, key_bytes, master_key_identifier):
        raise NotImplementedError("only reads")


def load_key(path):
    """32 bytes, or base64 of them, as `thingward key create` writes it."""
    raw = Path(path).read_bytes()
    return raw if len(raw) == 32 else base64.b64decode(raw)


def read(folder, key, tenant):
    """The numbers of all segments in the folder."""
    factory = pe.CryptoFactory(lambda config: CustomerKms(key, tenant))
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig())
    tables = []
    for path in sorted(Path(folder).glob("*.parquet")):
        with pq.ParquetFile(path, decryption_properties=properties) as segment:
            tables.append(segment.read(columns=[*SERIES, "time", "value"]))
    if not tables:
        sys.exit(f"{folder} has no segments")
    table = pa.concat_tables(tables)
    return table.filter(pc.is_finite(table["value"]))


def windows(table, every_seconds):
    """Rows of each series and window. Windows start at multiples of their length since 1970-01-01T00:00:00Z."""
    start = pc.floor_temporal(table["time"], multiple=every_seconds, unit="second")
    grouped = table.append_column("start", start).group_by([*SERIES, "start"], use_threads=False)
    found = grouped.aggregate([("value", how) for how in ("count", "mean", "min", "max")]).to_pylist()
    return sorted(found, key=lambda row: [(row[name] is not None, row[name]) for name in [*SERIES, "start"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=900, metavar="SECONDS", help="length of a window [900]")
    parser.add_argument("folder", help="segment files, as `thingward segment fetch` saves them")
    parser.add_argument("key_file", help="the customer's key")
    parser.add_argument("tenant")
    arguments = parser.parse_args()
    table = read(arguments.folder, load_key(arguments.key_file), arguments.tenant)
    for row in windows(table, arguments.every):
        print(json.dumps({
            **{name: row[name] for name in SERIES},
            "start": row["start"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "count": row["value_count"],
            "mean": row["value_mean"],
            "min": row["value_min"],
            "max": row["value_max"],
        }))


if __name__ == "__main__":
    main()
