"""One odd value costs that value: whatever stands at whatever place of a session."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from odd import DAY, DEEP, HALF, HUGE, TWICE, Token, answer_of, row, to_json

from tap_visitor_sessions.api.errors import Unreadable
from tap_visitor_sessions.api.repair import TOO_DEEP, without_halves, without_odd_tokens
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = stream_schema()
MOSCOW = "Europe/Moscow"

# One value


def emitted(column: str, value: Any, zone: str = MOSCOW) -> Any:
    path = column.split(".")
    changed = row(1)
    if len(path) == 1:
        changed[column] = value
    else:
        holder = changed[path[0]]
        (holder[0] if isinstance(holder, list) else holder)[path[1]] = value
    decoder = Decoder(SCHEMA, Zone(ZoneInfo(zone)))
    [record] = decoder.finish(decoder.rows(answer_of([changed]).data))
    plain: dict[str, Any] = msgspec.to_builtins(record)
    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(plain)
    found = plain[path[0]]
    for name in path[1:]:
        found = (found[0] if isinstance(found, list) else found)[name]
    return found


CALL = "communications.communication_date_time"
GROUP = "integrated_campaign_data.group_id"


@pytest.mark.parametrize(
    ("column", "value", "want"),
    [
        (CALL, "2024-05-01 12:00:00", "2024-05-01T09:00:00Z"),
        (CALL, "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
        (CALL, "2024-05-01T12:00:00+05:00", "2024-05-01T07:00:00Z"),
        (CALL, "2024-05-01 12:00:00.250", "2024-05-01T09:00:00.250000Z"),
        (CALL, 1714521600, "2024-05-01T00:00:00Z"),
        (CALL, 1714521600000, "2024-05-01T00:00:00Z"),
        (CALL, "1714521600", "2024-05-01T00:00:00Z"),
        (CALL, 1714521600.5, "2024-05-01T00:00:00.500000Z"),
        (CALL, "0001-01-01 12:00:00", "0001-01-01T09:29:43Z"),
    ],
)
def test_a_time_is_read_as_what_it_says(
    column: str, value: Any, want: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert emitted(column, value) == want
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("column", "value", "zone"),
    [
        (CALL, "0001-01-01 00:00:00", MOSCOW),
        (CALL, "9999-12-31 23:59:59", "America/New_York"),
        (CALL, "0001-01-01T00:00:00+05:00", MOSCOW),
        (CALL, "2024-05-01", MOSCOW),
        (CALL, "soon", MOSCOW),
        (CALL, "", MOSCOW),
        (CALL, {}, MOSCOW),
        (CALL, [1], MOSCOW),
        (CALL, True, MOSCOW),
        (CALL, Token("1e400"), MOSCOW),
        (CALL, 10**30, MOSCOW),
        ("duration", Token("1e400"), MOSCOW),
        ("duration", Token(HUGE), MOSCOW),
        ("duration", Token("-1e999"), MOSCOW),
        ("duration", "", MOSCOW),
        ("duration", {"x": 1}, MOSCOW),
        ("duration", "NaN", MOSCOW),
        ("duration", Token("NaN"), MOSCOW),
        ("duration", Token("-Infinity"), MOSCOW),
        ("duration", Token(DEEP), MOSCOW),
        ("channel", Token(DEEP), MOSCOW),
        ("channel", Token(f'[{DEEP}, NaN, {HALF}, "]"]'), MOSCOW),
        (CALL, Token("Infinity"), MOSCOW),
        (CALL, Token(DEEP), MOSCOW),
        (GROUP, Token("NaN"), MOSCOW),
        (GROUP, "abc", MOSCOW),
        (GROUP, [[1]], MOSCOW),
    ],
)
def test_what_cannot_be_read_is_null_with_one_warning_for_its_column(
    column: str, value: Any, zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert emitted(column, value, zone) is None
    [message] = caplog.messages
    assert message.startswith(f"{column}: ")


@pytest.mark.parametrize(
    ("column", "value", "want"),
    [
        ("duration", 10**400, 10**400),
        ("duration", -0.0, 0),
        ("duration", True, 1),
        ("channel", {"a": [1]}, '{"a": [1]}'),
        ("channel", 5, "5"),
        ("channel", Token("1e400"), "Infinity"),
        ("channel", Token("NaN"), "NaN"),
        ("channel", Token(HALF), "a\ufffdb"),
        ("channel", Token('["NaN [", NaN, "\\\\"]'), '["NaN [", "NaN", "\\\\"]'),
        ("hits", Token(DEEP), []),
        ("integrated_campaign_data.old_banner_ids", Token("[1, NaN, 2, null]"), [1, 2]),
        ("integrated_campaign_data.old_banner_ids", Token(f"[1, {DEEP}]"), [1]),
        ("hits", {"hit_url": "one"}, [{"hit_time": None, "hit_duration": None, "hit_url": "one"}]),
        ("hits", [None, 7], []),
        ("hits", "x", []),
        ("segments", [[]], []),
        ("integrated_campaign_data", [1], {}),
        ("integrated_campaign_data", 5, {}),
    ],
)
def test_what_can_be_kept_is_kept(column: str, value: Any, want: Any) -> None:
    assert emitted(column, value) == want


def test_many_odd_values_of_a_column_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder(SCHEMA, Zone(ZoneInfo(MOSCOW)))
    rows = [{**row(n % 9), "id": n, "duration": value} for n, value in enumerate(["x", [], {}] * 9)]
    assert len(decoder.rows(to_json(rows).encode())) == 27
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "own",
    [
        {"id": None},
        {"id": "abc"},
        {"id": 1.5},
        {"id": "1.5"},
        {"id": True},
        {"id": []},
        {"id": Token("1e400")},
        {"date_time": None},
        {"date_time": "2024-05-01"},
        {"date_time": {}},
        {"date_time": "soon"},
        {"date_time": "0001-01-01 00:00:00"},
        {"date_time": "0001-01-01T00:00:00+05:00"},
    ],
    ids=str,
)
def test_a_session_whose_own_key_or_time_cannot_be_used_is_an_error(own: dict[str, Any]) -> None:
    decoder = Decoder(SCHEMA, Zone(ZoneInfo(MOSCOW)))
    with pytest.raises(Unreadable):
        decoder.finish(decoder.rows(to_json([{**row(1), **own}]).encode()))


@pytest.mark.parametrize(
    "value", ["2024-05-01T09:00:00Z", "2024-05-01T12:00:00+03:00", 1714554000, "1714554000"]
)
def test_a_date_time_that_is_an_instant_is_one_on_the_accounts_clock(value: Any) -> None:
    decoder = Decoder(SCHEMA, Zone(ZoneInfo(MOSCOW)))
    data = to_json([{**row(1), "date_time": value}]).encode()
    assert str(decoder.times(data)[0]) == "2024-05-01 12:00:00"
    [record] = decoder.rows(data)
    assert str(record.date_time) == "2024-05-01 12:00:00"
    [record] = decoder.finish([record])
    assert msgspec.to_builtins(record)["date_time"] == "2024-05-01T09:00:00Z"


def test_a_fraction_of_a_second_of_a_date_time_is_dropped() -> None:
    assert emitted("date_time", f"{DAY} 12:00:00.75") == "2024-05-01T09:00:00Z"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_not_mended(value: Any) -> None:
    for body in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        assert without_odd_tokens(without_halves(body)) == body


@given(st.lists(st.sampled_from(["\ud83d", "\ude97", "\U0001f697", "\\", '"', "u", "d83d", "é"])))
def test_half_a_character_is_replaced_and_nothing_else(pieces: list[str]) -> None:
    text = "".join(pieces)
    want = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(without_halves(json.dumps(text).encode())) == want


def test_a_member_that_comes_twice_costs_no_session(caplog: pytest.LogCaptureFixture) -> None:
    campaign = emitted("integrated_campaign_data", Token(TWICE))
    assert (campaign["keyword"], campaign["group_id"]) == ("b", None)
    [message] = caplog.messages
    assert message.startswith(f"{GROUP}: ")


@given(st.integers(0, 3000), st.integers(0, 3000), st.booleans())
def test_what_is_cut_short_stays_so(depth: int, end: int, word: bool) -> None:
    whole = b'{"a":[' + b"[" * depth + (b"NaN" if word else b'"NaN"') + b"]" * depth + b"],"
    whole += b'"b":2}'
    assert json.loads(without_odd_tokens(whole))["b"] == 2
    with pytest.raises((ValueError, RecursionError)):
        json.loads(without_odd_tokens(whole[: min(end, len(whole) - 1)]))


def test_what_is_nested_too_deep_is_a_text() -> None:
    raw = b'[{"a":' + DEEP.encode() + b',"b":[1]}]'
    [repaired] = json.loads(without_odd_tokens(raw))
    assert repaired["b"] == [1]
    inner = repaired["a"]
    while isinstance(inner, list):
        [inner] = inner
    assert inner == TOO_DEEP
