"""Tables that several resources write to, limits, and loads that fail: no bookmark stands for rows
that are gone, and no table is replaced by a part of it."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import MakeSandbox
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt_pipelines import MakePipeline, by_id, source_of, table
from support import ZONE

from tap_visitor_sessions.dlt import Incomplete, raise_on_incomplete
from tap_visitor_sessions.dlt.hints import child_table

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")


def of_account(sandbox: Any, account: str) -> Any:
    source = source_of(sandbox, account=account)
    return source.clone(with_name=account)


@pytest.mark.parametrize(
    "how", [{"write_disposition": "replace"}, {"refresh": "drop_data"}, {"refresh": "drop_sources"}]
)
def test_rows_of_another_account_do_not_go_while_its_bookmarks_stay(
    how: dict[str, Any], make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    north, south = (
        make_sandbox(sessions=20, timezone=ZONE, seed=4),
        make_sandbox(sessions=30, timezone=ZONE, seed=5),
    )
    pipeline = make_pipeline()
    pipeline.run(of_account(north, "north"))
    pipeline.run(of_account(south, "south"))
    with pytest.raises(PipelineStepFailed, match=r"holds what north\.visitor_sessions has loaded"):
        pipeline.run(of_account(south, "south"), **how)
    assert len(table(pipeline)) == 50


def test_a_table_of_one_account_is_refreshed_and_replaced(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=20, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    for how in ({}, {"refresh": "drop_data"}, {"write_disposition": "replace"}):
        pipeline.run(source_of(sandbox), **how)
        assert len(by_id(table(pipeline))) == 20


@pytest.mark.parametrize("limit", [{"max_items": 1}, {"max_time": 60.0}])
def test_a_table_is_never_replaced_by_a_part_of_it(
    limit: dict[str, Any], make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=60, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox))
    with pytest.raises(PipelineStepFailed, match="add_limit"):
        pipeline.run(
            source_of(sandbox, page_size=20).add_limit(**limit), write_disposition="replace"
        )
    assert len(table(pipeline)) == 60


def test_a_replacement_without_sessions_empties_the_tables_of_items_too(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=60, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox, child_tables=True))
    days = {"start_date": "2020-01-01", "end_date": "2020-01-03"}
    pipeline.run(source_of(sandbox, child_tables=True, **days), write_disposition="replace")
    assert [len(table(pipeline, name)) for name in ("visitor_sessions", child_table("hits"))] == [
        0,
        0,
    ]


def test_steps_shorter_than_the_look_back_come_to_an_end(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    """What was read was older than the look-back then: it is not read again before the next."""
    sandbox = make_sandbox(sessions=240, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    how = {"page_size": 20, "lookback_window": "P3D"}
    for _ in range(40):
        info = pipeline.run(source_of(sandbox, **how).add_limit(2))
        try:
            raise_on_incomplete(info)
        except Incomplete:
            continue
        break
    else:
        pytest.fail("no end")
    assert len(by_id(table(pipeline))) == 240


def test_a_load_whose_jobs_failed_is_not_complete(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_FAILED_JOBS", "false")
    sandbox = make_sandbox(sessions=20, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    source = source_of(sandbox)
    source.resources["visitor_sessions"].apply_hints(columns={"channel": {"data_type": "bigint"}})
    info = pipeline.run(source)
    assert info.has_failed_jobs
    with pytest.raises(Incomplete, match="Jobs of the load have failed"):
        raise_on_incomplete(info)


@pytest.mark.parametrize("how", [{}, {"write_disposition": "replace"}, {"refresh": "drop_data"}])
def test_a_column_of_numbers_takes_no_hashes(
    how: dict[str, Any], make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=20, timezone=ZONE, seed=4)
    hashed: dict[str, Any] = {"hash_columns": ["visitor_id"], "hash_key": "k" * 16}
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox))
    before = table(pipeline)
    with pytest.raises(PipelineStepFailed, match=r"visitor_id is bigint in the table .* anew"):
        pipeline.run(source_of(sandbox, **hashed), **how)
    assert not pipeline.has_pending_data
    assert table(pipeline) == before
    pipeline.run(source_of(sandbox, **hashed), refresh="drop_resources")
    assert {len(row["visitor_id"]) for row in table(pipeline)} == {64}
    pipeline.run(source_of(sandbox, **hashed))
    with pytest.raises(PipelineStepFailed, match=r"visitor_id is text in the table"):
        pipeline.run(source_of(sandbox))
