"""STATE: what a hand may do to it, and what a run makes of what it says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from hypothesis import given
from hypothesis import strategies as st
from oracle import utc_text
from support import ZONE, Run, config_of, run_tap

from sandbox import Limits, Sandbox, make_sessions
from tap_visitor_sessions.sessions.bookmarks.bookmarks import Bookmarks, union
from tap_visitor_sessions.sessions.bookmarks.state import (
    FIX,
    StateError,
    bookmarks_of,
    partitions_of,
    write_bookmarks,
)
from tap_visitor_sessions.singer.state import check_state, read_state

UTC = timezone.utc
MARK, FUTURE = "2024-05-20T10:00:00Z", "2099-01-01T00:00:00Z"
PLAIN = {"bookmarks": {"visitor_sessions": {"replication_key_value": MARK}}}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def state_of(progress: Any) -> dict[str, Any]:
    return {"bookmarks": {"visitor_sessions": progress}}


# A file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(PLAIN), 0),
        ("\ufeff" + json.dumps(PLAIN, indent=2), 0),
        (json.dumps({"type": "STATE", "value": PLAIN}), 1),
        (json.dumps({"singer_state": PLAIN}), 1),
        (json.dumps({"type": "STATE", "value": {"singer_state": PLAIN}}), 2),
        (json.dumps({"completed": {"singer_state": PLAIN}, "partial": {}}), 2),
        ('{"bookmarks": {}}\n\n' + json.dumps(PLAIN) + "\n", 1),
        ('{"type": "RECORD"}\n' + json.dumps({"type": "STATE", "value": PLAIN}), 2),
    ],
)
def test_a_state_is_taken_out_of_whatever_it_is_wrapped_in(text: str, said: int) -> None:
    state, notes, warnings = read_state(text, "the state")
    assert state == PLAIN
    assert (len(notes), warnings) == (said, [])


LATER = {"bookmarks": {"visitor_sessions": {"replication_key_value": FUTURE}, "other": 1}}
TAKEN = "the state is a record of Meltano's state backend: its states are taken"
UNWRAPPED = "the state is wrapped in singer_state, as Meltano does: taken out of it"


@pytest.mark.parametrize(
    ("text", "state", "notes"),
    [
        ("{}", {}, []),
        ('{"bookmarks": {}, "value": 1}', {"bookmarks": {}, "value": 1}, []),
        (
            "{}\n\n[]\n" + json.dumps(PLAIN) + "\n",
            PLAIN,
            ["the state has 3 lines: the last is taken"],
        ),
        (
            json.dumps({"type": "STATE", "value": PLAIN}),
            PLAIN,
            ["the state is a whole STATE message: its value is taken"],
        ),
        (json.dumps({"singer_state": PLAIN}), PLAIN, [UNWRAPPED]),
        (json.dumps({"completed": PLAIN}), PLAIN, [TAKEN]),
        (json.dumps({"partial": PLAIN}), PLAIN, [TAKEN]),
        (json.dumps({"completed": PLAIN, "partial": LATER}), LATER, [TAKEN]),
        (json.dumps({"completed": LATER, "partial": None}), LATER, [TAKEN]),
        (
            json.dumps({"completed": LATER, "partial": {"singer_state": {"singer_state": PLAIN}}}),
            {"bookmarks": {**LATER["bookmarks"], **PLAIN["bookmarks"]}},
            [TAKEN, UNWRAPPED, UNWRAPPED],
        ),
    ],
)
def test_what_was_done_with_a_state_is_logged(
    text: str, state: dict[str, Any], notes: list[str]
) -> None:
    assert read_state(text, "the state") == (state, notes, [])


MEMBERS = {"c": 1, "a": 1, "b": 1, "f": 1, "e": 1, "d": 1, "value": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "The file is no JSON"),
        ("XX{}", "The file is no JSON"),
        ("{}\n{", "The last line of The file is no JSON"),
        ("[1]", "The file is not an object but a list"),
        (
            '{"completed": {"bookmarks": {}}, "partial": 5}',
            "The file is not an object but a number",
        ),
        ('{"type": "RECORD"}', "The file holds a RECORD message, no STATE"),
        ('{"type": "STATE"}', "The file holds a STATE message, no STATE"),
        (json.dumps(MEMBERS), "The file has no member bookmarks, but a, b, c, d, e"),
    ],
)
def test_kinds_of_what_is_no_state_are_told_apart(text: str, said: str) -> None:
    with pytest.raises(StateError) as caught:
        read_state(text, "The file")
    assert str(caught.value) == f"{said}: {FIX}"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"bookmarks": 5}, "The state's bookmarks is not an object but a number"),
        (state_of("x"), "The state's bookmarks.visitor_sessions is not an object but a text"),
    ],
)
def test_a_member_of_another_kind_is_reported(state: dict[str, Any], said: str) -> None:
    with pytest.raises(StateError) as caught:
        check_state(state, is_partner=False)
    assert str(caught.value) == f"{said}: {FIX}"


def test_a_state_of_other_streams_is_warned_about() -> None:
    others = {name: {} for name in "fedcba"}
    assert check_state({"bookmarks": others}, is_partner=False) == [
        "The state has nothing about visitor_sessions, only of a, b, c, d, e: everything from "
        "start_date on is read"
    ]


@pytest.mark.parametrize("text", ["", " \n\t\n", "\ufeff", "null"])
def test_no_state_is_warned_about(text: str) -> None:
    state, _, [warning] = read_state(text, "the state file s.json")
    assert state == {}
    assert "s.json" in warning
    assert "start_date" in warning


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"bookmarks": {}}\n{"bookm',
        "[]",
        "5",
        '"x"',
        '{"type": "RECORD", "stream": "x", "record": {}}',
        '{"visitor_sessions": "2024-05-01"}',
        '{"singer_state": 5}',
        '{"type": "STATE", "value": []}',
    ],
)
def test_what_is_no_state_is_named(text: str) -> None:
    with pytest.raises(StateError, match=r"s\.json.*without a state"):
        read_state(text, "The state file s.json")


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_a_state_or_an_error_that_names_it(text: str) -> None:
    said = ""
    try:
        state, _, warnings = read_state(text, "The state file")
        assert state == {} or "bookmarks" in state
    except StateError as problem:
        said, warnings = str(problem), []
    assert all("he state file" in told for told in [*warnings, said] if told)


# What it says


@pytest.mark.parametrize(
    "value",
    [
        1714521600,
        1714521600.5,
        True,
        "01.05.2024 00:00",
        "2024/05/01 10:00:00",
        "2024-05",
        "2024-13-01T00:00:00Z",
        "now",
        "0001-01-01T00:00:00Z",
        "1969-12-29T23:59:59Z",
        "9999-99-99",
        ["2024-05-01T00:00:00Z"],
        {},
        "2024-05-01T00:00:00+99:00",
    ],
)
def test_a_bookmark_that_is_no_time_is_named(value: Any) -> None:
    with pytest.raises(StateError, match="bookmark"):
        check_state(state_of({"replication_key_value": value}), is_partner=False)
    partition = {"context": {"user_id": 1}, "replication_key_value": value}
    with pytest.raises(StateError, match="bookmark"):
        check_state(state_of({"partitions": [partition]}), is_partner=True)


@pytest.mark.parametrize(
    "text",
    [
        MARK,
        "2024-05-20 10:00:00",
        "2024-05-20T10:00:00",
        "2024-05-20T13:00:00+03:00",
        "2024-05-20T13:00:00.654321+03",
        "2024-05-20T10:00Z",
        " 2024-05-20t10:00:00z\n",
        "2024-05-20 10:00:00 +00:00",
        "2024-05-20 13:00 +0300",
        "2024-05-20T10:00:00.123456789 Z",
    ],
)
def test_a_bookmark_is_read_as_what_it_says(text: str) -> None:
    found = bookmarks_of({"replication_key_value": text}).bookmark
    assert found == datetime(2024, 5, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "state",
    [
        {"bookmarks": []},
        state_of([]),
        state_of({"partitions": {"user_id": 1}}),
        state_of({"partitions": [5]}),
        state_of({"partitions": [{"replication_key_value": MARK}]}),
        state_of({"partitions": [{"context": {"user_id": 1}}, {"context": {"user_id": 1}}]}),
        state_of({"read": [[MARK]]}),
        state_of({"read": [["x", MARK]]}),
        state_of({"read": {"from": MARK}}),
    ],
)
def test_a_state_of_another_form_is_an_error(state: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="start without a state"):
        check_state(state, is_partner=True)


@given(json_values, st.booleans())
def test_any_progress_is_taken_or_is_an_error_that_names_the_state(
    progress: Any, is_partner: bool
) -> None:
    for state in (state_of(progress), {"bookmarks": progress}, state_of({"read": progress})):
        said = "state"
        try:
            check_state(state, is_partner=is_partner)
        except StateError as problem:
            said = str(problem)
        assert "state" in said


@pytest.mark.parametrize(
    ("state", "is_partner", "said"),
    [
        ({"bookmarks": {"orders": {"replication_key_value": "x"}}}, False, "orders"),
        (PLAIN, True, "not of a partner's"),
        (
            state_of({"partitions": [{"context": {"user_id": 1}, "replication_key_value": MARK}]}),
            False,
            "not of a customer's",
        ),
        (
            state_of({"replication_key_value": "2099-01-01T00:00:00Z"}),
            False,
            "2099-01-01T00:00:00Z",
        ),
    ],
)
def test_what_would_be_passed_over_is_warned_about(
    state: dict[str, Any], is_partner: bool, said: str
) -> None:
    [warning] = check_state(state, is_partner=is_partner)
    assert said in warning


def test_a_state_that_is_right_is_warned_of_nothing() -> None:
    for state in ({}, {"bookmarks": {}}, PLAIN, {"bookmarks": {"visitor_sessions": {}}}):
        assert check_state(state, is_partner=False) == []


def test_a_state_of_another_account_is_refused() -> None:
    ours = state_of({"account": "shop", "replication_key_value": MARK})
    assert check_state(ours, is_partner=False, account="shop") == []
    for other in ("agency", None):
        with pytest.raises(StateError, match="'shop'"):
            check_state(ours, is_partner=False, account=other)
    # Rows without the column would stay beside the same sessions with it.
    with pytest.raises(StateError, match="without the setting account, now 'shop'"):
        check_state(PLAIN, is_partner=False, account="shop")


instants = st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1)).map(
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)


@given(
    st.none() | instants,
    st.lists(st.tuples(instants, instants), max_size=3),
    st.dictionaries(st.sampled_from(["x", "context", "customer_id"]), st.integers()),
)
def test_bookmarks_survive_being_written_and_strangers_stay(
    bookmark: datetime | None, spans: list[tuple[datetime, datetime]], others: dict[str, int]
) -> None:
    bookmarks = Bookmarks(bookmark, union(spans), "2024-05-01T00:00:00.000001Z")
    progress: dict[str, Any] = dict(others)
    write_bookmarks(progress, bookmarks)
    assert bookmarks_of(json.loads(json.dumps(progress))) == bookmarks
    assert others.items() <= progress.items()


def test_partitions_of_others_are_kept_and_passed_over() -> None:
    state = {"partitions": [{"context": {"region": "x"}}, {"context": {"user_id": 7}}]}
    assert [one.user_id for one in partitions_of(state)] == [7]


# In runs


def since(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def recent(make_sandbox: MakeSandbox, count: int = 200, **options: Any) -> Sandbox:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    rows = make_sessions(count, start=now - timedelta(days=20), end=now - timedelta(days=10))
    return make_sandbox(rows=rows, timezone="UTC", **options)


def spans_of(run: Run) -> list[list[str]]:
    spans: list[list[str]] = run.state["bookmarks"]["visitor_sessions"]["read"]
    return spans


MODES = ["RECORD", "maps", "BATCH"]


def in_mode(mode: str, folder: Path) -> dict[str, Any]:
    storage = {"root": f"file://{folder}"}
    return {
        "RECORD": {},
        "maps": {"stream_maps": {"visitor_sessions": {"more": "str(id)"}}},
        "BATCH": {"batch_config": {"encoding": {"format": "jsonl"}, "storage": storage}},
    }[mode]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_state_in_error_ends_before_any_request_in_every_mode(
    mode: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox()
    for value in (17, "0001-01-01T00:00:00Z", "05/2024"):
        config = config_of(sandbox, **in_mode(mode, tmp_path))
        state = state_of({"replication_key": "date_time", "replication_key_value": value})
        run = run_tap(config, state=state, directory=tmp_path)
        assert (run.code, run.messages) == (1, [])
        [line] = errors(run)
        assert "bookmark" in line
    assert sandbox.calls == []


def warnings_of(run: Run) -> str:
    return "\n".join(line for line in run.stderr.splitlines() if "| WARNING" in line)


def errors(run: Run) -> list[str]:
    assert "Traceback" not in run.stderr
    return [line for line in run.stderr.splitlines() if "| ERROR" in line or "CRITICAL" in line]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_an_account_gone_silent_costs_one_request_a_run(
    mode: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    rows = make_sessions(50, start=now - timedelta(days=900), end=now - timedelta(days=800))
    for held in (rows, []):
        sandbox = make_sandbox(rows=held, timezone="UTC")
        config = config_of(sandbox, start_date=since(1000), **in_mode(mode, tmp_path))
        del config["end_date"]
        first = run_tap(config, directory=tmp_path)
        assert first.code == 0, first.stderr
        assert len(sandbox.reports) > 9
        before = len(sandbox.reports)
        again = run_tap(config, state=first.state, directory=tmp_path)
        assert again.code == 0, again.stderr
        assert len(sandbox.reports) == before + 1
        assert again.records == []
        bookmarks = again.state["bookmarks"]["visitor_sessions"]
        want = max((utc_text(r["date_time"], "UTC") for r in held), default=None)
        assert bookmarks.get("replication_key_value") == want


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[:2])
def test_start_date_moved_to_an_earlier_day_is_read_first_and_can_be_cut(
    mode: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = recent(make_sandbox, limits=Limits())
    config = config_of(
        sandbox, start_date=since(12), page_size=20, concurrency=1, **in_mode(mode, tmp_path)
    )
    config["lookback_window"] = "PT0S"
    del config["end_date"]
    first = run_tap(config, directory=tmp_path)
    some = {r["id"] for r in first.records}
    assert 0 < len(some) < 200
    config["start_date"] = since(30)
    state, seen = first.state, list[int]()
    for points in (6, 6, 100):
        sandbox.meters.limits = Limits(day=points)
        sandbox.meters.new_day()
        run = run_tap(config, state=state, directory=tmp_path)
        order = [(r["date_time"], r["id"]) for r in run.records]
        assert order == sorted(order)
        seen += [r["id"] for r in run.records]
        assert run.bookmark == first.bookmark
        state = run.state
        assert run.code == (0 if points == 100 else 1)
    assert {*seen} == {r["id"] for r in sandbox.rows()} - some
    assert len(seen) - len({*seen}) < 20  # a second at the cut, perhaps; no page twice
    assert len(spans_of(run)) == 1
    # And moved on to a later day: nothing is read again, what was read is remembered.
    config["start_date"] = since(5)
    later = run_tap(config, state=state, directory=tmp_path)
    assert later.records == []
    assert spans_of(later)[0][0] == spans_of(run)[0][0]


@pytest.mark.slow
def test_a_span_that_asks_for_nothing_new_is_warned_about(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = recent(make_sandbox)
    config = config_of(sandbox, start_date=since(30))
    del config["end_date"]
    first = run_tap(config, directory=tmp_path).check()
    early = run_tap({**config, "end_date": since(15)}, state=first.state, directory=tmp_path)
    assert early.code == 0
    assert "end_date" in warnings_of(early)
    future = run_tap({**config, "start_date": since(-3)}, state=first.state, directory=tmp_path)
    assert [
        line for line in future.stderr.splitlines() if "WARNING" in line and "start_date" in line
    ]
    assert (early.records, future.records) == ([], [])
    assert early.bookmark == future.bookmark == first.bookmark


@pytest.mark.slow
def test_a_bookmark_in_the_future_is_warned_about_once(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = recent(make_sandbox)
    config = config_of(sandbox, start_date=since(30), lookback_window="P30D")
    del config["end_date"]
    state = state_of(
        {"replication_key": "date_time", "replication_key_value": "2099-01-01T00:00:00Z"}
    )
    first = run_tap(config, state=state, directory=tmp_path).check()
    assert len(first.records) == 200
    assert first.bookmark < since(0)
    assert FUTURE in first.stderr
    again = run_tap(config, state=first.state, directory=tmp_path).check()
    assert warnings_of(again) == ""


@pytest.mark.slow
def test_what_was_in_flight_and_not_written_does_not_count(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = recent(make_sandbox, 600, limits=Limits(day=16))
    config = config_of(sandbox, start_date=since(30), page_size=20, concurrency=8)
    del config["end_date"]
    run = run_tap(config, directory=tmp_path)
    assert run.code == 1
    [[start, end]] = spans_of(run)
    emitted = {r["id"] for r in run.records}
    for row in sandbox.rows():
        at = utc_text(row["date_time"], "UTC")
        if start <= at < end:
            assert row["id"] in emitted
    [summary] = [line for line in run.stderr.splitlines() if "Summary" in line]
    assert f"read up to {end}" in summary


@pytest.mark.slow
def test_state_of_a_named_account(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=20)
    run = run_tap(config_of(sandbox, account="shop"), directory=tmp_path).check()
    assert run.state["bookmarks"]["visitor_sessions"]["account"] == "shop"
    other = run_tap(config_of(sandbox, account="b"), state=run.state, directory=tmp_path)
    assert (other.code, other.messages) == (1, [])
    assert len(errors(other)) == 1


# ACTIVATE_VERSION


def full_table(sandbox: Sandbox, directory: Path) -> dict[str, Any]:
    catalog: dict[str, Any] = json.loads(
        run_tap(config_of(sandbox), "--discover", directory=directory).stdout
    )
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] == []:
            item["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
    return catalog


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[:2])
def test_a_version_is_activated_after_a_complete_read_only(
    mode: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=300, limits=Limits(day=6))
    catalog = full_table(sandbox, tmp_path)
    config = config_of(
        sandbox, emit_activate_version_messages=True, page_size=50, **in_mode(mode, tmp_path)
    )
    cut = run_tap(config, catalog=catalog, directory=tmp_path)
    assert cut.code == 1
    assert cut.records
    assert cut.of("ACTIVATE_VERSION") == []
    sandbox.meters.limits = Limits()
    whole = run_tap(config, catalog=catalog, directory=tmp_path).check()
    kinds = [m["type"] for m in whole.messages]
    [message] = whole.of("ACTIVATE_VERSION")
    assert kinds.index("ACTIVATE_VERSION") > max(
        place for place, kind in enumerate(kinds) if kind == "RECORD"
    )
    assert {m["version"] for m in whole.of("RECORD")} == {message["version"]}
    assert warnings_of(whole) == ""
    later = config | {"start_date": "2024-05-20T00:00:00"}
    smaller = run_tap(later, state=whole.state, catalog=catalog, directory=tmp_path).check()
    warning = warnings_of(smaller)
    assert "ACTIVATE_VERSION" in warning
    assert "2024-04-30T21:00:00Z" in warning
    assert utc_text("2024-05-20 00:00:00", ZONE) == spans_of(smaller)[0][0]
    again = run_tap(later, state=smaller.state, catalog=catalog, directory=tmp_path).check()
    assert warnings_of(again) == ""


@pytest.mark.slow
def test_what_a_version_has_dropped_is_read_again(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=300)
    config = config_of(
        sandbox, emit_activate_version_messages=True, lookback_window="PT0S", page_size=100
    )
    whole = run_tap(config, directory=tmp_path).check()
    ends_earlier = config | {"end_date": "2024-05-20T00:00:00"}
    catalog = full_table(sandbox, tmp_path)
    kept = run_tap(ends_earlier, state=whole.state, catalog=catalog, directory=tmp_path).check()
    assert len(kept.of("ACTIVATE_VERSION")) == 1
    dropped = {r["id"] for r in whole.records} - {r["id"] for r in kept.records}
    assert dropped
    again = run_tap(config, state=kept.state, directory=tmp_path).check()
    assert {r["id"] for r in again.records} == dropped
    assert again.bookmark == whole.bookmark


@pytest.mark.slow
def test_no_version_with_batch(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    config = config_of(
        make_sandbox(), emit_activate_version_messages=True, **in_mode("BATCH", tmp_path)
    )
    run = run_tap(config, directory=tmp_path)
    assert (run.code, run.messages) == (1, [])
    assert "emit_activate_version_messages" in errors(run)[0]


@pytest.mark.slow
def test_no_version_of_a_partner_of_whom_a_customer_failed(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = {user: make_sessions(20, seed=user, first_id=user * 100) for user in (10, 20)}
    sandbox = make_sandbox(sessions=0, partner={1: [10], 2: [20]}, rows_by_user=rows)
    catalog = full_table(sandbox, tmp_path)
    config = config_of(
        sandbox, account_type="partner", timezone=ZONE, emit_activate_version_messages=True
    )
    sandbox.refusals[2] = "method_component_disabled"
    failed = run_tap(config, catalog=catalog, directory=tmp_path)
    assert failed.code == 1
    assert failed.of("ACTIVATE_VERSION") == []
    sandbox.refusals.clear()
    assert len(run_tap(config, catalog=catalog, directory=tmp_path).of("ACTIVATE_VERSION")) == 1
