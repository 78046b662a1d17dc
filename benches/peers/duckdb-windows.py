"""Asks DuckDB for what the service is asked for, over the same rows in a plain Parquet file, and prints its processor time."""

import json
import os
import resource
import sys

import duckdb

WINDOWS = """
SELECT device, stream, field, unit, time_bucket(INTERVAL 1 HOUR, time) AS start,
       count(*) AS values, avg(value) AS mean, min(value) AS least, max(value) AS greatest
FROM read_parquet(?) GROUP BY ALL ORDER BY ALL
"""


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


rows, plain = sys.argv[1:]
if not os.path.exists(plain):
    duckdb.sql(f"COPY (FROM read_csv('{rows}', header = true)) TO '{plain}' (FORMAT parquet, COMPRESSION lz4)")
# What it loads with its first question does not count.
duckdb.execute("SELECT count(*) FROM read_parquet(?)", [plain]).fetchall()
before = processor()
windows = duckdb.execute(WINDOWS, [plain]).fetchall()
print(json.dumps({"seconds": processor() - before, "windows": len(windows), "values": sum(window[5] for window in windows)}))
