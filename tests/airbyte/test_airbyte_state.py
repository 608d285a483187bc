"""What `--state` may hold: Airbyte's forms, the tap's STATE, and what is of others."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from agencies import agency, rows_of
from agencies import config_of as partner_config
from airbyte_runs import NAME, read_here
from conftest import MakeSandbox
from hypothesis import given
from hypothesis import strategies as st
from support import catalog_of, config_of

from sandbox import Sandbox
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.catalog import Configured
from tap_visitor_sessions.airbyte.state import FORM, AirbyteState, read_state
from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions import Columns, StateError

SETTINGS = Settings.from_config({"access_token": "x", "start_date": "2024-01-01"})
INCREMENTAL = Configured(Columns(["id"]), is_full_refresh=False)
OWN = {
    "replication_key": "date_time",
    "replication_key_value": "2024-05-10T00:00:00Z",
    "read": [["2024-01-01T00:00:00Z", "2024-05-12T00:00:00Z"]],
}


def described(state: Any, name: str = NAME) -> dict[str, Any]:
    return {"stream_descriptor": {"name": name}, "stream_state": state}


def by_stream(state: Any, name: str = NAME) -> dict[str, Any]:
    return {"type": "STREAM", "stream": described(state, name)}


def globally(*streams: dict[str, Any], **shared: Any) -> dict[str, Any]:
    whole = {"shared_state": shared, "stream_states": list(streams)}
    return {"type": "GLOBAL", "global": whole}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


FORMS = {
    "stream": [by_stream(OWN)],
    "stream, no list": by_stream(OWN),
    "stream, no type": [{"stream": described(OWN)}],
    "with its envelope": [{"type": "STATE", "state": by_stream(OWN)}],
    "the last of several": [by_stream({}), by_stream(OWN)],
    "global": [globally(described(OWN))],
    "global, no list": globally(described(OWN)),
    "legacy": [{"type": "LEGACY", "data": {NAME: OWN}}],
    "legacy, no type": [{"data": {NAME: OWN}}],
    "legacy, bare": {NAME: OWN},
    "the tap's": {"bookmarks": {NAME: OWN}},
    "the tap's message": {"type": "STATE", "value": {"bookmarks": {NAME: OWN}}},
    "meltano's": {"singer_state": {"bookmarks": {NAME: OWN}}},
    "the tap's in a legacy one": [{"type": "LEGACY", "data": {"bookmarks": {NAME: OWN}}}],
}


def test_a_file_of_messages_has_one_a_line_or_is_json(tmp_path: Path) -> None:
    messages = [{"type": "STATE", "state": by_stream(state)} for state in ({}, OWN)]
    file = tmp_path / "state.json"
    file.write_text("".join(f"{json.dumps(one)}\n\n" for one in messages), "utf-8")
    assert read_state(str(file)) == messages
    file.write_text(json.dumps(messages, indent=1), "utf-8")
    assert read_state(str(file)) == messages
    file.write_text('{"type": 1}\n{"type"', "utf-8")
    with pytest.raises(TapError, match="is no JSON, line 2: correct it"):
        read_state(str(file))


def test_a_file_of_one_message_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "state"
    os.mkfifo(pipe)
    message = by_stream(OWN)
    writer = threading.Thread(target=pipe.write_text, args=(json.dumps(message),), daemon=True)
    writer.start()
    assert read_state(str(pipe)) == message
    writer.join()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_gone_on_from(form: str, caplog: pytest.LogCaptureFixture) -> None:
    state = AirbyteState(FORMS[form], SETTINGS, INCREMENTAL)
    assert state.progress == OWN
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([by_stream({"cursor": 1}, "calls")], ["has nothing about visitor_sessions", "calls"]),
        ([by_stream(OWN), by_stream({}, "calls")], ["holds other streams", "calls"]),
        (globally(described(OWN), described({}, "calls"), page=3), ["shared_state", "calls"]),
        ([{"type": "LEGACY", "data": {}}], ["everything from start_date on is read"]),
        ({"bookmarks": {}}, ["everything from start_date on is read"]),
        ({"bookmarks": {"calls": {"x": 1}}}, ["has nothing about visitor_sessions", "calls"]),
        ([by_stream({**OWN, "zzz": {"page": 7}})], ["members of another connector", "zzz"]),
        ([by_stream({"__ab_no_cursor_state_message": True})], ["__ab_no_cursor_state_message"]),
    ],
)
def test_what_is_of_others_is_warned_about_and_not_carried_along(
    given: Any, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    state = AirbyteState(given, SETTINGS, INCREMENTAL)
    told = "\n".join(warnings(caplog))
    assert all(word in told for word in words), told
    text = json.dumps(state.progress)
    assert not any(word in text for word in ("zzz", "calls", "page", "__ab"))


@pytest.mark.parametrize("given", [None, [], {}, [by_stream(None)], [by_stream({})]], ids=str)
def test_no_state_is_no_warning(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert AirbyteState(given, SETTINGS, INCREMENTAL).progress == {}
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "given", [OWN, [7], "x", [{"type": "STREAM", "stream": {}}], {"type": "GLOBAL", "global": 3}]
)
def test_what_is_no_state_is_refused_by_a_line_that_shows_the_form(given: Any) -> None:
    with pytest.raises(StateError) as caught:
        AirbyteState(given, SETTINGS, INCREMENTAL)
    assert FORM in str(caught.value)
    assert "\n" not in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "state", "stream", "global", "data", "bookmarks", "value", NAME),
                    *("stream_states", "stream_descriptor", "stream_state", "name", "read"),
                    *("partitions", "context", "replication_key_value", "generation_id", "zzz"),
                ]
            ),
            inner | st.just(OWN) | st.sampled_from(["STREAM", "GLOBAL", "LEGACY", NAME]),
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(given=_JSON, is_full_refresh=st.booleans(), generation=st.none() | st.integers(0, 2))
def test_whatever_it_holds_it_is_taken_or_refused_in_one_line(
    given: Any, is_full_refresh: bool, generation: int | None
) -> None:
    wanted = Configured(Columns(["id"]), is_full_refresh, generation, generation)
    try:
        state = AirbyteState(given, SETTINGS, wanted)
    except StateError as problem:
        refused = str(problem)
    else:
        refused = ""
        assert "zzz" not in state.progress
        assert (state.progress.get("full_refresh") == "running") is is_full_refresh
    assert "\n" not in refused


@given(
    its=st.none() | st.integers(0, 3),
    course=st.sampled_from([None, "running", "complete"]),
    generation=st.none() | st.integers(0, 3),
)
def test_a_full_refresh_goes_on_only_with_its_own_generation_under_way(
    its: int | None, course: str | None, generation: int | None
) -> None:
    given = {**OWN, "generation_id": its, "full_refresh": course}
    wanted = Configured(Columns(["id"]), True, generation, generation)
    state = AirbyteState([by_stream(given)], SETTINGS, wanted)
    goes_on = course == "running" and generation in (None, its)
    assert ("read" in state.progress) is goes_on
    if not goes_on:
        assert state.progress.get("generation_id") == generation


@pytest.mark.parametrize("partner", [False, True])
def test_what_a_read_writes_the_next_takes_without_a_word(
    partner: bool, make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    more: dict[str, Any] = {"partner": {1: [10]}, "sessions": 20} if partner else {"sessions": 20}
    sandbox = make_sandbox(**more)
    config = config_of(sandbox, timezone="Europe/Moscow")
    if partner:
        config["account_type"] = "partner"
    first = read_here(config, catalog_of())
    second = read_here(config, catalog_of(), first.state)
    assert (first.code, second.code) == (0, 0)
    assert warnings(caplog) == []


# A catalog of before


def test_what_a_catalog_of_long_ago_names_is_warned_about(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(sessions=20)
    schema = {"properties": {"id": {}, "channel": {}, "gone_column": {}, "account": {}}}
    catalog = catalog_of(schema, mode="full_refresh")
    catalog["streams"][0] |= {"cursor_field": ["duration"], "primary_key": [["id"], ["account"]]}
    done = read_here(config_of(sandbox), catalog)
    assert (done.code, len(done.records)) == (0, 20)
    assert {*done.records[0]} == {"id", "date_time", "channel"}
    told = "\n".join(warnings(caplog))
    for word in ("gone_column", "cursor_field ['duration']", "setting account", "primary_key"):
        assert word in told
    caplog.clear()
    catalog = catalog_of({"properties": {"id": {}, "channel": {}}})
    catalog["streams"][0]["primary_key"] = [["id"]]
    assert read_here(config_of(sandbox), catalog).code == 0
    assert warnings(caplog) == []


# What a read that fails leaves


@pytest.mark.parametrize("kind", ["customer", "partner"])
def test_a_read_that_fails_writes_a_last_state_of_all_that_it_wrote(
    kind: str, make_sandbox: MakeSandbox
) -> None:
    rows = rows_of([10, 20])
    sandbox = make_sandbox(**(agency(rows) if kind == "partner" else {"sessions": 120}))
    make = partner_config if kind == "partner" else config_of
    config = make(sandbox, page_size=25, concurrency=1, lookback_window="PT0S")

    def arrive(its: Sandbox, _: Any) -> None:
        if len(its.reports) == 3:
            its.faults.errors = {"get.visitor_sessions_report": ["access_token_blocked"]}

    sandbox.faults.arrive = arrive
    failed = read_here(config, catalog_of())
    kinds = [one["type"] for one in failed.messages]
    assert failed.code == 1
    assert 0 < len(failed.records) < min(120, airbyte_source.STATE_RECORDS)
    assert "RECORD" not in kinds[kinds.index("STATE") :]
    sandbox.faults.arrive = None
    rest = read_here(config, catalog_of(), failed.state)
    assert rest.code == 0
    ids = {one["id"] for one in [*failed.records, *rest.records]}
    its = [row for one in rows.values() for row in one] if kind == "partner" else sandbox.rows()
    assert ids == {row["id"] for row in its}
    assert len(failed.records) + len(rest.records) == len(ids)
