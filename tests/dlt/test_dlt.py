"""The dlt source: rows as the API has them, in each destination; bookmarks that move with what was
loaded; arguments that are the settings."""

from __future__ import annotations

import inspect
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import pytest
from agencies import agency, rows_of
from conftest import MakeSandbox
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt_pipelines import NAME, MakePipeline, _plain, by_id, source_of, table, wanted
from support import ROOT, ZONE, config_of

from sandbox import Faults, make_sessions
from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import SINGERS, SettingsError
from tap_visitor_sessions.config.settings import PROPERTIES
from tap_visitor_sessions.dlt import visitor_sessions
from tap_visitor_sessions.dlt.hints import child_table
from tap_visitor_sessions.sessions import Tables

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")


# Arguments


def test_the_arguments_are_the_settings_and_default_to_not_set() -> None:
    parameters = inspect.signature(visitor_sessions).parameters
    settings = [name for name in parameters if name not in ("select", "child_tables")]
    assert settings == [name for name in PROPERTIES if name not in SINGERS]
    for name in settings:
        default = parameters[name].default
        assert default is (dlt.config.value if name == "start_date" else None), name


def test_secrets_and_settings_come_from_dlts_configuration_too(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(sessions=20)
    for name, value in config_of(sandbox).items():
        monkeypatch.setenv(f"SOURCES__VISITOR_SESSIONS__{name.upper()}", str(value))
    pipeline = make_pipeline()
    pipeline.run(visitor_sessions())
    assert len(table(pipeline)) == 20


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"page_size": 0}, SettingsError, "page_size"),
        ({"start_date": "05/2024"}, SettingsError, "start_date"),
        ({"select": ["chanel"]}, ConfigError, "chanel"),
        ({"child_tables": True, "account": "north"}, ConfigError, "child_tables"),
        ({"hash_columns": ["visitor_ip"], "hash_key": "k"}, SettingsError, "visitor_id"),
        ({"login": "a"}, SettingsError, "access_token"),
    ],
)
def test_what_cannot_work_is_named_at_once(
    more: dict[str, Any], error: type[Exception], words: str, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(sessions=1)
    with pytest.raises(error, match=words):
        source_of(sandbox, **more)
    assert sandbox.calls == []


# Rows


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "filesystem"])
def test_two_runs_leave_what_the_api_has(
    kind: str, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    rows = make_sessions(700, seed=3, end=datetime(2024, 5, 20))
    sandbox = make_sandbox(
        rows=rows[:500], timezone=ZONE, faults=Faults(reshuffle=True, short_pages=90)
    )
    pipeline = make_pipeline(kind)
    pipeline.run(source_of(sandbox, page_size=100, end_date="2024-05-20"))
    assert by_id(table(pipeline)) == wanted(sandbox)

    sandbox.add([{**row, "date_time": "2024-05-25 10:00:00"} for row in rows[500:520]])
    sandbox.faults = Faults()
    before = len(sandbox.reports)
    pipeline.run(source_of(sandbox, lookback_window="PT1S"))
    assert len(sandbox.reports) == before + 1
    found = table(pipeline)
    if kind == "filesystem":  # files have no merge: the look-back's are there twice
        found = list({row["id"]: row for row in found}.values())
    assert by_id(found) == wanted(sandbox)


def test_a_delta_table_is_merged(make_sandbox: MakeSandbox, make_pipeline: MakePipeline) -> None:
    deltalake = pytest.importorskip("deltalake")
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    pipeline = make_pipeline("filesystem")
    for _ in range(2):
        source = source_of(sandbox, lookback_window="P40D")
        source.visitor_sessions.apply_hints(table_format="delta")
        pipeline.run(source)
        [folder] = Path("lake").glob(f"*/{NAME}")
        rows = deltalake.DeltaTable(folder).to_pyarrow_table().to_pylist()
        rows = [{k: _plain(v) for k, v in row.items()} for row in rows]
        assert by_id(rows) == wanted(sandbox)


def test_an_iceberg_table_is_merged(make_sandbox: MakeSandbox, make_pipeline: MakePipeline) -> None:
    pytest.importorskip("pyiceberg")
    from dlt.common.libs.pyiceberg import get_iceberg_tables

    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    pipeline = make_pipeline("filesystem")
    for _ in range(2):
        source = source_of(sandbox, lookback_window="P40D")
        source.visitor_sessions.apply_hints(table_format="iceberg")
        pipeline.run(source)
        rows = get_iceberg_tables(pipeline, NAME)[NAME].scan().to_arrow().to_pylist()
        rows = [{k: _plain(v) for k, v in row.items()} for row in rows]
        assert by_id(rows) == wanted(sandbox)


def test_the_table_has_the_types_and_the_key_of_the_schema(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    pipeline = make_pipeline()
    pipeline.run(source_of(make_sandbox(sessions=30), account="north"))
    columns = pipeline.default_schema.tables[NAME]["columns"]
    assert {name for name, one in columns.items() if one.get("primary_key")} == {"id", "account"}
    kinds = {name: columns[name]["data_type"] for name in ("id", "date_time", "hits", "channel")}
    assert kinds == {"id": "bigint", "date_time": "timestamp", "hits": "json", "channel": "text"}
    assert columns["channel"]["description"]
    assert {row["account"] for row in table(pipeline)} == {"north"}


def test_only_what_is_selected_is_asked_and_a_column_comes_later(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    """As when a newer version knows a column more."""
    rows = make_sessions(100, end=datetime(2024, 5, 20))
    sandbox = make_sandbox(rows=rows)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox, select=["channel"], end_date="2024-05-20"))
    assert {*sandbox.reports[0].params["fields"]} == {"id", "date_time", "channel"}
    assert {frozenset(row) for row in table(pipeline)} == {
        frozenset({"id", "date_time", "channel"})
    }
    sandbox.add(
        make_sessions(5, first_id=9_000_000, start=datetime(2024, 5, 25), end=datetime(2024, 5, 30))
    )
    pipeline.run(source_of(sandbox, lookback_window="PT1S", select=["channel", "visitor_city"]))
    rows = table(pipeline)
    assert len(rows) == 105
    assert 0 < sum(row["visitor_city"] is not None for row in rows) <= 6


def test_hits_and_communications_as_tables_of_their_own(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=150, timezone=ZONE, seed=2)
    pipeline = make_pipeline()

    def check() -> None:
        want = wanted(sandbox)
        for column in ("hits", "communications"):
            items = [
                {"session_id": id_, "position": position, **item}
                for id_, row in want.items()
                for position, item in enumerate(row[column])
            ]
            found = table(pipeline, child_table(column))
            key = lambda row: (row["session_id"], row["position"])  # noqa: E731
            assert sorted(found, key=key) == sorted(items, key=key)
        rows = by_id(table(pipeline))
        assert rows.keys() == want.keys()
        assert all("hits" not in row and "communications" not in row for row in rows.values())

    pipeline.run(source_of(sandbox, child_tables=True, page_size=40))
    check()
    last = max(sandbox.rows(), key=lambda row: row["date_time"])
    sandbox.update(last["id"], hits=last["hits"][:1])  # fewer than before
    pipeline.run(source_of(sandbox, child_tables=True, lookback_window="P40D"))
    check()


def test_values_are_hashed_here_too(make_sandbox: MakeSandbox, make_pipeline: MakePipeline) -> None:
    sandbox = make_sandbox(sessions=20)
    pipeline = make_pipeline()
    names = ["visitor_id", "hits.hit_url"]
    pipeline.run(source_of(sandbox, hash_columns=names, hash_key="of 32 random bytes"))
    rows = table(pipeline)
    assert all(len(row["visitor_id"]) == 64 for row in rows)
    assert all(len(hit["hit_url"]) == 64 for row in rows for hit in row["hits"])
    shown = json.dumps(rows) + json.dumps(pipeline.state, default=str)
    assert str(sandbox.rows()[0]["visitor_id"]) not in shown


def test_what_is_left_out_is_in_no_table_whatever_is_selected(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=20)
    pipeline = make_pipeline()
    names = ["visitor_ip_address", "hits.hit_url", "integrated_campaign_data.keyword"]
    select = ["channel", "visitor_ip_address", "hits", "integrated_campaign_data"]
    pipeline.run(source_of(sandbox, exclude_columns=names, select=select))
    rows = table(pipeline)
    assert len(rows) == 20
    assert any(row["hits"] for row in rows)
    shown = json.dumps(rows, default=str) + json.dumps(pipeline.state, default=str)
    assert not [word for word in ("visitor_ip", "hit_url", '"keyword"') if word in shown]
    assert all("visitor_ip_address" not in call.params["fields"] for call in sandbox.reports)


# The bookmarks


def test_a_read_that_was_not_loaded_is_read_again_elsewhere(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    """Another machine knows what the destination knows."""
    sandbox = make_sandbox(sessions=80, timezone=ZONE)
    first = make_pipeline(folder="one")
    first.extract(source_of(sandbox))
    first.normalize()
    other = make_pipeline(folder="other")
    other.run(source_of(sandbox))
    assert by_id(table(other)) == wanted(sandbox)
    third = make_pipeline(folder="third")
    third.sync_destination()
    before = len(sandbox.reports)
    third.run(source_of(sandbox, lookback_window="PT1S"))
    assert len(sandbox.reports) == before + 1


def test_an_error_before_anything_new_is_read_raises(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=400, timezone=ZONE, faults=Faults(internal_error_rate=1))
    pipeline = make_pipeline()
    with pytest.raises(PipelineStepFailed, match="internal") as caught:
        pipeline.run(source_of(sandbox, page_size=40, max_retries=0))
    assert sandbox.token not in str(caught.value)
    assert not pipeline.state.get("sources")
    sandbox.faults = Faults()
    pipeline.run(source_of(sandbox, page_size=40))
    assert by_id(table(pipeline)) == wanted(sandbox)


KILLED = """
import os, sys
import dlt
from dlt.destinations.impl.duckdb import duck
from tap_visitor_sessions.dlt import visitor_sessions
def dies(self): os._exit(9)
duck.DuckDbCopyJob.run = dies
url, token, folder = sys.argv[1:]
place = dlt.destinations.duckdb(folder + "/tables.duckdb")
pipeline = dlt.pipeline("k", pipelines_dir=folder + "/work", destination=place, dataset_name="k")
pipeline.run(visitor_sessions(
    access_token=token, api_url=url, start_date="2024-05-01", end_date="2024-05-31"
))
"""


def test_a_load_that_is_killed_is_whole_after_the_next_run(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=120, timezone=ZONE)
    arguments = [sandbox.url, sandbox.token, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 9, done.stderr[-3000:]
    place = dlt.destinations.duckdb(str(tmp_path / "tables.duckdb"))
    pipeline = dlt.pipeline(
        "k", pipelines_dir=str(tmp_path / "work"), destination=place, dataset_name="k"
    )
    pipeline.run()  # what was pending, and nothing more
    assert by_id(table(pipeline)) == wanted(sandbox)
    before = len(sandbox.reports)
    pipeline.run(source_of(sandbox, lookback_window="PT1S"))
    assert len(sandbox.reports) == before + 1
    assert by_id(table(pipeline)) == wanted(sandbox)


def hinted(source: Any) -> Any:
    source.visitor_sessions.apply_hints(write_disposition={"disposition": "replace"})
    return source


REPLACED: dict[str, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    "by run": lambda source: (source, {"write_disposition": "replace"}),
    "by hints": lambda source: (hinted(source), {}),
    "of a copy": lambda source: (hinted(source.with_resources(NAME)), {}),
}


@pytest.mark.parametrize("way", REPLACED)
def test_replace_reads_everything_again(
    way: str, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=90, timezone=ZONE)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox))
    gone = sandbox.rows()[0]["id"]
    sandbox.delete([gone])
    source, how = REPLACED[way](source_of(sandbox))
    pipeline.run(source, **how)
    assert by_id(table(pipeline)) == wanted(sandbox)


def test_tables_that_would_not_keep_up_with_the_bookmarks_are_refused(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=20)
    pipeline = make_pipeline()
    some = source_of(sandbox, child_tables=True).with_resources(child_table("hits"))
    with pytest.raises(PipelineStepFailed, match="visitor_sessions is left out"):
        pipeline.run(some)
    with pytest.raises(PipelineStepFailed, match="the same for all tables"):
        pipeline.run(hinted(source_of(sandbox, child_tables=True)))
    assert sandbox.reports == []
    pipeline.run(source_of(sandbox, child_tables=True), write_disposition="replace")
    assert len(table(pipeline)) == 20


def test_a_partners_customers_and_the_one_that_fails(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of([10, 20, 30], 40)
    sandbox = make_sandbox(**agency(rows), refusals={2: "account_inactive"})
    pipeline = make_pipeline()
    with caplog.at_level(logging.ERROR, "tap-visitor-sessions.dlt"):
        pipeline.run(source_of(sandbox, partner=True))
    found = table(pipeline)
    assert {row["user_id"] for row in found} == {10, 30}
    assert {row["id"] for row in found} == {r["id"] for user in (10, 30) for r in rows[user]}
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "customer 2" in line
    progress = pipeline.state["sources"][NAME]["resources"][NAME]
    bookmarks = {one["context"]["user_id"]: one for one in progress["partitions"]}
    assert bookmarks[10]["replication_key_value"]
    assert "replication_key_value" not in bookmarks.get(20, {})
    with pytest.raises(PipelineStepFailed, match="customer 2"):
        pipeline.run(source_of(sandbox, partner=True, on_customer_error="fail"))


@pytest.mark.parametrize("child_tables", [False, True])
def test_the_figures_of_a_read_are_metrics_of_the_resource(
    child_tables: bool, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    rows = make_sessions(30)
    for row in rows[:4]:
        row["visitor_id"] = 2**63
    pipeline = make_pipeline()
    sandbox = make_sandbox(rows=rows)
    source = source_of(sandbox, child_tables=child_tables, lookback_window="P40D")
    for _ in range(2):  # of each run its own
        pipeline.run(source)
        [step] = [step for step in pipeline.last_trace.steps if step.step == "extract"]
        told = str(step.step_info.asdict())
        assert "'sessions': 30" in told
        assert "'values_lost': 4" in told


def test_a_table_of_nothing_is_made_of_no_records() -> None:
    schema = {"properties": {"id": {"type": "integer"}}}
    assert Tables(schema).table([]).num_rows == 0
