"""BATCH files, read by loaders, against RECORD messages, row by row in the database."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loading import CAMPAIGN, MEMBERS, ZONE, Loader, Row, change, sessions, tap
from support import Run

from sandbox import Sandbox

JSONL = {"format": "jsonl", "compression": "gzip"}
PLAIN = {"format": "jsonl", "compression": "none"}
PARQUET = {"format": "parquet", "compression": "gzip"}
READ = [
    ("target-postgres", "", JSONL),
    ("target-postgres", "", PLAIN),
    ("target-postgres", "target-postgres-parquet", PARQUET),
    ("target-snowflake", "", JSONL),
]
REFUSED = [
    ("target-postgres", PARQUET),
    ("target-snowflake", PARQUET),
    *[
        (f"target-{name}", encoding)
        for name in ("duckdb", "jsonl", "csv")
        for encoding in (JSONL, PARQUET)
    ],
]


def files(folder: Path) -> list[Path]:
    return list((folder / "batches").iterdir())


def batch_tap(
    sandbox: Sandbox, folder: Path, encoding: Row, state: dict[str, Any] | None = None
) -> Run:
    """A run that writes files of 150 sessions into `folder`/batches."""
    (folder / "batches").mkdir(exist_ok=True)
    storage = {"root": f"file://{folder}/batches"}
    batch = {"encoding": encoding, "storage": storage, "batch_size": 150}
    run = tap(sandbox, folder, state, batch_config=batch)
    assert run.of("BATCH")
    assert not run.records
    return run


@pytest.mark.parametrize(("name", "plugin", "encoding"), READ)
def test_batch_files_make_the_table_that_records_make(
    name: str,
    plugin: str,
    encoding: Row,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    records = tap(sandbox, tmp_path)
    loader = make_loader(name, folder="records")
    loader.load(records)
    first_by_record = loader.table()
    assert len(first_by_record) == 400

    first = batch_tap(sandbox, tmp_path, encoding)
    assert len(first.of("BATCH")) == 3
    states = [copy.deepcopy(run.state) for run in (first, records)]
    for state in states:  # the hash of a key has a salt
        assert state["bookmarks"]["visitor_sessions"].pop("credential")
    assert states[0] == states[1]
    loader = make_loader(name, plugin=plugin, folder="files")  # begins anew
    loader.load(first)
    assert loader.table() == as_filed(first_by_record, encoding)

    change(sandbox)
    second = batch_tap(sandbox, tmp_path, encoding, first.state)
    loader.load(second)
    assert loader.table() == as_filed(loader.expected(sandbox.rows()), encoding)
    assert bool(files(tmp_path)) == (name != "target-snowflake")  # which removes them


def as_filed(table: dict[int, Row], encoding: Row) -> dict[int, Row]:
    """Parquet has no object without members: they are all there, null."""
    if encoding != PARQUET:
        return table
    empty = dict.fromkeys(MEMBERS)
    return {id_: {**row, CAMPAIGN: row[CAMPAIGN] or empty} for id_, row in table.items()}


@pytest.mark.parametrize(("name", "encoding"), REFUSED)
def test_a_loader_that_cannot_read_the_files_says_so_and_confirms_no_state(
    name: str,
    encoding: Row,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    done = make_loader(name).run(batch_tap(sandbox, tmp_path, encoding).stdout)
    assert done.returncode == 1
    assert not [
        line for line in done.stdout.split("\n") if line and "bookmarks" in json.loads(line)
    ]
    assert files(tmp_path)
