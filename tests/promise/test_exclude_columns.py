"""`exclude_columns`, whichever host: what it names is not asked for, and leaves in no message."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from hosts import AND_DLT, Host
from support import ROOT, catalog_of, config_of, run_tap, table_rows

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.airbyte.catalog import configured, discovered
from tap_visitor_sessions.config import core_settings, privacy_note
from tap_visitor_sessions.config.names import all_names
from tap_visitor_sessions.config.schema import personal, stream_schema

NAMES = ["visitor_ip_address", "visitor_custom_properties", "hits.hit_url"]
NAMES += ["integrated_campaign_data.keyword", "segments.segment_name", "segments.segment_id"]
LEFT = ["visitor_ip_address", "visitor_custom_properties", "segments"]
"""Columns that are not asked for: of one no member is left."""
VALUES = ("203.0.113.77", "annas-property", "annas-page", "annas-keyword", "annas-segment")
WORDS = (*LEFT, "hit_url", '"keyword"', "segment_name", *VALUES)


def personal_sandbox(make_sandbox: MakeSandbox, **options: Any) -> Sandbox:
    rows = make_sessions(60, seed=9)
    for row in rows:
        row["visitor_ip_address"] = VALUES[0]
        row["visitor_custom_properties"] = [{"property_name": "x", "property_value": VALUES[1]}]
        row["hits"] = [{"hit_time": "t", "hit_duration": "d", "hit_url": VALUES[2]}]
        row["integrated_campaign_data"] = {"keyword": VALUES[3], "group_id": 7}
        row["segments"] = [{"segment_name": VALUES[4], "segment_id": 3}]
    return make_sandbox(rows=rows, **options)


def shown(text: str) -> list[str]:
    assert text
    return [word for word in WORDS if word in text]


def check(records: list[dict[str, Any]]) -> None:
    assert len(records) == 60
    assert all(record["hits"][0]["hit_time"] == "t" for record in records)
    assert all(record["integrated_campaign_data"]["group_id"] == 7 for record in records)
    assert shown(json.dumps(records)) == []


@AND_DLT
@pytest.mark.parametrize("odd", [False, True], ids=["as declared", "of other types"])
def test_it_leaves_in_no_message_and_is_not_asked_for(
    host: Host, odd: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    faults = Faults(single_hit_object=odd, numbers_as_strings=odd)
    sandbox = personal_sandbox(make_sandbox, faults=faults)
    run = host.run(config_of(sandbox, exclude_columns=NAMES), directory=tmp_path).check()
    check(run.records)
    assert shown(run.output) == []
    for call in sandbox.reports:
        assert not set(LEFT) & set(call.params["fields"])
    assert "Personal data emitted in clear: " in run.output
    assert "visitor_id" in run.output.partition("emitted in clear: ")[2].partition("(")[0]


@pytest.mark.parametrize("how", ["jsonl", "parquet", "maps", "flat"])
def test_in_every_form_of_singer(how: str, make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "maps": {"stream_maps": {"visitor_sessions": {"added": "channel"}}},
        "flat": {"flattening_enabled": True, "flattening_max_depth": 1},
    }.get(how) or {
        "batch_config": {
            "encoding": {"format": how, "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
        }
    }
    config = config_of(personal_sandbox(make_sandbox), exclude_columns=NAMES, **more)
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    assert shown(run.stdout + run.stderr) == []
    if how == "flat":
        assert 'integrated_campaign_data__keyword"' not in run.stdout
        assert run.records[0]["integrated_campaign_data__group_id"] == 7
        return
    records = run.records
    for path in tmp_path.glob("*.jsonl.gz"):
        records += map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
    for path in tmp_path.glob("*.parquet"):
        records += table_rows(path)
    check(records)


def test_discovery_lacks_it_and_a_catalog_of_before_is_taken(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = personal_sandbox(make_sandbox)
    config = config_of(sandbox, exclude_columns=NAMES)
    found = run_tap(config, "--discover", directory=tmp_path)
    assert shown(found.stdout) == []
    # One that selects it all, and one that left some of it out already.
    before = json.loads(run_tap(config_of(sandbox), "--discover", directory=tmp_path).stdout)
    for selected in (True, False):
        for item in before["streams"][0]["metadata"]:
            if item["breadcrumb"] and item["breadcrumb"][1] in LEFT:
                item["metadata"]["selected"] = selected
        run = run_tap(config, catalog=before, directory=tmp_path).check()
        check(run.records)
        assert shown(run.stdout + run.stderr) == []


def test_airbyte_discovers_it_no_more_and_takes_a_catalog_of_before() -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", "exclude_columns": NAMES}
    settings = core_settings(config)
    assert shown(json.dumps(discovered(settings))) == []
    wanted = configured(catalog_of(stream_schema()), settings)
    assert wanted is not None
    assert not set(LEFT) & set(wanted.columns.names)


@AND_DLT
@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        (["visitor_ip_adress"], {}, "did you mean visitor_ip_address?"),
        (["hits.url"], {}, "hits.url: did you mean hits.hit_url?"),
        (["id"], {}, "id is the stream's own key or bookmark, and cannot be left out"),
        (["date_time"], {}, "date_time is the stream's own key"),
        (["account"], {"account": "north"}, "account is the stream's own key"),
        (["customer_id"], {}, "there is no column or member customer_id"),
        (
            ["customer_id"],
            {"account_type": "partner", "timezone": "UTC"},
            "customer_id is the stream's own key",
        ),
        ([["referrer"]], {}, "exclude_columns: must be"),
    ],
)
def test_a_name_that_cannot_be_left_out_ends_the_run_before_any_request(
    host: Host,
    names: list[Any],
    more: dict[str, Any],
    words: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    sandbox = personal_sandbox(make_sandbox)
    run = host.run(config_of(sandbox, exclude_columns=names, **more), directory=tmp_path)
    assert words in run.error
    assert (run.records, sandbox.calls) == ([], [])


def test_what_is_declared_as_personal_is_what_the_page_lists() -> None:
    """Each name that is declared stands in the table of docs/privacy.md, with its column or so."""
    text = (ROOT / "docs/privacy.md").read_text(encoding="utf-8")
    table = text.partition("## What is personal")[2].partition("\n## ")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    marked = " ".join(cells[1] for cells in lines if "little alone" not in cells[2])
    known = set(all_names(stream_schema()))
    listed = {name for name in marked.replace("`", "").replace(",", "").split() if name in known}
    assert listed == personal()


def test_the_note_names_what_is_emitted_and_neither_hashed_nor_left_out() -> None:
    schema = {"properties": {"visitor_id": {}, "channel": {}, "referrer": {}}}
    assert "in clear: visitor_id, referrer (" in privacy_note(schema, [])
    assert "in clear: referrer (" in privacy_note(schema, ["visitor_id"])
    assert privacy_note({"properties": {"channel": {}}}, []).startswith("No column")
