"""SCHEMA allows what the declaration allows, dotted so that loaders make JSON columns of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import messages
from jsonschema import Draft202012Validator
from singer_sdk.helpers._typing import is_array_type, is_object_type
from singer_sdk.plugin_base import PluginBase
from support import config_of

from sandbox import Sandbox
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.singer.catalog.schema_message import for_loaders

COLUMNS: dict[str, Any] = stream_schema()["properties"]
ARRAYS = [name for name, column in COLUMNS.items() if "items" in column]
MEMBERS = ["hit_url", "hit_duration", "ext_id", "segment_id", "segment_name", "other"]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
ITEMS = SCALARS | st.dictionaries(st.sampled_from(MEMBERS), SCALARS)


@given(st.sampled_from(ARRAYS), st.lists(ITEMS, max_size=3) | ITEMS)
def test_a_value_is_allowed_by_both_or_neither(name: str, value: Any) -> None:
    declared, said = (
        Draft202012Validator(schema["properties"][name])
        for schema in (stream_schema(), for_loaders(stream_schema()))
    )
    assert declared.is_valid(value) == said.is_valid(value)


def test_no_array_says_items_beside_its_type() -> None:
    """target-postgres would make `jsonb[]` of it."""
    columns = for_loaders(stream_schema())["properties"]
    assert len(ARRAYS) == 4
    for name, column in columns.items():
        assert "items" not in column
        if name in ARRAYS:
            assert column["type"] == COLUMNS[name]["type"]
            assert column["allOf"] == [{key: COLUMNS[name][key] for key in ("type", "items")}]
        else:
            assert column == COLUMNS[name]


def test_what_is_given_stays_as_it_is() -> None:
    schema = stream_schema()
    for_loaders(schema)
    assert schema == stream_schema()


def test_other_conditions_are_kept() -> None:
    column = {"type": "array", "items": {"type": "string"}, "allOf": [{"maxItems": 1}]}
    [said] = for_loaders({"properties": {"a": column}})["properties"].values()
    whole = {"type": "array", "items": {"type": "string"}}
    assert said == {"type": "array", "allOf": [{"maxItems": 1}, whole]}


def test_the_sdk_finds_an_array_in_each() -> None:
    """target-snowflake asks so for each value; without a type in allOf it raises."""
    for name, column in for_loaders(stream_schema())["properties"].items():
        assert is_array_type(column) is (name in ARRAYS)
        assert is_object_type(column) is ("object" in COLUMNS[name]["type"])


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PluginBase, "_setup_signal_handlers", lambda _: None)


OLDER = {None, "http://json-schema.org/draft-04/schema#"}
"""Versions of JSON Schema that loaders of the datamill family take, none named among them."""


@pytest.mark.parametrize("arrays", [None, "json", "typed"])
@pytest.mark.parametrize("flat", [{}, {"flattening_enabled": True, "flattening_max_depth": 1}])
def test_schema_names_no_version_and_announces_arrays_as_asked(
    make_sandbox: Callable[..., Sandbox], arrays: str | None, flat: dict[str, Any]
) -> None:
    sandbox = make_sandbox(sessions=3)
    config = config_of(sandbox, array_schema=arrays, **flat)
    [schema] = [m["schema"] for m in messages(config, None) if m["type"] == "SCHEMA"]
    assert schema.get("$schema") in OLDER
    hits = schema["properties"]["hits"]
    if flat:
        assert hits["type"] == ["string", "null"]
    elif arrays == "typed":
        assert set(hits["items"]["properties"]) == {"hit_time", "hit_duration", "hit_url"}
        assert "allOf" not in hits
    else:
        assert "items" not in hits
        assert hits["allOf"][0]["items"]["properties"]


def test_a_run_with_files_warns_of_loaders_that_do_not_know_them(
    make_sandbox: Callable[..., Sandbox], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    encoding = {"format": "jsonl", "compression": "gzip"}
    batch = {"encoding": encoding, "storage": {"root": tmp_path.as_uri()}}
    messages(config_of(make_sandbox(sessions=3), batch_config=batch), None)
    assert "does not know BATCH" in caplog.text
