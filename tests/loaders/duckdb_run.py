"""Runs SQL in DuckDB: python duckdb_run.py DATABASE < sql. JSON rows of the last statement."""

from __future__ import annotations

import json
import sys

import duckdb

cursor = duckdb.connect(sys.argv[1]).execute(sys.stdin.read())
names = [column[0] for column in cursor.description]
json.dump(
    [dict(zip(names, row, strict=True)) for row in cursor.fetchall()], sys.stdout, default=str
)
