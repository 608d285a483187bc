"""Stream maps: refused at start where that can be told, one line where it cannot."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Run, config_of, run_tap

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.singer.tap import TapVisitorSessions

NO_FAKER = pytest.mark.skipif(
    importlib.util.find_spec("faker") is not None, reason="faker is installed here"
)


def mapped(column: str = "city", expression: Any = None, **more: Any) -> dict[str, Any]:
    return {"stream_maps": {"visitor_sessions": {column: expression}}, **more}


def error_line(run: Run) -> str:
    assert run.code == 1, run.stderr
    assert "Traceback" not in run.stderr
    [line] = [line for line in run.stderr.splitlines() if "ERROR" in line]
    return line


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    (mapped("city", "md5(visitor_city"), ["visitor_sessions.city", "cannot be parsed"]),
    (mapped("city", "x = 1"), ["visitor_sessions.city", "not one expression"]),
    (mapped("city", "1; 2"), ["visitor_sessions.city", "not one expression"]),
    (mapped("city", " visitor_city"), ["visitor_sessions.city", "cannot be parsed"]),
    (mapped("city", ""), ["visitor_sessions.city"]),
    (mapped("city", "\0"), ["visitor_sessions.city", "cannot be parsed"]),
    (mapped("city", "(" * 400 + ")" * 400), ["visitor_sessions.city", "cannot be parsed"]),
    (mapped("city", "vistor_city"), ["visitor_sessions.city", "vistor_city"]),
    (mapped("city", "sha1(visitor_city)"), ["visitor_sessions.city", "sha1"]),
    (mapped("city", "visitor_city()"), ["visitor_sessions.city", "function visitor_city"]),
    (mapped("city", "self"), ["visitor_sessions.city", "self"]),
    (mapped("city", "lambda: 1"), ["visitor_sessions.city", "Lambda"]),
    (mapped("city", "_['nope']"), ["visitor_sessions.city", "no column 'nope'"]),
    (mapped("city", "record['nope']"), ["visitor_sessions.city", "no column 'nope'"]),
    (mapped("city", "config['salt']"), ["visitor_sessions.city", "stream_map_config", "salt"]),
    (mapped("city", 5), ["visitor_sessions.city", "expression"]),
    (mapped("city", ["md5"]), ["visitor_sessions.city", "expression"]),
    (mapped("city", True), ["visitor_sessions.city", "expression"]),
    (mapped("id", None), ["'id'"]),
    (mapped("__filter__", "no_such == 1"), ["visitor_sessions.__filter__", "no_such"]),
    (mapped("__filter__", "((("), ["visitor_sessions.__filter__", "cannot be parsed"]),
    (mapped("__filter__", 1), ["visitor_sessions.__filter__"]),
    (mapped("__filter__", None), ["visitor_sessions.__filter__"]),
    (mapped("__key_properties__", ["nope"]), ["nope"]),
    (mapped("__key_properties__", "id"), ["visitor_sessions.__key_properties__", "a list"]),
    (mapped("__key_properties__", [1]), ["visitor_sessions.__key_properties__", "a list"]),
    (mapped("__else__", "drop"), ["visitor_sessions.__else__", "__NULL__"]),
    (mapped("__fliter__", "1"), ["visitor_sessions.__fliter__", "no option"]),
    ({"stream_maps": {"__else__": "drop"}}, ["__else__"]),
    ({"stream_maps": {"visitor_sessions": "drop"}}, ["visitor_sessions"]),
    ({"stream_maps": {"visitor_sessions": ["city"]}}, ["visitor_sessions"]),
    ({"stream_maps": {"visitor_*": {"city": "nope"}}}, ["visitor_*.city", "nope"]),
    (
        {"stream_maps": {"copy": {"__source__": "visitor_sessions", "city": "nope"}}},
        ["copy.city", "nope"],
    ),
    (
        {"flattening_enabled": True, "flattening_max_depth": None},
        ["flattening_max_depth"],
    ),
    (
        {"flattening_enabled": True, "flattening_max_depth": 2, "flattening_max_key_length": 1},
        ["flattening_enabled", "Duplicate column"],
    ),
    ({"faker_config": {"sed": 1}}, ["faker_config", "sed"]),
    ({"faker_config": {"locale": 1}}, ["faker_config", "locale"]),
]


@pytest.mark.parametrize(("more", "words"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_a_map_that_cannot_work_is_refused_by_name(more: dict[str, Any], words: list[str]) -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", **more}
    with pytest.raises(TapError) as caught:
        TapVisitorSessions(config=config)
    message = str(caught.value)
    assert next(iter(more)) in message
    for word in words:
        assert word in message
    assert "\n" not in message
    assert len(message) < 500


@NO_FAKER
@pytest.mark.parametrize(
    "more", [mapped("city", "fake.city()"), {"faker_config": {"seed": 1}}], ids=["map", "config"]
)
def test_faker_that_is_missing_is_named_by_its_extra(more: dict[str, Any]) -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", **more}
    with pytest.raises(TapError, match=r"install tap-visitor-sessions\[faker\]"):
        TapVisitorSessions(config=config)


def test_a_refused_map_makes_no_request_and_one_line(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=5)
    run = run_tap(config_of(sandbox, **mapped("city", "md5(visitor_city")), directory=tmp_path)
    assert "stream_maps: visitor_sessions.city" in error_line(run)
    assert not sandbox.calls
    assert not run.messages


@pytest.mark.parametrize(
    ("column", "expression", "words"),
    [
        ("city", "1 / (id - id)", ["visitor_sessions.city", "ZeroDivisionError"]),
        ("city", "visitor_city + id", ["visitor_sessions.city", "TypeError"]),
        ("city", "int(visitor_city)", ["visitor_sessions.city", "ValueError"]),
        ("city", "md5(id)", ["visitor_sessions.city", "AttributeError"]),
        ("city", "record[visitor_city]", ["visitor_sessions.city", "KeyError"]),
        ("city", "visitor_city.nope", ["visitor_sessions.city", "nope"]),
        ("city", "datetime.nope", ["visitor_sessions.city", "nope"]),
        ("city", "hits[99999]", ["visitor_sessions.city", "IndexError"]),
        ("city", "visitor_city.encode('utf-8')", ["visitor_sessions.city", "bytes"]),
        ("city", "float('nan')", ["visitor_sessions.city", "float"]),
        ("city", "9 ** 9 ** 9", ["visitor_sessions.city"]),
        ("__filter__", "id / 0 > 1", ["visitor_sessions.__filter__", "ZeroDivisionError"]),
    ],
)
def test_what_fails_on_a_record_is_one_line_that_names_map_and_column(
    column: str, expression: str, words: list[str], make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=5)
    run = run_tap(config_of(sandbox, **mapped(column, expression)), directory=tmp_path)
    assert run.code == 1
    assert not run.records
    lines = [line for line in run.stderr.splitlines() if "Setting stream_maps: " in line]
    assert lines
    for word in words:
        assert word in lines[-1]


@pytest.mark.parametrize("column", ["visitor_id", "hits"])
def test_a_text_for_a_column_of_another_type_is_refused_with_what_works(
    column: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=5)
    config = config_of(sandbox, **mapped(column, "md5(str(visitor_id))"))
    run = run_tap(config, directory=tmp_path)
    line = error_line(run)
    assert not run.records
    assert f"stream_maps: visitor_sessions.{column}: " in line
    assert "write `str(md5(str(visitor_id)))`" in line
    assert not any(str(row["visitor_id"]) in line for row in sandbox.rows())
    run = run_tap(
        config_of(sandbox, **mapped(column, "str(md5(str(visitor_id)))")), directory=tmp_path
    )
    assert run.code == 0, run.stderr
    [schema] = [message for message in run.messages if message["type"] == "SCHEMA"]
    assert "string" in schema["schema"]["properties"][column]["type"]
    assert all(len(record[column]) == 32 for record in run.records)


def test_maps_that_work(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=40)
    maps = {
        "visitor_sessions": {
            "visitor_ip_address": "md5(config['salt'] + visitor_ip_address)",
            "site_id": "__NULL__",
            "visitor_city": "self.upper() if self else None",
            "utms": "[value for value in (utm_source, _['utm_medium']) if value]",
            "day": "datetime.datetime.fromisoformat(date_time[:19]).date().isoformat()",
            "whose": "__stream_name__ + str(id)",
            "__filter__": "bool(id % 2 == 0)",
        }
    }
    config = config_of(sandbox, stream_maps=maps, stream_map_config={"salt": "x"})
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    rows = {row["id"]: row for row in sandbox.rows() if row["id"] % 2 == 0}
    assert {record["id"] for record in run.records} == rows.keys()
    for record in run.records:
        address = rows[record["id"]]["visitor_ip_address"]
        assert record["visitor_ip_address"] == hashlib.md5(f"x{address}".encode()).hexdigest()
        assert "site_id" not in record
        assert record["day"] == record["date_time"][:10]


@pytest.mark.parametrize(
    "expression", ["md5(config['salt'])", "int(config['salt'][0])", "int(visitor_ip_address)"]
)
def test_an_exception_shows_no_value_that_is_to_be_hidden(
    expression: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=5)
    more = mapped("city", expression, stream_map_config={"salt": ["s3cr3t"]})
    run = run_tap(config_of(sandbox, **more), directory=tmp_path)
    assert run.code == 1
    # The traceback that follows is the command line's to leave out.
    [line, *_] = [line for line in run.stderr.splitlines() if "Setting stream_maps: " in line]
    for hidden in ("s3cr3t", *(row["visitor_ip_address"] for row in sandbox.rows())):
        assert hidden not in line


PARTS = [
    ("x", "int(referrer)"),
    ("x", "int(referrer[3:])"),
    ("x", "int(referrer.upper())"),
    ("x", "int(referrer.split('=')[-1])"),
    ("x", "float(referrer + 'x')"),
    ("x", "record[referrer]"),
    ("x", "md5(str(int(referrer * 2)))"),
    ("x", "datetime.datetime.fromisoformat(referrer)"),
    ("referrer", "int(self)"),
    ("__filter__", "int(referrer[:30]) > 1"),
]


@given(
    st.sampled_from(PARTS),
    st.booleans(),
    st.one_of(
        st.from_regex(r"[a-z]{7,12}@[a-z]{6,9}\.test=[a-z]{8,90}", fullmatch=True),
        st.text(st.characters(categories=["L", "P", "S"], codec="utf-8"), min_size=12).map(
            lambda text: f"{text}={text}"
        ),
    ),
)
@settings(max_examples=150, deadline=None)
def test_no_six_characters_of_a_value_are_shown(
    one: tuple[str, str], taken_out: bool, value: str
) -> None:
    column, expression = one
    mapping = {column: expression}
    if taken_out:
        mapping.setdefault("referrer", "__NULL__")
    config = {"access_token": "x", "start_date": "2024-05-01"}
    tap = TapVisitorSessions(config={**config, "stream_maps": {"visitor_sessions": mapping}})
    [made] = tap.mapper.stream_maps["visitor_sessions"]
    with pytest.raises(TapError) as caught:
        made.transform({"id": 1, "referrer": value})
    said = str(caught.value)
    assert f"visitor_sessions.{column}: " in said
    assert re.search(r"\w+(Error|Exception|Exist)\b", said)
    shown = said.replace(expression, "").lower()
    for text in {value, value.upper()}:
        parts = {text[at : at + 6].lower() for at in range(len(text) - 5)}
        assert not [part for part in parts if part in shown]


def test_what_a_filter_gives_is_no_value_in_the_log_of_any_level(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=5)
    config = config_of(sandbox, **mapped("__filter__", "visitor_ip_address"))
    env = {"TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG"}
    run = run_tap(config, directory=tmp_path, env=env)
    assert run.code == 0, run.stderr
    assert len(run.records) == 5
    for row in sandbox.rows():
        assert row["visitor_ip_address"] not in run.stderr


@given(st.text(max_size=30))
@settings(max_examples=examples(200), deadline=None)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    config = {"access_token": "x", "start_date": "2024-05-01", **mapped("city", text)}
    try:
        TapVisitorSessions(config=config)
    except TapError as refused:
        assert re.match("Setting stream_maps: visitor_sessions(.city: |: city )", str(refused))  # noqa: PT017
