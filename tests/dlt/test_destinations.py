"""What lies in each destination: child tables with the present items alone, nested columns as JSON
once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from conftest import MakeSandbox
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt_pipelines import MakePipeline, by_id, source_of, table, wanted
from support import ZONE

from sandbox import Sandbox, make_sessions
from tap_visitor_sessions.dlt.hints import child_table

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")

KINDS = ["duckdb", "postgres", "postgres without adbc", "sqlite"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A destination."""
    name, _, without = request.param.partition(" ")
    if without:
        monkeypatch.setenv("DISABLE_ADBC_DETECTION", "true")
    return str(name)


def check_children(pipeline: Any, sandbox: Sandbox) -> None:
    want = wanted(sandbox)
    assert by_id(table(pipeline)).keys() == want.keys()
    for column in ("hits", "communications"):
        items = [
            {"session_id": id_, "position": position, **item}
            for id_, row in want.items()
            for position, item in enumerate(row[column])
        ]
        found = table(pipeline, child_table(column)) if items else []
        key = lambda row: (row["session_id"], row["position"])  # noqa: E731
        assert sorted(found, key=key) == sorted(items, key=key)


def test_child_tables_hold_the_present_items_alone(
    kind: str, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    rows = make_sessions(60, seed=2, end=datetime(2024, 5, 20))
    for row in rows:
        row["communications"] = []
    rows[3]["hits"] = []
    sandbox = make_sandbox(rows=rows, timezone=ZONE)
    pipeline = make_pipeline(kind)

    def run() -> None:
        how: dict[str, Any] = {"page_size": 20, "lookback_window": "P60D"}
        pipeline.run(source_of(sandbox, child_tables=True, **how))
        assert not pipeline.has_pending_data
        check_children(pipeline, sandbox)

    run()  # no session has a communication
    calls = make_sessions(60, seed=2, end=datetime(2024, 5, 20))
    some = [row["communications"] for row in calls if row["communications"]]
    for row, communications in zip(rows, some, strict=False):
        sandbox.update(row["id"], communications=communications)
    run()
    for row in rows[:20]:
        sandbox.update(row["id"], communications=[], hits=row["hits"][:1])
    for row in rows[20:40]:
        sandbox.update(row["id"], hits=[])
    run()


def test_child_tables_are_replaced_with_the_sessions(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=60, timezone=ZONE)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox, child_tables=True))
    for row in sandbox.rows():
        sandbox.update(row["id"], communications=[], hits=row["hits"][:1])
    pipeline.run(source_of(sandbox, child_tables=True), write_disposition="replace")
    check_children(pipeline, sandbox)
    assert table(pipeline, child_table("communications")) == []


@pytest.mark.parametrize("format_", [None, "delta", "iceberg"])
def test_child_tables_are_refused_where_items_that_are_gone_would_stay(
    format_: Any, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    if format_ == "iceberg":
        pytest.importorskip("pyiceberg")
    sandbox = make_sandbox(sessions=5)
    with pytest.raises(PipelineStepFailed, match=r"child_tables.*delete-insert"):
        make_pipeline("lake").run(source_of(sandbox, child_tables=True), table_format=format_)
    assert sandbox.reports == []


def test_nested_columns_are_json_once(
    kind: str, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    pipeline = make_pipeline(kind)
    pipeline.run(source_of(sandbox))
    for id_, row in by_id(table(pipeline)).items():
        hits = row["hits"]
        assert (json.loads(hits) if isinstance(hits, str) else hits) == wanted(sandbox)[id_]["hits"]
    if kind != "sqlite":
        assert by_id(table(pipeline)) == wanted(sandbox)


def column_type(pipeline: Any, column: str = "hits") -> str:
    with pipeline.sql_client() as client:
        [[kind]] = client.execute_sql(
            "SELECT data_type FROM information_schema.columns WHERE table_schema = %s "
            "AND table_name = 'visitor_sessions' AND column_name = %s",
            pipeline.dataset_name,
            column,
        )
    return str(kind)


def hits_in(pipeline: Any, function: str) -> int:
    with pipeline.sql_client() as client:
        name = client.make_qualified_table_name("visitor_sessions")
        [[count]] = client.execute_sql(
            f"SELECT count(*) FROM {name} AS s CROSS JOIN LATERAL {function}(s.hits) AS h"
        )
    return int(count)


def test_postgresql_has_json_by_adbc_and_jsonb_without(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    hits = sum(len(row["hits"]) for row in wanted(sandbox).values())
    how: dict[str, Any] = {"lookback_window": "P40D"}
    pipeline = make_pipeline("postgres")
    pipeline.run(source_of(sandbox, **how))
    assert column_type(pipeline) == "json"
    assert hits_in(pipeline, "json_array_elements") == hits
    with pipeline.sql_client() as client:  # as the page says
        name = client.make_qualified_table_name("visitor_sessions")
        client.execute_sql(f"ALTER TABLE {name} ALTER COLUMN hits TYPE jsonb USING hits::jsonb")
    pipeline.run(source_of(sandbox, **how))
    assert hits_in(pipeline, "jsonb_array_elements") == hits
    assert by_id(table(pipeline)) == wanted(sandbox)


def test_a_table_of_jsonb_stays_one_when_adbc_comes(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    pipeline = make_pipeline("postgres")
    source = source_of(sandbox)
    source.visitor_sessions.apply_hints(file_format="csv")
    pipeline.run(source)
    for _ in range(2):
        pipeline.run(source_of(sandbox, lookback_window="P40D"))
        assert column_type(pipeline) == "jsonb"
        assert by_id(table(pipeline)) == wanted(sandbox)
