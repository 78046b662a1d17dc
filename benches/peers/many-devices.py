"""Gives a tenant of a stopped service so many members more, each as one that is there: what a start has to read."""

import sqlite3
import sys

registry, tenant, model, count = sys.argv[1:]
db = sqlite3.connect(registry)
numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {int(count)})"
for table, renamed in [
    ("principals", {"name": "'many-' || i"}),
    ("principal_keys", {"principal": "'many-' || i", "serial": "CAST('serial-' || i AS BLOB)"}),
    ("certificates", {"name": "'many-' || i", "serial": "CAST('serial-' || i AS BLOB)"}),
]:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(renamed.get(column, column) for column in columns)
    who = "principal" if table == "principal_keys" else "name"
    db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) {numbers} SELECT {values} FROM {table}, n WHERE tenant = ? AND {who} = ?",
        (tenant, model),
    )
db.commit()
