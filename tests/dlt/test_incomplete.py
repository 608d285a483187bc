"""Reads that end before all is read: what they brought is loaded, the next run goes on from there,
and that there is more is told loudly; a run that came no further raises."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from agencies import agency, rows_of
from conftest import MakeSandbox
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt_pipelines import MakePipeline, by_id, source_of, table, wanted
from support import ZONE

from sandbox import Faults, Limits, Sandbox
from sandbox.server import Meters
from tap_visitor_sessions.dlt import Incomplete, raise_on_incomplete
from tap_visitor_sessions.dlt.hints import child_table

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")


def breaks_after(sandbox: Sandbox, reports: int) -> None:
    """The API fails from here on but for so many reports."""
    calm = len(sandbox.reports) + reports

    def breaks(sandbox: Sandbox, _: object) -> None:
        if len(sandbox.reports) > calm:
            sandbox.faults.internal_error_rate = 1

    sandbox.faults = Faults(arrive=breaks)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


@pytest.mark.parametrize("child_tables", [False, True])
def test_what_was_read_before_an_error_is_loaded_and_gone_on_from(
    child_tables: bool,
    make_sandbox: MakeSandbox,
    make_pipeline: MakePipeline,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = make_sandbox(sessions=400, timezone=ZONE, seed=4)
    pipeline = make_pipeline()
    how: dict[str, Any] = {"page_size": 40, "max_retries": 0, "child_tables": child_tables}
    breaks_after(sandbox, 5)
    with caplog.at_level(logging.ERROR):
        info = pipeline.run(source_of(sandbox, **how))
    some = by_id(table(pipeline))
    assert 0 < len(some) < 400
    [line] = errors(caplog)
    assert "internal" in line
    assert "the next run goes on" in line
    with pytest.raises(Incomplete, match="internal"):
        raise_on_incomplete(info)

    sandbox.faults = Faults()
    sandbox.calls.clear()
    raise_on_incomplete(pipeline.run(source_of(sandbox, lookback_window="PT1S", **how)))
    assert by_id(table(pipeline)).keys() == wanted(sandbox).keys()
    if child_tables:
        hits = sum(len(row["hits"]) for row in wanted(sandbox).values())
        assert len(table(pipeline, child_table("hits"))) == hits
    first = min(min(report.params["date_from"] for report in sandbox.reports), "9")
    last = max(row["date_time"] for row in some.values())
    assert first[:10] >= last[:10]


def test_a_run_that_comes_no_further_raises(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    pipeline = make_pipeline()
    how: dict[str, Any] = {"page_size": 40, "max_retries": 0, "concurrency": 1}
    raise_on_incomplete(pipeline.run(source_of(sandbox, **how)))
    breaks_after(sandbox, 2)
    with pytest.raises(PipelineStepFailed, match="internal"):
        pipeline.run(source_of(sandbox, lookback_window="P40D", **how))
    assert len(table(pipeline)) == 200


def test_a_table_is_not_replaced_by_a_part_of_it(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    pipeline = make_pipeline()
    how: dict[str, Any] = {"page_size": 40, "max_retries": 0, "concurrency": 1}
    pipeline.run(source_of(sandbox, **how))
    breaks_after(sandbox, 3)
    with pytest.raises(PipelineStepFailed, match="internal"):
        pipeline.run(source_of(sandbox, **how), write_disposition="replace")
    assert by_id(table(pipeline)) == wanted(sandbox)


@pytest.mark.parametrize("on_daily_limit", ["fail", "wait"])
def test_a_load_larger_than_the_points_of_a_day(
    on_daily_limit: str,
    make_sandbox: MakeSandbox,
    make_pipeline: MakePipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox = make_sandbox(sessions=300, timezone=ZONE, limits=Limits(day=6))
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        sandbox.meters = Meters(Limits(day=6))

    monkeypatch.setattr("dlt.common.runtime.signals.sleep", sleep)
    pipeline = make_pipeline()
    had = 0
    for _ in range(12):
        how = {"page_size": 40, "concurrency": 1, "on_daily_limit": on_daily_limit}
        info = pipeline.run(source_of(sandbox, lookback_window="PT1S", **how))
        found = len(table(pipeline))
        assert found >= had
        had = found
        try:
            raise_on_incomplete(info)
            break
        except Incomplete:
            pass
        if on_daily_limit == "fail":
            sandbox.meters = Meters(Limits(day=6))
    assert by_id(table(pipeline)) == wanted(sandbox)
    assert bool(waited) == (on_daily_limit == "wait")


@pytest.mark.parametrize("child_tables", [False, True])
def test_each_limited_run_comes_further_and_nothing_is_left_out(
    child_tables: bool,
    make_sandbox: MakeSandbox,
    make_pipeline: MakePipeline,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    pipeline = make_pipeline()
    had = 0
    for _ in range(20):
        source = source_of(
            sandbox, page_size=60, lookback_window="PT1S", child_tables=child_tables
        ).add_limit(1)
        caplog.clear()
        info = pipeline.run(source)
        found = len(table(pipeline))
        try:
            raise_on_incomplete(info)
            break
        except Incomplete:
            assert "add_limit" in caplog.text
        assert found > had
        had = found
    assert by_id(table(pipeline)).keys() == wanted(sandbox).keys()
    if child_tables:
        hits = sum(len(row["hits"]) for row in wanted(sandbox).values())
        assert len(table(pipeline, child_table("hits"))) == hits


def test_a_limit_of_nothing_moves_no_bookmark(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=50, timezone=ZONE)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox).add_limit(0))
    pipeline.run(source_of(sandbox, lookback_window="PT1S"))
    assert by_id(table(pipeline)) == wanted(sandbox)


def test_a_limited_read_logs_out(make_sandbox: MakeSandbox, make_pipeline: MakePipeline) -> None:
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    login = {"access_token": None, "login": sandbox.login, "password": sandbox.password}
    make_pipeline().run(source_of(sandbox, page_size=40, **login).add_limit(1))
    assert "logout.user" in [call.method for call in sandbox.calls]


def test_a_partner_none_of_whose_customers_can_be_read(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    rows = rows_of([10, 20], 20)
    refusals = {1: "forbidden", 2: "forbidden"}
    sandbox = make_sandbox(**agency(rows), refusals=refusals)
    pipeline = make_pipeline()
    with pytest.raises(PipelineStepFailed, match="2 of 2 customers"):
        pipeline.run(source_of(sandbox, partner=True))
    sandbox.refusals = {1: "forbidden"}
    for _ in range(2):  # the second brings nothing new
        info = pipeline.run(source_of(sandbox, partner=True))
        with pytest.raises(Incomplete, match="1 of 2 customers"):
            raise_on_incomplete(info)
    assert {row["id"] for row in table(pipeline)} == {row["id"] for row in rows[20]}


def test_a_run_that_loads_but_what_was_pending_is_not_complete(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=200, timezone=ZONE)
    how: dict[str, Any] = {"page_size": 40, "max_retries": 0, "concurrency": 1}
    # Without a dataset in the destination dlt would drop what is pending, and its state.
    make_pipeline().run(source_of(sandbox, end_date="2024-05-03", **how))
    make_pipeline().extract(source_of(sandbox, **how).add_limit(2))
    with pytest.raises(Incomplete, match="run it again"):
        raise_on_incomplete(make_pipeline().run(source_of(sandbox, **how)))
    pipeline = make_pipeline()
    raise_on_incomplete(pipeline.run(source_of(sandbox, **how)))
    assert by_id(table(pipeline)) == wanted(sandbox)
    with pytest.raises(Incomplete, match="run it again"):
        raise_on_incomplete(pipeline.run())
