"""`stream_maps` that name a stream or a column that does not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import run_tap

from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.singer.maps import dropped_maps, likely_slips, unknown_names
from tap_visitor_sessions.singer.tap import TapVisitorSessions

STREAM, SCHEMA = "visitor_sessions", stream_schema()
COLUMNS = list(SCHEMA["properties"])
CONFIG = {"access_token": "x", "start_date": "2024-05-01", "api_url": "http://127.0.0.1:9/"}


def problems(stream_maps: Any) -> list[str]:
    return unknown_names({"stream_maps": stream_maps}, STREAM, SCHEMA)


def slips(stream_maps: Any) -> list[str]:
    return likely_slips({"stream_maps": stream_maps}, STREAM, SCHEMA)


@pytest.mark.parametrize(
    "stream_maps",
    [
        None,
        {},
        {"visitor_sessions": {"visitor_ip_address": "md5(visitor_ip_address)"}},
        {"visitor_sessions": {"visitor_ip_address": None, "gclid": "__NULL__"}},
        {"visitor_sessions": {"hash": "md5(gclid)", "gclid": None}},
        {"visitor_sessions": None},
        {"visitor_sessions": "__NULL__"},
        {"visitor_*": {"gclid": None}},
        {"*": {"gclid": None}, "__else__": None},
        {"hashed": {"__source__": "visitor_sessions", "gclid": None}},
        {"visitor_sessions": {"__alias__": "sessions", "__else__": None, "id": "id"}},
        {"visitor_sessions": {"__filter__": None, "__key_properties__": None}},
    ],
)
def test_maps_of_what_is_there(stream_maps: Any) -> None:
    assert problems(stream_maps) == []
    assert slips(stream_maps) == []


@pytest.mark.parametrize(
    ("stream_maps", "named"),
    [
        ({"visitor_session": {"gclid": "md5(gclid)"}}, ["visitor_session: there is no such"]),
        ({"visitor_session": None}, ["visitor_session: there is no such"]),
        ({"Visitor_Sessions": {}}, ["Visitor_Sessions: there is no such"]),
        ({"visits_*": {}, "visitor_sessions": {}}, ["visits_*: there is no such"]),
        ({"a": {"__source__": "b"}}, ["a: there is no stream b, the tap's stream is visitor_sess"]),
        ({"visitor_sessions": {"visiter_id": None}}, ["visiter_id.*did you mean visitor_id?"]),
        ({"visitor_*": {"visiter_id": "__NULL__"}}, ["visiter_id.*did you mean visitor_id?"]),
        ({"visitor_sessions": {"hits.hit_url": None}}, ["hits.hit_url is to be removed"]),
        ({"a": {}, "visitor_sessions": {"b": None}}, ["a: there is no such", "b is to be removed"]),
    ],
)
def test_maps_of_what_is_not_there_are_named(stream_maps: Any, named: list[str]) -> None:
    found = problems(stream_maps)
    assert len(found) == len(named)
    for line, text in zip(found, named, strict=True):
        assert all(part in line for part in text.split(".*")), line


def test_a_new_column_that_is_called_almost_as_another_is_warned_about() -> None:
    slip = {"visitor_sessions": {"visitor_ip_adress": "md5(visitor_ip_address)"}}
    assert slips(slip) == [
        "visitor_sessions: visitor_ip_adress is a new column; visitor_ip_address goes out as it is"
    ]
    slip["visitor_sessions"]["visitor_ip_address"] = "__NULL__"
    assert slips(slip) == []


@given(
    name=st.text(min_size=1, max_size=20).filter(lambda name: name[:2] != "__"),
    removed=st.text(min_size=1, max_size=20).filter(lambda name: name[:2] != "__"),
)
def test_no_removal_and_no_stream_is_passed_over(name: str, removed: str) -> None:
    if not set(name) & set("*?["):
        assert bool(problems({name: {}})) is (name != STREAM)
    assert bool(problems({STREAM: {removed: None}})) is (removed not in COLUMNS)


@pytest.mark.parametrize(
    ("stream_maps", "named"),
    [
        ({"visitor_session": {"gclid": "md5(gclid)"}}, "stream_maps: visitor_session: "),
        ({"visitor_sessions": {"visiter_id": None}}, "visiter_id is to be removed"),
    ],
)
def test_such_a_map_ends_the_run_before_any_request(
    tmp_path: Path, stream_maps: Any, named: str
) -> None:
    run = run_tap({**CONFIG, "stream_maps": stream_maps}, directory=tmp_path)
    assert (run.code, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.count(named) == 1


def test_a_column_that_the_catalog_leaves_out_may_be_removed(tmp_path: Path) -> None:
    catalog = {
        "streams": [
            {
                "tap_stream_id": STREAM,
                "schema": SCHEMA,
                "metadata": [
                    {"breadcrumb": [], "metadata": {"selected": False}},
                    {"breadcrumb": ["properties", "gclid"], "metadata": {"selected": False}},
                ],
            }
        ]
    }
    config = {**CONFIG, "stream_maps": {STREAM: {"gclid": None}}}
    run = run_tap(config, catalog=catalog, directory=tmp_path)
    assert run.code == 0, run.stderr


@given(
    names=st.lists(
        st.sampled_from([STREAM, "*", "visitor_*", "visitor_session?", "[v]*"]), unique=True
    ),
    removes=st.booleans(),
)
def test_no_map_of_the_stream_is_dropped_for_another(names: list[str], removes: bool) -> None:
    found = dropped_maps({"stream_maps": {name: None if removes else {} for name in names}}, STREAM)
    assert bool(found) is (len(names) > 1)
    assert all(name in line for line in found for name in names)
    copies = {name: {"__source__": STREAM} for name in names}
    assert dropped_maps({"stream_maps": copies}, STREAM) == []


@pytest.mark.parametrize(
    ("stream_maps", "named"),
    [
        (
            {"*": {"visitor_ip_address": None}, STREAM: {"x": "str(id)"}},
            "*, visitor_sessions: each maps visitor_sessions",
        ),
        ({STREAM: {"gclid": None}, "visitor_*": None}, "visitor_sessions, visitor_*: each maps"),
        ({STREAM: {"__source__": STREAM, "gclid": None}}, "visitor_sessions: with __source__"),
        ({STREAM: {"__source__": "visitor_*", "gclid": None}}, "visitor_sessions: with __source__"),
        ({"*": {"__source__": "*", "gclid": None}}, "*: with __source__"),
        ({"*": {"__alias__": "a"}, "a": {"__source__": STREAM}}, "a: with __source__"),
    ],
)
def test_maps_that_would_drop_or_double_end_the_run_before_any_request(
    tmp_path: Path, stream_maps: Any, named: str
) -> None:
    run = run_tap({**CONFIG, "stream_maps": stream_maps}, directory=tmp_path)
    assert (run.code, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.count(f"stream_maps: {named}") == 1


@pytest.mark.parametrize(
    "stream_maps",
    [
        {"hashed": {"__source__": STREAM, "gclid": None}, STREAM: None},
        {"a": {"__source__": STREAM}, "b": {"__source__": STREAM}},
        {STREAM: {"__source__": STREAM, "gclid": None}, "__else__": None},
    ],
)
def test_copies_of_other_names_are_taken(stream_maps: Any) -> None:
    TapVisitorSessions(config={**CONFIG, "stream_maps": stream_maps})
