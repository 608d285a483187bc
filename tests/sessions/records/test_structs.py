"""What deviates is decoded fast, and says the same as the careful way: value by value."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import msgspec
import pytest
from conftest import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd import PLACES, Token, answer_of, anything, put, row, to_json

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.coercion import (
    MOST_UNDECLARED,
    Coercer,
    Warnings,
    decoded,
)
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = stream_schema()
ZONE = Zone(ZoneInfo("Europe/Moscow"))


class Said(logging.Handler):
    """What has been logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    said, logger = Said(), logging.getLogger("tap-visitor-sessions.records")
    logger.addHandler(said)
    try:
        yield said.lines
    finally:
        logger.removeHandler(said)


def careful(self: Decoder, raw: bytes) -> list[Any]:
    return self._coerced(decoded(raw))


def outcome(pages: list[bytes]) -> tuple[list[Any], set[str], dict[str, int]]:
    """Records of pages that one run reads, what was said, and how many values were lost."""
    warnings = Warnings()
    decoder = Decoder(SCHEMA, ZONE, warnings=warnings)
    found: list[Any] = []
    with listening() as said:
        for page in pages:
            try:
                records = decoder.finish(decoder.rows(page))
            except TapError as problem:
                found.append(str(problem))
                break
            found.append([msgspec.to_builtins(record) for record in records])
            assert json.loads(msgspec.json.encode(records)) == found[-1]
    return found, set(said), warnings.losses


numbers = st.sampled_from(
    [
        *(12.0, 12.5, -0.0, 1e20, True, 2**70, "12", " 12", "+12", "012", "12.0", "12.6", "1e3"),
        *("1e20", "null", "NULL", "nan", "", "abc", "1_2", "١", "0x1f", "9007199254740993.0"),
        *(1714521600, 1714521600.5, "1714521600.25", 1714521600123.5, 253402300800, -1, "-1"),
        *("2024-05-01T12:00", "2024-05-01 12:00:00", "2024-05-01T12:00:00+03:00", " 2024-05-01 1"),
    ]
)
values = numbers | anything | st.sampled_from([[], {}, [None], {"hit_url": 5}, [{"hit_url": 5}]])
UNDECLARED = [
    *(("brand_new",), ("a.b",), ('quo"ted',), ("",), ("hits", 0, "mood"), ("hist",)),
    *(("camapign_id",), ("integrated_campaign_data", "x"), ("communications", 0, "communication")),
]
OWN = [("id",), ("date_time",)]
deviations = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(PLACES) | st.sampled_from(UNDECLARED),
        values,
        st.sampled_from(["one", "all", "odd"]),
    ),
    max_size=6,
)
own_deviations = st.just([]) | st.lists(
    st.tuples(st.integers(4, 7), st.sampled_from(OWN), values), max_size=2
)


def pages_of(
    odd: list[tuple[int, tuple[Any, ...], Any, str]],
    own: list[tuple[int, tuple[Any, ...], Any]],
    repaired: bool,
) -> list[bytes]:
    """Two pages of four sessions each: what deviates does so in one, in each other, or in all.

    Args:
        repaired: Whether they come out of an envelope, or as they stand.
    """
    sessions = [row(number + 1) for number in range(8)]
    for number, path, value, how in odd:
        for place, session in enumerate(sessions):
            if how == "all" or place == number or (how == "odd" and place % 2):
                put(session, path, value)
    for number, path, value in own:
        put(sessions[number], path, value)
    parts = [sessions[:4], sessions[4:]]
    return [answer_of(part).data if repaired else to_json(part).encode() for part in parts]


@settings(max_examples=examples(600), deadline=None)
@given(deviations, own_deviations, st.booleans())
@example([(0, ("hist",), {"hit_url": "a"}, "all"), (0, ("hits",), None, "odd")], [], False)
@example([(0, ("duration",), "abc", "all"), (1, ("duration",), 1.5, "one")], [], False)
@example([(0, ("duration",), "abc", "all"), (1, ("duration",), "null", "one")], [], False)
@example([], [(4, ("id",), " 12"), (6, ("id",), "13.0")], False)
@example([(0, ("channel",), Token("1e400"), "one")], [], False)
@example([(0, ("channel",), "\x00", "all")], [], False)
def test_the_fast_way_is_the_careful_way(
    odd: list[tuple[int, tuple[Any, ...], Any, str]],
    own: list[tuple[int, tuple[Any, ...], Any]],
    repaired: bool,
) -> None:
    pages = pages_of(odd, own, repaired)
    fast = outcome(pages)
    with patch.object(Decoder, "_typed", careful):
        assert fast == outcome(pages)


