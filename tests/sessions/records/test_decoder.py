"""Bytes to records: both readings of the page, and hostile content."""

from __future__ import annotations

import json
import logging
import zoneinfo
from typing import Any

import msgspec
import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from strategies import json_values

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = stream_schema()
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
BASE = {"id": 7, "date_time": "2024-05-01 12:00:00"}


def emitted(*rows: dict[str, Any], raw: bytes | None = None) -> list[dict[str, Any]]:
    decoder = Decoder(SCHEMA, Zone(zoneinfo.ZoneInfo("Europe/Moscow")))
    data = json.dumps(rows).encode() if raw is None else raw
    records = [msgspec.to_builtins(r) for r in decoder.finish(decoder.rows(data))]
    for record in records:
        VALIDATOR.validate(record)
    assert [json.loads(msgspec.json.encode(r)) for r in records] == records
    return records


def test_times_go_to_utc_and_the_order_is_by_time_then_id() -> None:
    rows = [
        {"id": 3, "date_time": "2024-05-01 12:00:01"},
        {"id": 2, "date_time": "2024-05-01 12:00:00"},
        {"id": 1, "date_time": "2024-05-01 12:00:01"},
    ]
    assert [(r["date_time"], r["id"]) for r in emitted(*rows)] == [
        ("2024-05-01T09:00:00Z", 2),
        ("2024-05-01T09:00:01Z", 1),
        ("2024-05-01T09:00:01Z", 3),
    ]


def test_both_readings_of_the_page_give_the_same_record() -> None:
    hit = {"hit_time": "12:00:00", "hit_duration": "00:00:10", "hit_url": "https://e.example/"}
    table = {**BASE, "duration": 10, "campaign_id": 5, "hits": [hit], "segments": []}
    example = {
        **{"id": "7", "date_time": BASE["date_time"]},
        **{"duration": "10", "camapign_id": "5", "hist": hit, "segments": None},
    }
    assert emitted(table) == emitted(example)


def test_null_objects_and_objects_of_nulls_become_empty() -> None:
    [record] = emitted({**BASE, "integrated_campaign_data": {"keyword": None, "group_id": None}})
    assert record["integrated_campaign_data"] == {}
    [record] = emitted({**BASE, "integrated_campaign_data": None, "hits": None})
    assert record["integrated_campaign_data"] == {}
    assert record["hits"] == []


def test_communications_are_in_utc_too() -> None:
    call = {"communication_type": "call", "communication_date_time": "2024-05-01 00:30:00"}
    [record] = emitted({**BASE, "communications": [call]})
    assert record["communications"][0]["communication_date_time"] == "2024-04-30T21:30:00Z"


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("duration", 2**70, 2**70),
        ("duration", "12", 12),
        ("duration", 12.0, 12),
        ("duration", 12.6, 13),
        ("duration", "abc", None),
        ("duration", [], None),
        ("duration", True, 1),
        ("channel", "a new channel", "a new channel"),
        ("utm_source", 12, "12"),
        ("referrer", "x" * 1_000_000, "x" * 1_000_000),
        ("referrer", "a\u2028b", "a\u2028b"),
        ("referrer", "a\x00b", "a\ufffdb"),
        ("hits", "nonsense", []),
        (
            "hits",
            [None, {"hit_url": 5}],
            [{"hit_time": None, "hit_duration": None, "hit_url": "5"}],
        ),
        ("integrated_campaign_data", [], {}),
        ("integrated_campaign_data", "x", {}),
    ],
)
def test_values_that_do_not_fit_survive_as_far_as_they_can(
    column: str, value: Any, kept: Any
) -> None:
    [record] = emitted({**BASE, column: value})
    assert record[column] == kept


def test_undeclared_members_are_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    whole = dict.fromkeys(SCHEMA["properties"])
    rows = [
        {**whole, **BASE, "id": n, "brand_new": 1, "hits": [{"hit_mood": "x"}]} for n in range(20)
    ]
    with caplog.at_level(logging.WARNING):
        emitted(*rows)
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if m.startswith(("brand_new:", "hits.hit_mood:"))]) == 1
    assert len(messages) == 1  # the other at the end


def test_columns_that_are_not_asked_for_are_null_and_no_surprise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left_out = {"hits", "integrated_campaign_data", "channel"}
    decoder = Decoder(SCHEMA, Zone(zoneinfo.ZoneInfo("UTC"))).of_account(
        Zone(zoneinfo.ZoneInfo("UTC")), {}, lambda: left_out
    )
    rest = {name: None for name in SCHEMA["properties"] if name not in left_out} | BASE
    with caplog.at_level(logging.WARNING):
        [record] = decoder.finish(decoder.rows(msgspec.json.encode([rest])))
    assert [getattr(record, name) for name in sorted(left_out)] == [None, None, None]
    assert record.segments == []
    assert not caplog.messages


@pytest.mark.parametrize(
    "row", [{"id": 1}, {"date_time": "2024-05-01 12:00:00"}, {**BASE, "id": None}]
)
def test_a_session_without_key_or_bookmark_is_an_error(row: dict[str, Any]) -> None:
    with pytest.raises(TapError, match="without a usable"):
        emitted(row)


@settings(max_examples=examples(500), deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([name for name in SCHEMA["properties"] if name not in BASE])
        | st.sampled_from(["hist", "camapign_id", "unheard_of"]),
        json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "hit_url": json_values,
                "communication_date_time": json_values,
                "keyword": json_values,
                "old_banner_ids": json_values,
            },
        ),
        max_size=8,
    )
)
def test_any_json_survives_and_is_valid_against_the_schema(columns: dict[str, Any]) -> None:
    raw = (
        json.dumps([{**BASE, **columns}], allow_nan=False, default=str)
        if _finite(columns)
        else None
    )
    if raw is not None:
        assert emitted(raw=raw.encode("utf-8", "surrogatepass"))[0]["id"] == 7


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
