"""The typed lane and the SDK's own path say the same, message for message; BATCH files too."""

from __future__ import annotations

import copy
import gzip
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from conftest import MakeSandbox, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import messages
from singer_sdk.plugin_base import PluginBase
from strategies import json_values
from support import config_of, run_tap, table_rows

from sandbox import Faults, Sandbox, make_sessions
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.output import Chunk, drained
from tap_visitor_sessions.singer.batches import format_problems
from tap_visitor_sessions.singer.stream import VisitorSessions
from tap_visitor_sessions.singer.tap import TapVisitorSessions

COLUMNS = stream_schema()["properties"]
FREE = [name for name in COLUMNS if name not in ("id", "date_time")]
NESTED = [
    ("hits", "hit_url"),
    ("integrated_campaign_data", "keyword"),
    ("communications", "communication_date_time"),
]
odd_values = st.dictionaries(st.sampled_from(FREE), json_values, max_size=4)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    logging.disable(logging.CRITICAL)
    with (
        ExitStack() as stack,
        patch.object(PluginBase, "_setup_signal_handlers", lambda self: None),
    ):
        yield stack.enter_context(Sandbox(sessions=0).running())
    logging.disable(logging.NOTSET)


def catalog_of(dropped: set[str], nested: set[tuple[str, str]]) -> dict[str, Any]:
    config = {"access_token": "x", "start_date": "2024-05-01"}
    catalog = TapVisitorSessions(config=config).catalog_dict
    for item in catalog["streams"][0]["metadata"]:
        path = item["breadcrumb"]
        if not path:
            item["metadata"]["selected"] = True
        elif path[1] in dropped:
            item["metadata"]["selected"] = False
    for column, member in nested:
        steps = ["items"] if COLUMNS[column].get("items") else []
        path = ["properties", column, *steps, "properties", member]
        catalog["streams"][0]["metadata"] = [
            item for item in catalog["streams"][0]["metadata"] if item["breadcrumb"] != path
        ] + [{"breadcrumb": path, "metadata": {"selected": False}}]
    return dict(catalog)


def without_states(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in found if message["type"] != "STATE"]