SHAPES: dict[str, dict[str, Any]] = {
    "a number for a text": {"channel": 5, "integrated_campaign_data": {"ext_campaign_id": 88_001}},
    "a text for a number": {"integrated_campaign_data": {"group_id": "abc"}, "site_id": " 5"},
    "a fraction": {"duration": "12.6", "hits_count": 3.5},
    "a container": {"channel": {"a": [1]}, "referrer": ["x"], "segments": 7},
    "empty as PHP spells it": {"integrated_campaign_data": [], "hits": [None]},
    "epoch numbers": {
        "date_time": 1714521600000,
        "communications": [{"communication_date_time": "1714521600000"}],
    },
    "not declared": {"brand_new": {"a": 1}, "hits": [{"hit_url": "u", "mood": "x"}]},
    "the page's spellings": {"hist": {"hit_url": "u"}, "camapign_id": "5"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_was_met_costs_no_row_its_page_any_more(name: str) -> None:
    decoder = Decoder(SCHEMA, ZONE)
    sessions = [{**row(1), **SHAPES[name], "id": number} for number in range(50)]
    page = to_json(sessions).encode()
    first = decoder.rows(page)
    with patch.object(Coercer, "rows", side_effect=AssertionError):
        second = decoder.of_account(ZONE, {}).rows(page)
    assert msgspec.to_builtins(second) == msgspec.to_builtins(first)


def test_of_rows_that_fit_and_one_that_does_not_only_that_one_is_coerced() -> None:
    decoder = Decoder(SCHEMA, ZONE)
    sessions = [{**row(1), "id": number} for number in range(50)]
    sessions[20]["channel"] = "a\x00b"
    with patch.object(Coercer, "rows", autospec=True, side_effect=Coercer.rows) as coerced:
        records = decoder.rows(to_json(sessions).encode())
    assert [record.id for record in records] == [*range(50)]
    [call] = coerced.call_args_list
    assert [one["id"] for one in call.args[1]] == [20]


def test_new_members_that_are_not_declared_are_two_warnings_and_a_number_learnt() -> None:
    warnings = Warnings()
    decoder = Decoder(SCHEMA, ZONE, warnings=warnings)
    many = 2 * MOST_UNDECLARED
    sessions = [{**row(1), "id": number, f"new_{number}": 1} for number in range(many)]
    with listening() as said:
        for _ in range(2):
            records = decoder.finish(decoder.rows(to_json(sessions).encode()))
        warnings.report_undeclared()
    assert len(records) == many
    first, last = said
    assert first.startswith("new_0: ")
    assert last.startswith(f"The API sends {many} members that are not declared")
    assert b"new_" not in msgspec.json.encode(records)
    known = decoder._coercer.met.undeclared
    assert sum(map(len, known.values())) == MOST_UNDECLARED


def test_threads_share_what_was_met_and_what_was_warned_about() -> None:
    warnings = Warnings()
    decoder = Decoder(SCHEMA, ZONE, warnings=warnings)
    pages = [
        to_json([{**row(1), **SHAPES[name], "id": number} for number in range(100)]).encode()
        for name in SHAPES
    ]
    alone = [Decoder(SCHEMA, ZONE).rows(page) for page in pages]
    with listening() as said, ThreadPoolExecutor(8) as threads:
        accounts = [decoder.of_account(ZONE, {}) for _ in range(8)]
        jobs = [
            threads.submit(accounts[place % 8].rows, page) for place, page in enumerate(pages * 8)
        ]
        found = [job.result() for job in jobs]
    for place, records in enumerate(found):
        assert msgspec.to_builtins(records) == msgspec.to_builtins(alone[place % len(pages)])
    assert len(set(said)) == len(said)
    assert warnings.losses["integrated_campaign_data.group_id"] == 800
