"""SCHEMA allows what the declaration allows, spelled so that loaders make JSON columns of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.singer.announced import announced

COLUMNS: dict[str, Any] = stream_schema()["properties"]
ARRAYS = [name for name, column in COLUMNS.items() if "items" in column]
MEMBERS = ["hit_url", "hit_duration", "ext_id", "segment_id", "segment_name", "other"]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
ITEMS = SCALARS | st.dictionaries(st.sampled_from(MEMBERS), SCALARS)


@given(st.sampled_from(ARRAYS), st.lists(ITEMS, max_size=3) | ITEMS)
def test_a_value_is_allowed_by_both_or_neither(name: str, value: Any) -> None:
    declared, said = (
        Draft202012Validator(schema["properties"][name])
        for schema in (stream_schema(), announced(stream_schema()))
    )
    assert declared.is_valid(value) == said.is_valid(value)


def test_no_array_says_items_beside_its_type() -> None:
    """target-postgres would make `jsonb[]` of it."""
    columns = announced(stream_schema())["properties"]
    assert len(ARRAYS) == 4
    for name, column in columns.items():
        assert "items" not in column
        if name in ARRAYS:
            assert column["type"] == COLUMNS[name]["type"]
            assert column["allOf"] == [{"items": COLUMNS[name]["items"]}]
        else:
            assert column == COLUMNS[name]


def test_what_is_given_stays_as_it_is() -> None:
    schema = stream_schema()
    announced(schema)
    assert schema == stream_schema()


def test_other_conditions_are_kept() -> None:
    column = {"type": "array", "items": {"type": "string"}, "allOf": [{"maxItems": 1}]}
    [said] = announced({"properties": {"a": column}})["properties"].values()
    assert said == {"type": "array", "allOf": [{"maxItems": 1}, {"items": {"type": "string"}}]}
