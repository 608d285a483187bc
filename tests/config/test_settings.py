"""Settings: the same however they come, refused by name where they cannot work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from conftest import MakeSandbox, examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from setting_values import PREFIX, value_of
from support import config_of, run_tap

from tap_visitor_sessions.api.errors import ConfigError, TapError
from tap_visitor_sessions.config import environment
from tap_visitor_sessions.config.dates import Moment, parse_duration
from tap_visitor_sessions.config.parsing import kind_of, plain
from tap_visitor_sessions.config.schema import ADDED
from tap_visitor_sessions.config.settings import (
    PROPERTIES,
    SCHEMA,
    SENSITIVE,
    Settings,
    SettingsError,
    normalized,
    unknown,
)
from tap_visitor_sessions.config.validation import core_settings, problems
from tap_visitor_sessions.singer.tap import TapVisitorSessions

T = TypeVar("T")
BASE = {"access_token": "x", "start_date": "2024-05-01"}


def spellings(name: str) -> list[Any]:
    """A value as JSON, and as the texts that a person would write."""
    value = value_of(name)
    match kind_of(PROPERTIES[name]):
        case "integer":
            texts = [str(value), f" {value} ", f"{value}.0"]
            return [value, float(value), Decimal(f"{value}.0"), *texts]
        case "number":
            return [value, Decimal(str(value)), str(value), f" {value} "]
        case "boolean":
            return [value, "true", "True", "TRUE", "1", "yes", "on", 1]
        case "array":
            items = [str(item) for item in value]
            return [value, items, json.dumps(value), ",".join(items), ", ".join(items)]
        case "object":
            return [value, json.dumps(value), f" {json.dumps(value, indent=1)} "]
        case _:
            return [value] if name in SENSITIVE else [value, f" {value} ", f"{value}\n"]


Way = Callable[[str, Any, Path, pytest.MonkeyPatch], dict[str, Any]]


def by_file(name: str, value: Any, folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    path = folder / "config.json"
    path.write_text(json.dumps({name: value}, default=float))
    return {"config": TapVisitorSessions.cb_config(None, None, (str(path),)).config}  # type: ignore[arg-type]


def by_two_files(
    name: str, value: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    by_file(name, value, folder, monkeypatch)
    (folder / "first.json").write_text(json.dumps({"api_url": "https://a.example", name: None}))
    paths = (str(folder / "first.json"), str(folder / "config.json"))
    return {"config": TapVisitorSessions.cb_config(None, None, paths).config}  # type: ignore[arg-type]


def by_environment(
    name: str, value: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.setenv(PREFIX + name.upper(), value)
    return {"parse_env_config": True}


def by_dotenv(name: str, value: Any, folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    (folder / ".env").write_text(f"# ours\n{PREFIX}{name.upper()}='{escaped}'\nOTHER=x\n")
    return {"parse_env_config": True}


WAYS: dict[str, Way] = {
    "file": by_file,
    "files": by_two_files,
    "environment": by_environment,
    ".env": by_dotenv,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROPERTIES)
def test_every_setting_is_the_same_in_every_way(
    name: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = value_of(name)
    assert wanted != PROPERTIES[name].get("default")
    for spelling in spellings(name):
        if way in ("environment", ".env") and not isinstance(spelling, str):
            continue
        with monkeypatch.context() as patch:
            given_as = WAYS[way](name, spelling, tmp_path, patch)
            tap = TapVisitorSessions(**given_as, validate_config=False, setup_mapper=False)
        got = tap.config[name]
        assert (got, type(got)) == (wanted, type(wanted)), spelling
    assert f"{PREFIX}{name.upper()}" not in os.environ


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROPERTIES)
def test_what_is_empty_or_null_is_not_set(
    name: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for empty in ("", "  ", None):
        if empty is None and way in ("environment", ".env"):
            continue
        with monkeypatch.context() as patch:
            given_as = WAYS[way](name, empty, tmp_path, patch)
            tap = TapVisitorSessions(**given_as, validate_config=False, setup_mapper=False)
        assert name not in tap.config
    missing = [line for line in problems({**BASE, name: ""}) if line.startswith(f"{name}: ")]
    assert bool(missing) == (name in BASE)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_value_of_the_wrong_kind_is_refused_by_name_and_no_secret_shown(name: str) -> None:
    kind = kind_of(PROPERTIES[name])
    wrong: list[Any] = [{"integer": "s3cr", "number": "s3cr", "boolean": "s3cr"}.get(kind, 7331)]
    if kind != "object":
        wrong.append({"s3cr": 7331})
    if kind in ("array", "object"):
        wrong.append("[[7331]]")
    if kind == "object" or PROPERTIES[name].get("items", {}).get("type") == "integer":
        wrong.append("{s3cr")
    for value in wrong:
        if kind == "array" and value == 7331:
            continue  # a list of one
        clean, [line] = normalized({**BASE, name: value})
        assert line.startswith(f"{name}: must be ")
        assert "\n" not in line
        assert name not in clean
        if name in SENSITIVE:
            assert "s3cr" not in line
            assert "7331" not in line


@pytest.mark.parametrize("name", PROPERTIES)
def test_bounds_and_choices_are_kept(name: str) -> None:
    schema = PROPERTIES[name]
    beyond: list[Any] = []
    if "minimum" in schema:
        beyond.append(schema["minimum"] - 1)
    if "exclusiveMinimum" in schema:
        beyond += [schema["exclusiveMinimum"], "nan", "inf", "-1"]
    if "maximum" in schema:
        beyond += [schema["maximum"] + 1, "9" * 25]
    if "enum" in schema:
        beyond.append("hope")
    if "maxLength" in schema:
        beyond.append("x" * (schema["maxLength"] + 1))
    for value in beyond:
        _, [line] = normalized({**BASE, name: value})
        assert line.startswith(f"{name}: must be ")
        for choice in schema.get("enum", ()):
            assert choice in line


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=False)
    | st.text(),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(), items, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*PROPERTIES, "other"]), JSON, max_size=4))
@settings(max_examples=examples(300))
def test_whatever_comes_is_read_or_refused_by_name(config: dict[str, Any]) -> None:
    found = problems(config)
    for line in found:
        assert line.partition(":")[0].partition(".")[0] in PROPERTIES
        assert "\n" not in line
    clean, _ = normalized(config)
    assert normalized(clean)[0] == clean or "nan" in repr(clean).lower()
    if not found:
        read = Settings.from_config(config)
        assert read.lookback.total_seconds() >= 0
        assert read.start.value
        assert read.end is None or read.end.value


@given(JSON)
def test_no_decimal_is_left(value: Any) -> None:
    def walk(item: Any) -> None:
        assert not isinstance(item, Decimal)
        for inner in item.values() if isinstance(item, dict) else item or ():
            if isinstance(inner, dict | list | Decimal):
                walk(inner)

    read = plain([value])
    walk(read)


# Dates

GOOD = {
    "2024-05-31": (datetime(2024, 5, 31), True),
    "2024-05-31T08:00": (datetime(2024, 5, 31, 8), False),
    "2024-05-31 08:00:07": (datetime(2024, 5, 31, 8, 0, 7), False),
    "2024-05-31T08:00:07.999": (datetime(2024, 5, 31, 8, 0, 7), False),
    "2024-05-31T08:00:07Z": (datetime(2024, 5, 31, 8, 0, 7, tzinfo=timezone.utc), False),
    "2024-05-31t08:00:07z": (datetime(2024, 5, 31, 8, 0, 7, tzinfo=timezone.utc), False),
    "2024-05-31T08:00:07+0300": (datetime(2024, 5, 31, 5, 0, 7, tzinfo=timezone.utc), False),
    "2024-05-31 08:00+14:00": (datetime(2024, 5, 30, 18, tzinfo=timezone.utc), False),
    "2024-05-31T08:00-03": (datetime(2024, 5, 31, 11, tzinfo=timezone.utc), False),
    "1970-01-01": (datetime(1970, 1, 1), True),
    "2024-02-29": (datetime(2024, 2, 29), True),
}
BAD = """now|today|yesterday|3 days ago|10:00|2024/05/01|01.05.2024|2024-05|2024|2024-130|2024-W05
2024-W05-1|20240501|20240501T000000|1714521600|1714521600000|P1D|2024-05-01/P1D|2024-5-1|2024-13-01
2024-02-30|2023-02-29|1969-12-31|0001-01-01|0000-01-01|10000-01-01|+02024-05-01|2024-05-01T24:00:00
2024-05-01T23:59:60|2024-05-01T10|2024-05-01Z|2024-05-01T10:00+14:01|2024-05-01T10:00-15:00
2024-05-01T10:00+99:99|2024-05-01T10:00+03:60|2024-05-01T10:00 Europe/Moscow|２０２４-05-01
2024-05-01T10:00:00,|-2024-05-01|2024-05-01T""".replace("\n", "|").split("|")


@pytest.mark.parametrize("text", GOOD)
def test_a_date_is_read_as_written(text: str) -> None:
    moment = Moment.parse("end_date", f" {text} ")
    assert (moment.value, moment.is_day) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_what_is_no_date_is_refused_by_name(name: str, text: str) -> None:
    config = {**BASE, name: text}
    [line] = problems(config)
    assert line.startswith(f"{name}: ")


def read_or_refused(setting: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ConfigError as refused:
        problem = refused
    assert problem.setting == setting
    assert "\n" not in str(problem)
    return None


@given(
    st.text()
    | st.datetimes(min_value=datetime(1, 1, 1)).map(str)
    | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
    | st.from_regex(r"\A\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d)?)?\Z")
)
@example("9999-12-31")
@example("9999-12-31T23:59:59-14:00")
@example("1970-01-01T00:00:00+14:00")
@settings(max_examples=examples(500))
def test_any_text_is_a_moment_or_an_error_that_names_the_setting(text: str) -> None:
    moment = read_or_refused("start_date", lambda: Moment.parse("start_date", text))
    if moment is None:
        return
    assert moment == Moment.parse("start_date", text)
    assert datetime(1970, 1, 1) <= moment.value.replace(tzinfo=None) < datetime(9999, 12, 31)
    assert moment.value.tzinfo in (None, timezone.utc)
    again = Moment.parse("start_date", moment.value.isoformat())
    assert again.value == moment.value or moment.value.year == 9999
    assert moment.value <= moment.through().value < moment.value + timedelta(days=1)


@given(st.text() | st.from_regex(r"\AP(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?\Z"))
@settings(max_examples=examples(500))
def test_any_text_is_a_duration_or_an_error_that_names_the_setting(text: str) -> None:
    duration = read_or_refused("lookback_window", lambda: parse_duration("lookback_window", text))
    if duration is None:
        return
    assert timedelta(0) <= duration.as_timedelta() <= timedelta(days=3660)
    assert datetime(2024, 5, 1, tzinfo=timezone.utc) - duration  # no overflow


@pytest.mark.parametrize("text", ["P1D", "PT6H", "P1M", "P1Y", "P10Y", "P2W", "P1W2D", "PT0S"])
def test_durations_that_are_read(text: str) -> None:
    assert problems({**BASE, "lookback_window": text}) == []


@pytest.mark.parametrize("text", ["1", 1, "a day", "-P1D", "P", "PT", "P1", "P11Y", "P99999999D"])
def test_what_is_no_duration_is_refused_by_name(text: Any) -> None:
    [line] = problems({**BASE, "lookback_window": text})
    assert line.startswith("lookback_window: ")


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        ("2024-05-01", "2024-05-01", True),
        ("2024-05-02", "2024-05-01", False),
        ("2024-05-01T10:00:00", "2024-05-01", True),
        ("2024-05-01T10:00:00Z", "2024-05-01T09:59:59Z", False),
        ("2024-05-01T10:00:00Z", "2024-05-01T12:59:59+03:00", False),
        ("2024-05-01T10:00:00Z", "2024-05-01T08:00:00", True),  # in a zone west of Greenwich
        ("2024-05-05T10:00:00Z", "2024-05-01", False),
    ],
)
def test_an_end_before_the_start_is_refused(start: str, end: str, fits: bool) -> None:
    found = problems({**BASE, "start_date": start, "end_date": end})
    assert found == ([] if fits else ["end_date: earlier than start_date"])


def test_the_end_is_the_last_second_of_a_day_and_nothing_of_the_future() -> None:
    read = Settings.from_config({**BASE, "end_date": "2024-05-31"})
    assert read.end is not None
    assert read.end.value == datetime(2024, 5, 31, 23, 59, 59)
    for text in ("9999-12-31", "2999-01-01T00:00:00Z"):
        assert Settings.from_config({**BASE, "end_date": text}).end is None


# The rest


def test_an_unknown_setting_is_warned_about_with_the_nearest(tmp_path: Path) -> None:
    assert unknown(PROPERTIES) == []
    assert unknown(["strat_date", "Page-Size", "zzz"]) == [
        "strat_date: unknown: did you mean start_date?",
        "Page-Size: unknown: did you mean page_size?",
        "zzz: unknown",
    ]
    run = run_tap({**BASE, "concurency": 3}, "--discover", directory=tmp_path)
    assert run.code == 0
    [line] = [line for line in run.stderr.splitlines() if "WARNING" in line]
    assert "concurency: unknown: did you mean concurrency?" in line


@pytest.mark.parametrize("name", ["exclude_columns", "hash_columns"])
@pytest.mark.parametrize(
    "value", [5, {"a": 1}, [5], "[channel", [["a"]], [""], [None], ["channel", " "], '[""]', ","]
)
def test_what_is_no_list_of_names_is_reported_with_its_spelling(name: str, value: Any) -> None:
    [line] = problems({**BASE, "hash_key": "k" * 20, name: value})
    assert line.startswith(f'{name}: must be a list of names such as ["channel", "hits"]')
    assert "in the environment channel,hits" in line
    assert normalized({**BASE, name: "channel, hits,"})[0][name] == ["channel", "hits"]


@pytest.mark.parametrize("column", sorted({*ADDED, "id", "date_time"}))
def test_a_column_of_the_streams_own_is_not_hashed_and_is_named_as_there(column: str) -> None:
    [line] = problems({**BASE, "hash_key": "k" * 20, "hash_columns": [column]})
    assert f"hash_columns: {column} is the stream's own" in line
    assert "stays as it is" in line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("exclude_column", "exclude_columns"),
        ("Exclude-Columns", "exclude_columns"),
        ("excluded_columns", "exclude_columns"),
        ("hash_column", "hash_columns"),
        ("hashkey", "hash_key"),
        ("stream_map", "stream_maps"),
    ],
)
def test_a_misspelt_setting_that_keeps_values_from_leaving_is_an_error(
    name: str, meant: str
) -> None:
    line = f"{name}: unknown: did you mean {meant}?"
    assert problems({**BASE, name: ["visitor_id"]}) == [line]
    with pytest.raises(SettingsError, match=meant):
        core_settings({**BASE, name: ["visitor_id"]})
    assert problems({**BASE, name: None}) == []
    assert problems({**BASE, "concurency": 3}) == []


def test_the_tap_ends_by_one_line_for_it_and_discovers_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}EXCLUDE_COLUMN", "visitor_id")
    text = "exclude_column: unknown: did you mean exclude_columns?"
    run = run_tap(BASE, "--config=ENV", directory=tmp_path)
    assert run.code == 1
    assert [text in line for line in run.stderr.splitlines()].count(True) == 1
    run = run_tap(BASE, "--config=ENV", "--discover", directory=tmp_path)
    assert run.code == 0
    assert [text in line for line in run.stderr.splitlines()].count(True) == 1


def test_settings_of_singer_are_named_where_another_host_passes_them_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core_settings({**BASE, "stream_maps": {"*": {"gclid": None}}, "flattening_enabled": True})
    maps, flattening = [record.getMessage() for record in caplog.records]
    assert "stream_maps: of the Singer tap alone" in maps
    assert "exclude_columns or hash_columns" in maps
    assert "flattening_enabled: of the Singer tap alone" in flattening
    caplog.clear()
    core_settings({**BASE, "stream_maps": None})
    assert not caplog.records


def test_the_environment_goes_before_dotenv_and_a_misspelled_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["PAGE_SIZE=5", "CONCURRENCY=6", "MAX_RETRIES=7", "STRAT_DATE=2024-05-01", "LOGLEVEL=X"]
    text = "".join(f"{PREFIX}{line}\n" for line in lines)
    (tmp_path / ".env").write_text(text, encoding="utf-8-sig")
    monkeypatch.setenv(f"{PREFIX}PAGE_SIZE", "50")
    monkeypatch.setenv(f"{PREFIX}CONCURRENCY", "")
    tap = TapVisitorSessions(parse_env_config=True, validate_config=False, setup_mapper=False)
    known = {name: tap.config[name] for name in ("page_size", "concurrency", "max_retries")}
    assert known == {"page_size": 50, "concurrency": 6, "max_retries": 7}
    assert unknown(tap.config) == ["strat_date: unknown: did you mean start_date?"]
    assert f"{PREFIX}MAX_RETRIES" not in os.environ


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ab${HOME}cd", "ab${HOME}cd"),
        ("'ab${HOME}cd'", "ab${HOME}cd"),
        ('"ab${HOME}cd"', "ab${HOME}cd"),
        ("ab$cd", "ab$cd"),
        ("${NOT_SET:-x}", "${NOT_SET:-x}"),
        ("'ab cd#ef'", "ab cd#ef"),
        ("'unclosed", None),
    ],
)
def test_dotenv_means_what_is_written(
    line: str,
    wanted: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"a line of no form\n{PREFIX}PASSWORD={line}\n")
    with caplog.at_level("INFO", "tap-visitor-sessions.settings"):
        if wanted is None:
            with pytest.raises(TapError, match=r"\.env, line 2 cannot be read"):
                environment.texts(PREFIX, PROPERTIES, {})
            return
        assert environment.texts(PREFIX, PROPERTIES, {}) == {"password": wanted}
    [said] = caplog.messages
    assert str(tmp_path / ".env") in said
    assert wanted not in said


def test_that_a_dotenv_is_read_is_logged_in_a_run(tmp_path: Path) -> None:
    lines = [f"{PREFIX}{name.upper()}={value}" for name, value in BASE.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, ""]))
    command = [sys.executable, "-m", "tap_visitor_sessions", "--config=ENV", "--discover"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = rf"INFO .*\| {re.escape(str(tmp_path / '.env'))} is read: it has 2 of the variables"
    assert re.search(said, done.stderr)


def test_several_problems_are_one_line_and_discovery_minds_none(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=1)
    config = config_of(sandbox, page_size="s", start_date="", on_daily_limit="hope")
    run = run_tap(config, directory=tmp_path)
    assert (run.code, sandbox.calls, run.messages) == (1, [], [])
    [line] = [line for line in run.stderr.splitlines() if "ERROR" in line]
    for name in ("page_size", "start_date", "on_daily_limit"):
        assert f"{name}: " in line
    assert run_tap(config, "--discover", directory=tmp_path).code == 0


def test_the_sdk_adds_no_setting_of_its_own() -> None:
    schema: dict[str, Any] = {}
    TapVisitorSessions.append_builtin_config(schema)
    assert schema["properties"].keys() < PROPERTIES.keys()


def test_the_schema_says_what_the_struct_says() -> None:
    assert SCHEMA["required"] == ["start_date"]
    for name, schema in PROPERTIES.items():
        assert schema["title"], name
        assert schema["description"], name
    default = Settings.from_config(BASE)
    for name, schema in PROPERTIES.items():
        if "default" in schema:
            assert getattr(default, name) == schema["default"]
    assert {name for name, schema in PROPERTIES.items() if schema.get("secret")} == {
        "access_token",
        "hash_key",
        "password",
    }
    assert "x" not in repr(default).replace("https", "").replace("example", "")


@pytest.mark.parametrize(
    ("start", "end", "zone", "fails"),
    [
        ("2024-05-10T12:00:00", "2024-05-10T08:00:00Z", "Europe/Moscow", True),
        ("2024-05-10T12:00:00", "2024-05-10T09:00:00Z", "Europe/Moscow", False),
        ("2024-05-10T12:00:00Z", "2024-05-10T14:59:59", "Europe/Moscow", True),
        ("2024-10-27T00:50:00Z", "2024-10-27T02:30:00", "Europe/Berlin", False),  # twice: the last
        ("2024-05-10T12:00:00", "2024-05-10T08:00:00Z", None, False),  # not known yet
    ],
)
def test_an_end_before_the_start_is_named_once_both_are_instants(
    start: str, end: str, zone: str | None, fails: bool
) -> None:
    config = {"access_token": "x", "start_date": start, "end_date": end, "timezone": zone}
    assert problems(config) == ["end_date: earlier than start_date"] * fails


@pytest.mark.parametrize("name", PROPERTIES)
def test_half_of_a_character_is_named_by_its_setting(name: str) -> None:
    """JSON can write it, and no bytes are sent for it."""
    for half in ("x\ud800", ["\udfff"], {"a": {"\ud800": 1}}):
        lines = problems({**BASE, name: half})
        assert [line for line in lines if line.startswith(f"{name}: holds half of a character")]
    [line] = problems({**BASE, "\ud800": 1})
    assert "half of a character" in line


KEY = "qo4bq7cpiwu3gr9jiopmzzwrl0s9m0i1wzxcvyzr"


@pytest.mark.parametrize(
    "name", ["start_date", "end_date", "timezone", "lookback_window", "page_size", "user_ids"]
)
def test_a_key_in_the_place_of_another_setting_is_not_shown(name: str) -> None:
    """As when two values are swapped: nothing says that it is one but its look."""
    for text in (KEY, f"Bearer {KEY}", KEY.upper()):
        lines = problems({**BASE, "access_token": "2024-05-01", name: text})
        assert any(line.startswith(name) for line in lines)
        assert not any(KEY[at : at + 6] in line.lower() for line in lines for at in range(34))
    [line] = problems({**BASE, name: f"x{BASE['access_token'] * 8}"[:8]})
    assert "'" in line  # what cannot be a key helps to find the slip


@pytest.mark.parametrize("end", ["?key=secret", "#secret", "\nINFO forged", "\x1b[31m", " x"])
def test_api_url_is_an_address_and_no_more(end: str) -> None:
    [line] = problems({**BASE, "api_url": f"https://dataapi.example/v2.0{end}"})
    assert line == "api_url: must not hold ?, #, blanks or control characters"
    assert not problems({**BASE, "api_url": "https://dataapi.example/v2.0\n"})
