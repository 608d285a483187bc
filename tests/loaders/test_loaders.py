"""Sandbox -> tap -> each loader -> its database, row by row; the SQL of docs/loaders.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import locks
import pytest
import yaml
from loading import (
    ANSWERS,
    CAMPAIGN,
    NESTED,
    ZONE,
    Documented,
    Jsonl,
    Loader,
    Postgres,
    Row,
    change,
    each,
    meltano,
    project,
    sessions,
    tap,
    utc,
    without_nul,
    write_project,
)
from oracle import as_emitted
from support import ROOT, Run, parsed

from sandbox import Sandbox, make_sessions

UPSERT = ["target-postgres", "target-snowflake", "target-duckdb"]
FILES = ["target-jsonl", "target-csv"]
LATER = ["channel_code", "segments"]
"""Columns that an older version of the stream is without."""


@pytest.mark.parametrize("name", each(*UPSERT, *FILES))
def test_the_table_equals_the_api_and_a_second_run_changes_rows_and_adds_none(
    name: str,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    batches = {"batch_size_rows": 150} if name not in FILES else {}
    loader: Loader = make_loader(name, **batches)
    first = tap(sandbox, tmp_path)
    assert len(first.records) == 400
    loader.load(first)
    assert loader.table() == loader.expected(sandbox.rows())

    change(sandbox)
    second = tap(sandbox, tmp_path, first.state)
    assert 3 <= len(second.records) < 50
    loader.load(second)
    assert len(loader.table()) == 400
    assert loader.table() == loader.expected(sandbox.rows())
    if isinstance(loader, Jsonl):  # the promise of the page: a line for each time
        assert len(loader.lines()) == 400 + len(second.records)


@pytest.mark.parametrize("name", each(*UPSERT, *FILES))
def test_the_documented_sql_gives_what_the_api_rows_give(
    name: str,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    loader: Loader = make_loader(name)
    first = tap(sandbox, tmp_path)
    loader.load(first)
    change(sandbox)
    if name == "target-csv":
        keep_apart(loader)
    loader.load(tap(sandbox, tmp_path, first.state))
    rows = [without_nul(as_emitted(row, ZONE)) for row in sandbox.rows()]
    blocks = Documented("target-duckdb" if name in FILES else name).sql
    assert blocks.keys() == ANSWERS.keys()
    for title, sql in blocks.items():
        found = [{**row, "at": utc(row["at"])} if "at" in row else row for row in loader.query(sql)]
        wanted = ANSWERS[title](rows)
        if name == "target-snowflake":  # FLATTEN's INDEX is often wrong in fakesnow 0.12
            assert all(row.pop("position", 1) >= 1 for row in (*found, *wanted))
        assert len(wanted) > 5
        assert in_order(found) == in_order(wanted), title


def keep_apart(loader: Loader) -> None:
    """The loader's files are named by the second; a test is faster than that."""
    [path] = (loader.folder / "output").glob("*.csv")
    path.rename(path.with_name("visitor_sessions-2024-01-01.csv"))


