"""Where the source takes its settings from, and the names and dispositions that it is run under."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dlt
import pytest
from agencies import agency, rows_of
from conftest import MakeSandbox
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.specs import PluggableRunContext
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt_pipelines import NAME, MakePipeline, by_id, source_of, table, wanted
from support import ZONE, config_of

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import SettingsError
from tap_visitor_sessions.dlt import visitor_sessions
from tap_visitor_sessions.dlt.hints import child_table

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")
SECTION = "SOURCES__VISITOR_SESSIONS__"


@pytest.mark.parametrize("name", ["TIMEZONE", "LOGIN", "ACCOUNT", "FILTER", "SELECT", "PAGE_SIZE"])
def test_variables_without_the_section_are_others(
    name: str, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nothing that could work")
    source_of(make_sandbox(sessions=1))


def test_texts_mean_what_they_mean_to_the_tap(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of([10, 20, 30], 5)
    sandbox = make_sandbox(**agency(rows))
    texts = {"USER_IDS": "10, 30", "PAGE_SIZE": "", "CONCURRENCY": "4.0"}
    texts |= {"SELECT": "channel,hits", "CHILD_TABLES": "yes"}
    for name, text in texts.items():
        monkeypatch.setenv(SECTION + name, text)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox, partner=True))
    assert {row["user_id"] for row in table(pipeline)} == {10, 30}
    assert len(table(pipeline, child_table("hits"))) > 0
    monkeypatch.setenv(f"{SECTION}PAGE_SIZE", "many")
    with pytest.raises(SettingsError, match="page_size"):
        source_of(sandbox, partner=True)
    monkeypatch.delenv(f"{SECTION}PAGE_SIZE")
    monkeypatch.setenv(f"{SECTION}CHILD_TABLES", "perhaps")
    with pytest.raises(Exception, match="child_tables"):
        source_of(sandbox, partner=True)


def test_a_misspelt_setting_is_named_and_dlts_own_sections_are_not(
    make_sandbox: MakeSandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(f"{SECTION}TIME_ZONE", "Asia/Omsk")
    monkeypatch.setenv(f"{SECTION}DATA_WRITER__BUFFER_MAX_ITEMS", "500")
    source_of(make_sandbox(sessions=1))
    [line] = [record.getMessage() for record in caplog.records]
    assert "time_zone" in line
    assert "did you mean timezone?" in line


@pytest.mark.parametrize("name", ["EXCLUDE_COLUMN", "HASH_COLUMN", "STREAM_MAP", "HASH_KEYS"])
def test_a_misspelt_setting_that_keeps_values_from_leaving_is_an_error(
    name: str, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECTION + name, "visitor_id")
    with pytest.raises(SettingsError, match=f"{name.lower()} of .*: unknown: did you mean"):
        source_of(make_sandbox(sessions=1))


@pytest.mark.parametrize("name", ["STREAM_MAPS", "STREAM_MAPS__VISITOR_SESSIONS__GCLID"])
def test_stream_maps_are_named_as_passed_over(
    name: str,
    make_sandbox: MakeSandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(SECTION + name, "{}")
    source_of(make_sandbox(sessions=1))
    [line] = [record.getMessage() for record in caplog.records]
    assert "stream_maps: of the Singer tap alone" in line
    assert "exclude_columns or hash_columns" in line


def test_columns_selected_as_a_text_are_those_of_the_list(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1)
    columns = {
        frozenset(source_of(sandbox, select=select).visitor_sessions.columns)
        for select in (
            "channel,hits",
            " channel, hits,",
            '["channel", "hits"]',
            ["channel", "hits"],
        )
    }
    assert columns == {frozenset({"id", "date_time", "channel", "hits"})}
    for select, word in ((["channel,hits"], "channel,hits"), ([""], "list of columns")):
        with pytest.raises(ConfigError, match=f"select: .*{word}"):
            source_of(sandbox, select=select)


def test_all_columns_and_one_more(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1)
    every = set(source_of(sandbox).visitor_sessions.columns)
    assert "read_at" not in every
    for select in (["*", "read_at"], '["*", "read_at"]', "*,read_at"):
        found = set(source_of(sandbox, select=select).visitor_sessions.columns)
        assert found == every | {"read_at"}
    assert set(source_of(sandbox, select=["*"]).visitor_sessions.columns) == every


def test_files_of_settings(make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = make_sandbox(sessions=1)
    config = config_of(sandbox)
    Path(".dlt").mkdir()
    Path(".dlt/secrets.toml").write_text(
        f'[sources.visitor_sessions]\naccess_token = "{config["access_token"]}"\n'
    )
    Path(".dlt/config.toml").write_text(
        f'[sources.visitor_sessions]\napi_url = "{sandbox.url}"\nstart_date = 2024-05-01\n'
        "[sources.north.visitor_sessions]\nstart_date = 2024-05-02\n"
        "[sources.visitor_sessions.filtre]\nfield = 1\n"
    )
    context = Container()[PluggableRunContext]
    context.reload(str(Path.cwd()))
    try:
        visitor_sessions()
        visitor_sessions.clone(section="north")()
        visitor_sessions(access_token=dlt.secrets.value, start_date=dlt.config.value)
        with pytest.raises(ConfigFieldMissingException, match="start_date"):
            visitor_sessions(start_date=None)  # None is a value, as with dlt
    finally:
        Path(".dlt/secrets.toml").unlink()
        Path(".dlt/config.toml").unlink()
        context.reload(str(Path.cwd()))
    assert "did you mean filter?" in caplog.text


def test_what_is_missing_is_dlts_error_with_the_places_looked_at() -> None:
    with pytest.raises(ConfigFieldMissingException) as caught:
        visitor_sessions(start_date="2024-05-01")
    assert f"{SECTION}ACCESS_TOKEN" in str(caught.value)
    assert "start_date" not in str(caught.value).split("NOTE")[0].split("\n")[0]


def test_a_given_credential_stands_for_those_of_the_other_kind(
    make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(sessions=1)
    monkeypatch.setenv(f"{SECTION}ACCESS_TOKEN", "another")
    visitor_sessions(api_url=sandbox.url, login="a", password="b", start_date="2024-05-01")


# Names


def test_another_name_has_a_table_and_a_state_of_its_own(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=60, timezone=ZONE)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox))
    for _ in range(2):
        sandbox.calls.clear()
        one = source_of(sandbox, lookback_window="PT1S").visitor_sessions.with_name("visits")
        pipeline.run(one)
        assert by_id(table(pipeline, "visits")) == wanted(sandbox)
    assert len(sandbox.reports) == 1
    assert {*pipeline.state["sources"][NAME]["resources"]} == {NAME, "visits"}


def test_with_name_and_child_tables_do_not_go_together(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    one = source_of(make_sandbox(sessions=1), child_tables=True).visitor_sessions
    with pytest.raises(PipelineStepFailed, match="with_name"):
        make_pipeline().run(one.with_name("visits"))


def test_a_clone_has_a_state_of_its_own(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    north, south = make_sandbox(sessions=30, seed=1), make_sandbox(sessions=30, seed=2)
    pipeline = make_pipeline()
    for name, sandbox in (("north", north), ("south", south)):
        source = visitor_sessions.clone(name=name, section=name)(**config_of(sandbox, account=name))
        pipeline.run(source)
    assert len(table(pipeline)) == 60
    assert {*pipeline.state["sources"]} == {"north", "south"}


def test_another_table_name_is_refused_once_there_are_bookmarks(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    pipeline = make_pipeline()
    for _ in range(2):
        pipeline.run(source_of(sandbox), table_name="visits")
    assert by_id(table(pipeline, "visits")) == wanted(sandbox)
    with pytest.raises(PipelineStepFailed, match="table_name"):
        pipeline.run(source_of(sandbox))
    with pytest.raises(PipelineStepFailed, match="table_name"):
        pipeline.run(source_of(sandbox, child_tables=True), table_name="visits")


@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
@pytest.mark.parametrize("child_tables", [False, True])
def test_a_refresh_reads_everything_again(
    refresh: Any, child_tables: bool, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=60, timezone=ZONE)
    pipeline = make_pipeline()
    pipeline.run(source_of(sandbox, child_tables=child_tables))
    sandbox.delete([sandbox.rows()[0]["id"]])
    pipeline.run(source_of(sandbox, child_tables=child_tables), refresh=refresh)
    assert by_id(table(pipeline)).keys() == wanted(sandbox).keys()
    if child_tables:
        hits = sum(len(row["hits"]) for row in wanted(sandbox).values())
        assert len(table(pipeline, child_table("hits"))) == hits


# Dispositions


@pytest.mark.parametrize(
    ("disposition", "child_tables", "words"),
    [
        ({"disposition": "merge", "strategy": "scd2"}, False, "scd2"),
        ({"disposition": "merge", "strategy": "cdc"}, False, "cdc"),
        ("skip", False, "write_disposition"),
        ({"disposition": "merge", "strategy": "upsert"}, True, "upsert"),
        ("append", True, "append"),
    ],
)
def test_dispositions_that_cannot_be_right_are_refused_by_name(
    disposition: Any,
    child_tables: bool,
    words: str,
    make_sandbox: MakeSandbox,
    make_pipeline: MakePipeline,
) -> None:
    sandbox = make_sandbox(sessions=5)
    source = source_of(sandbox, child_tables=child_tables)
    with pytest.raises(PipelineStepFailed, match=words):
        make_pipeline("postgres").run(source, write_disposition=disposition)
    assert sandbox.reports == []


@pytest.mark.parametrize("strategy", ["upsert", "insert-only"])
def test_other_strategies_of_merge(
    strategy: Any, make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=40, timezone=ZONE)
    pipeline = make_pipeline()
    for _ in range(2):
        pipeline.run(
            source_of(sandbox, lookback_window="P40D"),
            write_disposition={"disposition": "merge", "strategy": strategy},
        )
    assert by_id(table(pipeline)) == wanted(sandbox)


def test_an_appended_table_has_the_look_back_twice(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline
) -> None:
    sandbox = make_sandbox(sessions=40, timezone=ZONE)
    pipeline = make_pipeline()
    for _ in range(2):
        pipeline.run(source_of(sandbox, lookback_window="P40D"), write_disposition="append")
    assert len(table(pipeline)) == 80


def test_dlts_warning_of_json_is_hidden_for_this_source_alone(
    make_sandbox: MakeSandbox, make_pipeline: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(sessions=40)
    pipeline = make_pipeline()
    with caplog.at_level(logging.WARNING):
        pipeline.run(source_of(sandbox, child_tables=True, page_size=10))
        assert "arrow schema" not in caplog.text
        import pyarrow as pa

        @dlt.resource(columns={"a": {"data_type": "json"}})
        def other() -> Any:
            yield pa.table({"a": ["[1]"]})

        pipeline.run(other())
    assert "In resource: other, when merging arrow schema" in caplog.text