def last_state(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The state that a run ends with, without the hash of the key, which has a salt."""
    state: dict[str, Any] = copy.deepcopy(found[-1]["value"]["bookmarks"]["visitor_sessions"])
    del state["credential"]
    return state


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    odd=st.lists(odd_values, max_size=12),
    plain=st.integers(0, 30),
    dropped=st.sets(st.sampled_from(FREE), max_size=20),
    nested=st.sets(st.sampled_from(NESTED), max_size=2),
    page_size=st.sampled_from([3, 10, 10_000]),
    batch_size=st.integers(1, 50),
    full_table=st.booleans(),
    flat=st.none()
    | st.fixed_dictionaries(
        {
            "flattening_enabled": st.just(True),
            "flattening_max_depth": st.integers(0, 3),
        },
        optional={
            "flattening_separator": st.sampled_from([".", "_", "__", " "]),
            "flattening_max_key_length": st.sampled_from([20, 40, 255]),
        },
    ),
    seed=st.integers(0, 100),
)
def test_both_lanes_and_the_files_are_equal_over_random_data_and_selections(
    sandbox: Sandbox,
    tmp_path: Path,
    odd: list[dict[str, Any]],
    plain: int,
    dropped: set[str],
    nested: set[tuple[str, str]],
    page_size: int,
    batch_size: int,
    full_table: bool,
    flat: dict[str, Any] | None,
    seed: int,
) -> None:
    rows = make_sessions(plain + len(odd), seed=seed)
    rows = [{**row, **more} for row, more in zip(rows, [*odd, *[{}] * plain], strict=True)]
    sandbox.hold(rows, timezone="Europe/Moscow", faults=Faults(reshuffle=True))
    catalog = catalog_of(dropped, nested)
    if full_table:
        catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    config = config_of(sandbox, page_size=page_size, **(flat or {}))
    typed = messages(config, catalog)
    with patch.object(VisitorSessions, "_fits_typed_lane", lambda self: False):
        plainly = messages(config, catalog)
    if full_table:  # versions are the moment of the run
        for message in (*typed, *plainly):
            message.pop("version", None)
    assert without_states(typed) == without_states(plainly)
    assert last_state(typed) == last_state(plainly)
    assert sum(m["type"] == "RECORD" for m in typed) == len(rows)
    if flat:  # loaders that write by position need all columns in each record
        [schema] = [m["schema"]["properties"] for m in typed if m["type"] == "SCHEMA"]
        assert {tuple(m["record"]) for m in typed if m["type"] == "RECORD"} <= {tuple(schema)}

    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": batch_size,
    }
    batches = messages({**config, "batch_config": batch}, catalog)
    files = [
        [
            json.loads(line)
            for line in gzip.decompress(Path(name.removeprefix("file://")).read_bytes()).split(
                b"\n"
            )
            if line
        ]
        for message in batches
        if message["type"] == "BATCH"
        for name in message["manifest"]
    ]
    records = [m["record"] for m in typed if m["type"] == "RECORD"]
    assert [record for file in files for record in file] == records
    assert all(len(file) == batch_size for file in files[:-1])
    assert last_state(batches) == last_state(typed)


@pytest.mark.parametrize("compression", [None, "zstd", "snappy", "gzip", "none"])
def test_parquet_files_hold_the_same_records_with_the_types_of_the_schema(
    make_sandbox: MakeSandbox, tmp_path: Path, compression: str | None
) -> None:
    sandbox = make_sandbox(sessions=300)
    batch = {
        "encoding": {"format": "parquet", "compression": compression},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": 120,
    }
    run = run_tap(config_of(sandbox, batch_config=batch), directory=tmp_path)
    assert run.code == 0, run.stderr
    names = [name for message in run.of("BATCH") for name in message["manifest"]]
    files = [Path(name.removeprefix("file://")) for name in names]
    schemas = [pq.read_schema(file) for file in files]
    assert [pq.read_metadata(file).num_rows for file in files] == [120, 120, 60]
    assert len({str(schema) for schema in schemas}) == 1
    assert str(schemas[0].field("date_time").type) == "timestamp[us, tz=UTC]"
    codec = pq.read_metadata(files[0]).row_group(0).column(0).compression
    assert codec == {None: "ZSTD", "none": "UNCOMPRESSED"}.get(
        compression, str(compression).upper()
    )
    plain = run_tap(config_of(sandbox), directory=tmp_path).check()
    rows = [row for file in files for row in table_rows(file)]
    for row in rows:  # Parquet has no object without its members
        campaign = row["integrated_campaign_data"]
        if all(value is None for value in campaign.values()):
            row["integrated_campaign_data"] = {}
    assert rows == plain.records
    assert run.bookmark == plain.bookmark


def test_numbers_that_a_file_cannot_hold_are_counted_in_the_summary(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = make_sessions(20)
    for row in rows[:7]:
        row["visitor_id"] = 2**63
    rows[9]["duration"] = {}
    sandbox = make_sandbox(rows=rows)
    batch = {"encoding": {"format": "parquet"}, "storage": {"root": tmp_path.as_uri()}}
    run = run_tap(config_of(sandbox, batch_config=batch), directory=tmp_path)
    assert run.code == 0, run.stderr
    assert "left out: visitor_id 7, duration 1\n" in run.stderr
    assert ", 8 values lost," in run.stderr


def test_parquet_files_are_flat_where_records_are(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=100)
    flat = {"flattening_enabled": True, "flattening_max_depth": 1, "flattening_separator": "."}
    batch = {"encoding": {"format": "parquet"}, "storage": {"root": tmp_path.as_uri()}}
    run = run_tap(config_of(sandbox, batch_config=batch, **flat), directory=tmp_path)
    assert run.code == 0, run.stderr
    [message] = run.of("BATCH")
    [name] = message["manifest"]
    rows = table_rows(Path(name.removeprefix("file://")))
    [schema] = run.of("SCHEMA")
    assert list(rows[0]) == list(schema["schema"]["properties"])
    assert "integrated_campaign_data.keyword" in rows[0]
    plain = run_tap(config_of(sandbox, **flat), directory=tmp_path).check()
    assert {tuple(record) for record in plain.records} == {tuple(rows[0])}
    assert rows == plain.records


KNOWS_ARROW = not format_problems("arrow")


def test_files_of_arrow_need_an_sdk_that_can_announce_them(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=300)
    batch = {
        "encoding": {"format": "arrow"},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": 200,
    }
    run = run_tap(config_of(sandbox, batch_config=batch), directory=tmp_path)
    if not KNOWS_ARROW:
        assert run.code == 1
        assert "the installed singer-sdk knows no format arrow" in run.stderr
        assert not sandbox.reports
        return
    plain = run_tap(config_of(sandbox), directory=tmp_path).check()
    names = [name for message in run.of("BATCH") for name in message["manifest"]]
    rows = [row for name in names for row in table_rows(Path(name.removeprefix("file://")))]
    for row in rows:  # as in Parquet
        if not any(row["integrated_campaign_data"].values()):
            row["integrated_campaign_data"] = {}
    assert rows == plain.records
    assert run.bookmark == plain.bookmark


def test_what_is_written_is_not_held_any_longer() -> None:
    chunks = [Chunk(b"%d\n" % number, 1, "") for number in range(3)]
    written = []
    for chunk in drained(chunks):
        written.append(chunk.lines)
        assert len(chunks) == 3 - len(written)
    assert written == [b"0\n", b"1\n", b"2\n"]