def in_order(rows: list[Row]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


def older(run: Run) -> Run:
    """The run as an older version of the stream would have written it."""
    for message in run.messages:
        if message["type"] == "SCHEMA":
            for column in LATER:
                del message["schema"]["properties"][column]
        if message["type"] == "RECORD":
            for column in LATER:
                del message["record"][column]
    return parsed(0, "".join(json.dumps(message) + "\n" for message in run.messages), run.stderr)


JSON_TYPE = {"target-postgres": "jsonb", "target-snowflake": "VARIANT", "target-duckdb": "JSON"}


@pytest.mark.parametrize("name", each(*UPSERT))
def test_nested_columns_are_the_databases_json_type(
    name: str,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    loader: Loader = make_loader(name)
    loader.load(tap(make_sandbox(rows=sessions(40), timezone=ZONE), tmp_path))
    assert {column: loader.type_of(column) for column in (*NESTED, CAMPAIGN)} == dict.fromkeys(
        (*NESTED, CAMPAIGN), JSON_TYPE[name]
    )


def with_plain_items(run: Run) -> Run:
    """The run as a tap writes it whose SCHEMA says items beside their array's type."""
    for message in run.of("SCHEMA"):
        for column in message["schema"]["properties"].values():
            for part in column.pop("allOf", ()):
                column |= part
    return parsed(0, "".join(json.dumps(message) + "\n" for message in run.messages), run.stderr)


@pytest.mark.half
def test_a_table_of_jsonb_arrays_is_refused_untouched_until_it_is_converted(
    make_sandbox: Callable[..., Sandbox], make_loader: Callable[..., Loader], tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    loader = make_loader("target-postgres")
    assert isinstance(loader, Postgres)
    first = with_plain_items(tap(sandbox, tmp_path))
    loader.load(first)
    assert loader.type_of("hits") == "ARRAY"
    before = loader.table()

    change(sandbox)
    second = tap(sandbox, tmp_path, first.state)
    refused = loader.run(second.stdout)
    assert refused.returncode != 0
    assert "bookmarks" not in refused.stdout
    assert "malformed array literal" in refused.stderr
    assert loader.table() == before

    [statement] = [block for block in loader.docs.blocks("sql") if "to_jsonb" in block]
    loader.execute(statement)
    assert loader.type_of("hits") == "jsonb"
    assert loader.table() == before
    loader.load(second)
    assert loader.table() == loader.expected(sandbox.rows())


@pytest.mark.parametrize("name", each(*UPSERT, *FILES))
def test_a_table_of_an_older_version_of_the_stream_gains_its_new_columns(
    name: str,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    loader: Loader = make_loader(name)
    first = older(tap(sandbox, tmp_path))
    loader.load(first)
    assert not set(LATER) & loader.table().popitem()[1].keys()
    second = tap(sandbox, tmp_path, first.state)
    if name == "target-csv":
        keep_apart(loader)
    loader.load(second)

    seen_again = {record["id"] for record in second.records}
    assert 3 <= len(seen_again) < 50
    wanted = loader.expected(sandbox.rows())
    for id_, row in loader.table().items():
        unknown = {} if id_ in seen_again else dict.fromkeys(LATER)
        if name in FILES and id_ not in seen_again:
            assert not set(LATER) & row.keys()
            row |= unknown
        assert row == {**wanted[id_], **unknown}


def test_target_duckdb_loses_no_first_row(
    make_loader: Callable[..., Loader], make_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    """From DuckDB 1.3 on, loads of few rows lose their first: see docs/loaders.md."""
    run = tap(make_sandbox(rows=make_sessions(40, seed=5), timezone=ZONE), tmp_path)
    schema = json.dumps(run.of("SCHEMA")[0])
    for number, record in enumerate(run.records[:8]):
        for size in (1, 2):
            loader = make_loader("target-duckdb", folder=f"{number}-{size}")
            messages = [
                json.dumps({"type": "RECORD", "stream": "visitor_sessions", "record": one})
                for one in run.records[number : number + size]
            ]
            assert loader.run("\n".join([schema, *messages])).returncode == 0
            assert len(loader.table()) == size, record["id"]


@pytest.mark.half
def test_target_csv_needs_its_two_settings(
    make_loader: Callable[..., Loader], make_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=sessions(), timezone=ZONE)
    settings = {"flattening_enabled": False, "file_naming_scheme": "{stream_name}.csv"}
    loader = make_loader("target-csv", **settings)
    assert isinstance(loader, Jsonl)
    first = tap(sandbox, tmp_path)
    loader.load(first)
    assert loader.lines()[0]["hits"].startswith("[{'hit_time':")
    second = tap(sandbox, tmp_path, first.state)
    loader.load(second)
    assert len(loader.lines()) == len(second.records) < len(first.records)


def test_meltano_runs_the_pairs_as_the_page_says(
    make_sandbox: Callable[..., Sandbox], make_loader: Callable[..., Loader], tmp_path: Path
) -> None:
    """Those that need no server; tests/singer/test_end_to_end.py has target-postgres."""
    sandbox = make_sandbox(rows=make_sessions(50, seed=2), timezone=ZONE)
    loaders: list[Loader] = [make_loader(name) for name in ("target-duckdb", *FILES)]
    folder = loaders[0].folder  # of all three
    write_project(folder, project())
    env = {"SANDBOX_URL": sandbox.url, "SANDBOX_START": "2024-05-01"}
    meltano(folder, "install", "extractor", "tap-visitor-sessions", **env)
    for loader in loaders:
        meltano(folder, "install", "loader", loader.name, **env)
        run = ["--environment=sandbox", "run", "tap-visitor-sessions", loader.name]
        meltano(folder, *run, **env)
        assert loader.table() == loader.expected(sandbox.rows())


@pytest.mark.half
def test_the_page_sets_only_what_meltano_yml_declares() -> None:
    declared = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    for loader in declared["plugins"]["loaders"]:
        known = json.loads(locks.path_of(loader).read_text(encoding="utf-8"))["settings"]
        settings = {setting["name"] for setting in known}
        assert Documented(loader["name"]).entry["config"].keys() <= settings


@pytest.mark.half
def test_meltano_yml_sets_what_the_page_sets_and_no_less() -> None:
    """Who copies the lines gets the fast way; so does who takes meltano.yml as it stands."""
    declared = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    for loader in declared["plugins"]["loaders"]:
        entry = Documented(loader["name"]).entry
        set_, config = loader["config"], entry["config"]
        assert set_ == {name: config.get(name) for name in set_}, loader["name"]
        assert loader.get("env") == entry.get("env"), loader["name"]
