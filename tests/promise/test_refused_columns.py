"""Columns that the API of an account refuses: whichever the host and the form, what is emitted is
as SCHEMA says, no session is lost, it is said once a run, and remembered."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from dlt_pipelines import MakePipeline, by_id, source_of, table
from hosts import AND_DLT, Host
from in_process import messages
from jsonschema import Draft202012Validator, FormatChecker
from support import config_of, run_tap, table_rows

from sandbox import Sandbox, make_sessions
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.airbyte.source import Source

pytest_plugins = ["dlt_pipelines"]
REFUSED = [
    *("channel", "duration", "ext_id"),
    *("hits", "communications", "segments", "integrated_campaign_data"),
]
"""A text, a number, arrays, and an object."""


def refusing(make_sandbox: MakeSandbox, **more: Any) -> Sandbox:
    refused = dict.fromkeys(REFUSED, "parameter_component_disabled")
    return make_sandbox(**{"sessions": 30, "refused_columns": refused, **more})


def check(sandbox: Sandbox, records: list[dict[str, Any]]) -> None:
    assert sorted(record["id"] for record in records) == sorted(r["id"] for r in sandbox.rows())
    for record in records:
        told = {n: v for n, v in record.items() if n.partition("__")[0] in REFUSED}
        assert set(told.values()) == {None}
        assert record["visitor_id"] is not None
        assert record["date_time"]


@AND_DLT
def test_no_session_is_lost_and_the_next_run_asks_without(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = refusing(make_sandbox)
    run = host.run(config_of(sandbox, page_size=9), directory=tmp_path).check()
    check(sandbox, run.records)
    for name in REFUSED:
        assert len(re.findall(rf"WARNING.*\b{name}\b.*left out", run.stderr)) == 1
    assert sorted(host.progress(run.state)["refused_columns"]) == sorted(REFUSED)
    sandbox.calls.clear()
    more = {"lookback_window": "P40D"}
    again = host.run(config_of(sandbox, **more), directory=tmp_path, state=run.state).check()
    check(sandbox, again.records)
    assert [call.mnemonic for call in sandbox.reports] == [None] * len(sandbox.reports)
    assert again.stderr.count("left out, emitted as null") == 1


FLAT = {"flattening_enabled": True, "flattening_max_depth": 3}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "flat": FLAT,
    "hashed": {"hash_columns": ["channel", "hits.hit_url"], "hash_key": "k" * 32},
    "without a member": {"exclude_columns": ["hits.hit_url"]},
    "mapped": {"stream_maps": {"visitor_sessions": {"text": "str(id)"}}},
    "mapped, flat": {"stream_maps": {"visitor_sessions": {"text": "str(id)"}}, **FLAT},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [None, "jsonl", "parquet"])
def test_every_form_of_singer_stays_as_schema_says(
    form: str, batch: str | None, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    if batch and form.startswith("mapped"):
        pytest.skip("maps are not for BATCH")
    sandbox, config = refusing(make_sandbox), dict(FORMS[form])
    if batch:
        encoding = {"format": batch, **({"compression": "gzip"} if batch == "jsonl" else {})}
        config["batch_config"] = {"encoding": encoding, "storage": {"root": tmp_path.as_uri()}}
    found = messages(config_of(sandbox, **config), None)
    [schema] = [one["schema"] for one in found if one["type"] == "SCHEMA"]
    records = [one["record"] for one in found if one["type"] == "RECORD"]
    for path in tmp_path.iterdir() if batch else ():
        if batch == "parquet":
            records += table_rows(path)
        else:
            records += map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
    check(sandbox, records)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    for record in records:
        assert record.keys() == schema["properties"].keys()
        validator.validate(record)


@pytest.mark.usefixtures("alone")
def test_child_tables_have_no_item_of_a_column_that_is_refused(
    make_pipeline: MakePipeline, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(sessions=30)
    pipeline, more = make_pipeline(), {"child_tables": True, "lookback_window": "P40D"}
    pipeline.run(source_of(sandbox, **more))
    assert table(pipeline, "visitor_sessions__hits")
    sandbox.refused_columns = dict.fromkeys(REFUSED, "unexpected_parameters")
    pipeline.run(source_of(sandbox, **more))
    assert len(by_id(table(pipeline))) == 30
    assert {row["channel"] for row in table(pipeline)} == {None}
    for name in ("hits", "communications"):
        assert table(pipeline, f"visitor_sessions__{name}") == []


# Who looks before a run


def recent() -> list[dict[str, Any]]:
    end = datetime.now().replace(microsecond=0) - timedelta(days=1)
    return make_sessions(20, start=end - timedelta(days=1), end=end)


@pytest.mark.parametrize("named", [True, False])
def test_the_doctor_and_check_of_airbyte_warn(
    named: bool,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = dict.fromkeys(("channel", "hits"), "parameter_component_disabled")
    sandbox = make_sandbox(rows=recent(), refused_columns=refused, names_refused=named)
    run = run_tap(config_of(sandbox), "--doctor", directory=tmp_path)
    assert run.code == 0, run.stdout
    [line] = [one for one in run.stdout.splitlines() if not one.startswith("ok ")]
    assert re.match(r"WARN components .*channel, hits", line)
    capsys.readouterr()
    Source(Messages()).check(config_of(sandbox))
    status = json.loads(capsys.readouterr().out)["connectionStatus"]
    assert status == {"status": "SUCCEEDED"}
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any("channel, hits" in one for one in told)


def test_the_doctor_fails_where_the_bookmark_is_refused(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent(), refused_columns={"date_time": "unexpected_parameters"})
    run = run_tap(config_of(sandbox), "--doctor", directory=tmp_path)
    assert run.code == 1
    assert "FAIL components" in run.stdout
