"""A partner's customers that a run does not read, or by another user or clock than thought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agencies import agency, config_of, ids_by_user, rows_of
from conftest import MakeSandbox
from oracle import utc_text
from support import ZONE, Run, run_tap

from sandbox import Limits

FULL = {
    "streams": [
        {
            "tap_stream_id": "visitor_sessions",
            "replication_method": "FULL_TABLE",
            "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
        }
    ]
}


def warnings(run: Run) -> list[str]:
    return [line for line in run.stderr.splitlines() if "WARNING" in line]


@pytest.mark.parametrize("how", ["locked", "archived", "gone", "excluded", "other users"])
def test_no_bookmark_outlives_the_rows_that_a_version_drops(
    how: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([10, 20], 5)
    sandbox = make_sandbox(**agency(rows))
    plain = config_of(sandbox, lookback_window="PT0S")
    state = run_tap(plain, directory=tmp_path).state
    more: dict[str, Any] = {"emit_activate_version_messages": True}
    if how in ("locked", "archived"):
        sandbox.statuses[2] = {"locked": "debt_lock"}.get(how, how)
    elif how == "gone":
        sandbox.partner = {1: [10]}
    elif how == "excluded":
        more["exclude_customer_ids"] = [2]
    else:
        more["user_ids"] = [10]
    full = run_tap({**plain, **more}, state=state, catalog=FULL, directory=tmp_path)
    assert full.code == 0, full.stderr
    is_by_setting = how in ("excluded", "other users")
    assert len(full.of("ACTIVATE_VERSION")) == is_by_setting
    told = [line for line in warnings(full) if "ACTIVATE_VERSION is not written" in line]
    assert ["customer 2" in line for line in told] == [True] * (not is_by_setting)
    sandbox.statuses.clear()
    sandbox.partner = {1: [10], 2: [20]}
    back = run_tap(plain, state=full.state, directory=tmp_path)
    assert {user: len(ids) for user, ids in ids_by_user(back).items()} == (
        {20: 5} if is_by_setting else {}
    )


@pytest.mark.parametrize("how", ["none listed", "all excluded"])
def test_a_run_that_reads_no_customer_warns_and_drops_nothing(
    how: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10], 5)))
    config = config_of(sandbox, emit_activate_version_messages=True)
    if how == "none listed":
        sandbox.partner = {}
    else:
        config["exclude_customer_ids"] = [1]
    run = run_tap(config, catalog=FULL, directory=tmp_path)
    assert (run.code, run.records, run.of("ACTIVATE_VERSION")) == (0, [], [])
    assert any("No customer is read" in line for line in warnings(run))
    assert any("ACTIVATE_VERSION is not announced" in line for line in warnings(run))


def test_where_a_user_has_no_right_another_of_the_customer_is_read(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    own = rows_of([12, 20], 5)
    partner = {1: [10, 11, 12], 2: [20], 3: [30, 31]}
    sandbox = make_sandbox(
        sessions=0, partner=partner, rows_by_user=own, forbidden_users={10, 11, 30, 31}
    )
    config = config_of(sandbox, lookback_window="PT0S")
    run = run_tap(config, directory=tmp_path)
    assert run.code == 1
    assert {user: len(ids) for user, ids in ids_by_user(run).items()} == {12: 5, 20: 5}
    assert "customer 3" in run.stderr.splitlines()[-1]
    assert "customer 1" not in run.stderr.splitlines()[-1]
    assert sum("customer 1" in line and "read as user" in line for line in warnings(run)) == 2
    sandbox.calls.clear()
    again = run_tap(config, state=run.state, directory=tmp_path)
    assert again.records == []
    asked = [call.params["user_id"] for call in sandbox.reports]
    assert sorted(asked) == [30, 31]  # who could be read is asked first
    named = run_tap({**config, "user_ids": [10]}, directory=tmp_path)
    assert (named.code, named.records) == (1, [])


def test_the_zones_of_the_customers_are_asked_for_once_and_held_against_the_settings(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(
        **agency(rows_of([10, 20, 30], 5)),
        configuration=True,
        customer_timezones={2: "Asia/Omsk", 3: "Asia/Tokyo"},
    )
    config = config_of(sandbox, customer_timezones={"3": "Asia/Tokyo"})

    def asked() -> list[Any]:
        calls = [call.params for call in sandbox.calls if call.method == "getobj.account"]
        sandbox.calls.clear()
        return sorted(params["user_id"] for params in calls if "user_id" in params)

    run = run_tap(config, directory=tmp_path)
    assert (run.code, asked()) == (0, [10, 20, 30]), run.stderr
    for _ in range(2):
        [told] = warnings(run)
        assert "customer 2" in told
        assert "Asia/Omsk" in told
        assert "Europe/Moscow" in told
        run = run_tap(config, state=run.state, directory=tmp_path)
        assert asked() == []
    for partition in run.state["bookmarks"]["visitor_sessions"]["partitions"]:
        partition["told_timezone"][1] = "2024-01-01T00:00:00.000000Z"  # long ago
    run = run_tap(config, state=run.state, directory=tmp_path)
    assert len(asked()) == 1  # not all on one day
    sandbox.configuration = False
    run_tap(config, directory=tmp_path)
    assert len(asked()) == 1  # the first refusal


def test_a_zone_that_no_setting_gives_is_the_one_that_the_api_says_of_the_customer(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    own = rows_of([10, 20, 30], 5)
    sandbox = make_sandbox(
        **agency(own), configuration=True, customer_timezones={2: "Asia/Omsk", 3: "Asia/Tokyo"}
    )
    config = config_of(sandbox, customer_timezones={"3": "Asia/Tokyo"}, lookback_window="PT0S")
    del config["timezone"]

    def asked() -> list[Any]:
        calls = [call.params for call in sandbox.calls if call.method == "getobj.account"]
        sandbox.calls.clear()
        return sorted(params["user_id"] for params in calls if "user_id" in params)

    run = run_tap(config, directory=tmp_path)
    assert (run.code, asked()) == (0, [10, 20, 30]), run.stderr
    for user, zone in {10: ZONE, 20: "Asia/Omsk", 30: "Asia/Tokyo"}.items():
        times = {r["id"]: r["date_time"] for r in run.records if r["user_id"] == user}
        assert times == {row["id"]: utc_text(row["date_time"], zone) for row in own[user]}
    partitions = run.state["bookmarks"]["visitor_sessions"]["partitions"]
    assert {(one["timezone"], one["timezone_by"]) for one in partitions} == {
        (ZONE, "api"),
        ("Asia/Omsk", "api"),
        ("Asia/Tokyo", "setting"),
    }
    again = run_tap(config, state=run.state, directory=tmp_path)
    assert (again.code, again.records, asked()) == (0, [], [])
    # The API's answer of a later day is that of the next run: what was read is right.
    sandbox.customer_timezones[2] = "Asia/Tokyo"
    for partition in again.state["bookmarks"]["visitor_sessions"]["partitions"]:
        partition["told_timezone"][1] = "2024-01-01T00:00:00.000000Z"
    state = again.state
    for _ in range(3):  # not all on one day
        later = run_tap(config, state=state, directory=tmp_path)
        state = later.state
        assert later.records == []
        assert not [line for line in warnings(later) if "Asia" in line]
    assert sorted(asked()) == [10, 20, 30]
    [its] = [
        one
        for one in later.state["bookmarks"]["visitor_sessions"]["partitions"]
        if one["customer_id"] == 2
    ]
    assert "loaded_under" not in its
    assert its["told_timezone"][0] == "Asia/Tokyo"
    # What is no zone, as the API's answer beside a setting may be, is asked for again.
    its["told_timezone"][0] = "Nowhere/At_All"
    mended = run_tap(config, state=later.state, directory=tmp_path)
    assert (mended.code, mended.records, asked()) == (0, [], [20])
    # What needs no state says it too.
    for option, text in (("--test", "as the API says"), ("--doctor", ZONE)):
        told = run_tap(config, option, directory=tmp_path)
        assert told.code == 0, told.stderr
        assert text in told.stderr + told.stdout


@pytest.mark.parametrize("refused", ["all", "one"])
def test_a_customer_whose_zone_nobody_says_costs_no_other(
    refused: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20, 30], 5)), configuration=True)
    config = config_of(sandbox, customer_timezones={"2": ZONE}, lookback_window="PT0S")
    del config["timezone"]
    if refused == "all":
        sandbox.configuration = False
    else:
        sandbox.customer_timezones[1] = "Nowhere/At_All"
    run = run_tap(config, directory=tmp_path)
    assert run.code == 1
    read = {20} if refused == "all" else {20, 30}
    assert ids_by_user(run).keys() == read
    named = [line for line in warnings(run) if "Skipped" in line]
    assert ["customer_timezones" in line for line in named] == [True] * (3 - len(read))
    asked = [c.params for c in sandbox.calls if c.method == "getobj.account"]
    assert len([params for params in asked if "user_id" in params]) == (
        1 if refused == "all" else 3
    )
    # It has had its turn, and goes on when it is known.
    config |= {"timezone": ZONE}
    rest = run_tap(config, state=run.state, directory=tmp_path)
    assert rest.code == 0, rest.stderr
    assert ids_by_user(rest).keys() == {10, 20, 30} - read


def test_one_whose_zone_never_comes_has_its_turn_like_any_other(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20, 30], 5)), configuration=True)
    sandbox.customer_timezones[1] = "Nowhere/At_All"
    config = config_of(sandbox, lookback_window="PT0S", concurrency=1)
    del config["timezone"]
    state, read = None, set[int]()
    for _ in range(4):
        sandbox.meters.limits = Limits(day=6)  # two listings, then a zone and a report each
        sandbox.meters.new_day()
        run = run_tap(config, state=state, directory=tmp_path)
        assert run.code == 1
        state, read = run.state, read | ids_by_user(run).keys()
    assert read == {20, 30}
