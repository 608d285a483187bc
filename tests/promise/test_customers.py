"""A partner's customers that a run does not read, or by another user or clock than thought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agencies import agency, config_of, ids_by_user, rows_of
from conftest import MakeSandbox
from support import Run, run_tap

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
    told = [line for line in warnings(full) if "ACTIVATE_VERSION is not announced" in line]
    assert ["customer 2" in line for line in told] == [True] * (not is_by_setting)
    sandbox.statuses.clear()
    sandbox.partner = {1: [10], 2: [20]}
    back = run_tap(plain, state=full.state, directory=tmp_path)
    assert {user: len(ids) for user, ids in ids_by_user(back).items()} == (
        {20: 5} if is_by_setting else {}
    )


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
    assert sum("Not as customer 1" in line for line in warnings(run)) == 2
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
