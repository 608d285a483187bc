"""A partner's account: many customers, one pipeline, a bookmark for each."""

from __future__ import annotations

import copy
import itertools
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agencies import FIRST, agency, config_of, ids_by_user, rows_of
from conftest import MakeSandbox, Tally, examples
from oracle import as_emitted, utc_text
from support import ZONE, Run, check_injected, parsed, run_tap

from sandbox import Faults, Limits
from sandbox.data import make_sessions
from tap_visitor_sessions.config.schema import stream_schema


def bookmarks(state: Mapping[str, Any]) -> dict[int, str]:
    partitions = state["bookmarks"]["visitor_sessions"]["partitions"]
    return {
        p["context"]["user_id"]: p["replication_key_value"]
        for p in partitions
        if "replication_key_value" in p
    }


def check(run: Run, rows: Mapping[int, list[dict[str, Any]]], zones: Mapping[int, str]) -> None:
    """Each session of these users once, whole, in order within its user, a bookmark for each."""
    emitted = defaultdict(list)
    for record in run.records:
        emitted[record["user_id"]].append(
            {k: v for k, v in record.items() if k not in ("user_id", "customer_id")}
        )
    assert set(emitted) == {user for user in rows if rows[user]}
    for user, records in emitted.items():
        want = [as_emitted(row, zones.get(user, ZONE)) for row in rows[user]]
        want.sort(key=lambda record: (record["date_time"], record["id"]))
        assert records == want
    assert bookmarks(run.state) == {u: r[-1]["date_time"] for u, r in emitted.items()}


@pytest.mark.parametrize(
    ("faults", "concurrency"),
    [
        (Faults(reshuffle=True, short_pages=7), 1),
        (Faults(reshuffle=True, short_pages=7), 8),
        (Faults(short_pages_random=True, internal_error_rate=0.2, http_error_rate=0.2), 8),
    ],
    ids=["short, shuffled pages, one by one", "short, shuffled pages", "errors"],
)
def test_every_customer_is_read_whole_and_in_order_whatever_the_api_does(
    make_sandbox: MakeSandbox, tmp_path: Path, faults: Faults, concurrency: int
) -> None:
    partner = {number: [number * 10, number * 10 + 1] for number in range(1, 26)}
    rows = rows_of([users[0] for users in partner.values()], 20)
    sandbox = make_sandbox(sessions=0, partner=partner, rows_by_user=rows, faults=faults)
    config = config_of(sandbox, concurrency=concurrency, page_size=30, max_retries=30)
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    check(run, rows, {})
    assert {r["user_id"] // 10 for r in run.records} == {r["customer_id"] for r in run.records}
    assert sandbox.most_at_once <= concurrency
    check_injected(sandbox)


def test_small_and_large_customers_are_emitted_one_after_the_other(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    counts = {10: 3, 20: 900, 30: 0, 40: 5, 50: 400, 60: 1}
    rows = {user: rows_of([user], count)[user] for user, count in counts.items()}
    sandbox = make_sandbox(**agency(rows))
    run = run_tap(config_of(sandbox, concurrency=6, page_size=50), directory=tmp_path)
    assert run.code == 0, run.stderr
    check(run, rows, {})
    order = [user for user, _ in itertools.groupby(r["user_id"] for r in run.records)]
    assert order == [10, 20, 40, 50, 60]


def test_requests_of_different_customers_are_in_flight_together(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    users = [number * 10 for number in range(1, 25)]
    sandbox = make_sandbox(
        **agency(rows_of(users, 5)),
        faults=Faults(latency=0.1),
    )
    run = run_tap(config_of(sandbox, concurrency=6), directory=tmp_path)
    assert len(run.records) == 120
    assert sandbox.most_at_once == 6
    assert len(sandbox.reports) == 24


def test_customers_that_cannot_be_read_are_named_and_hold_up_nobody(
    make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    partner = {n: [n * 10] for n in range(1, 10)} | {10: []}
    rows = rows_of([n * 10 for n in range(1, 10)])
    sandbox = make_sandbox(
        sessions=0,
        partner=partner,
        rows_by_user=rows,
        statuses={2: "archived", 3: "debt_lock", 8: "waiting"},
        refusals={
            4: "method_component_disabled",
            5: "account_inactive",
            6: "internal_error",
            8: "forbidden",
        },
    )
    run = run_tap(config_of(sandbox, max_retries=1, concurrency=3), directory=tmp_path)
    assert run.code == 1
    check(run, {user: rows[user] for user in (10, 70, 90)}, {})
    assert {c.params["user_id"] for c in sandbox.reports}.isdisjoint({20, 30})
    for skipped in ("2 (None)", "3 (Customer 3): its status is debt_lock", "10 (Customer 10)"):
        assert (
            f"Skipped customer {skipped.replace(' (None)', ': its status is arch')}" in run.stderr
        )
    last = run.stderr.strip().splitlines()[-1]
    assert "4 of 7 customers could not be read" in last
    for number in (4, 5, 6, 8):
        assert f"customer {number} (Customer {number})" in last
        assert f"Skipped customer {number} (Customer {number})" in run.stderr
    assert "Traceback" not in run.stderr
    tally("Partner", "customers archived, locked, without a component", injected=6, ends="error")

    sandbox.refusals.clear()
    again = run_tap(config_of(sandbox, lookback_window="PT0S"), state=run.state, directory=tmp_path)
    assert again.code == 1  # 8 is still waiting, the sandbox refuses it
    assert {u for u, ids in ids_by_user(again).items() if len(ids) == 60} == {40, 50, 60}
    assert set(bookmarks(again.state)) == {10, 40, 50, 60, 70, 90}


def test_archived_and_locked_customers_alone_are_no_error(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10], 2: [20], 3: [30], 4: [40]},
        rows_by_user=rows_of([10]),
        statuses={2: "archived", 3: "manual_lock"},
        refusals={4: "method_component_disabled"},
    )
    run = run_tap(config_of(sandbox, exclude_customer_ids=[4]), directory=tmp_path)
    assert run.code == 0, run.stderr
    assert set(ids_by_user(run)) == {10}


def test_on_customer_error_fail_ends_at_the_first(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([10, 20, 30])
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10], 2: [20], 3: [30]},
        rows_by_user=rows,
        refusals={2: "method_component_disabled"},
    )
    run = run_tap(config_of(sandbox, on_customer_error="fail"), directory=tmp_path)
    assert run.code == 1
    assert "component" in run.stderr.strip().splitlines()[-1]
    check(run, {10: rows[10]}, {})


def test_an_error_of_the_account_ends_the_run_whatever_is_skipped(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    users = [n * 10 for n in range(1, 9)]
    sandbox = make_sandbox(
        **agency(rows_of(users)),
        refusals=dict.fromkeys(range(3, 9), "internal_error"),
    )
    run = run_tap(config_of(sandbox, max_retries=0, concurrency=1), directory=tmp_path)
    assert run.code == 1
    assert set(bookmarks(run.state)) == {10, 20}
    # Three in a row with an internal error: the API is down, the rest is not asked.
    assert {c.params["user_id"] for c in sandbox.reports} <= {10, 20, 30, 40, 50, 60, 70}
    sandbox.refusals = dict.fromkeys(range(3, 9), "access_token_blocked")
    run = run_tap(config_of(sandbox), directory=tmp_path)
    assert run.code == 1
    assert "blocked" in run.stderr.strip().splitlines()[-1]
    assert set(bookmarks(run.state)) == {10, 20}


def test_customers_and_users_come_and_go_between_runs(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([11, 21, 31])
    sandbox = make_sandbox(
        sessions=0, partner={1: [11], 2: [21], 3: [31]}, rows_by_user=rows, timezone=ZONE
    )
    config = config_of(sandbox, lookback_window="PT0S")
    first = run_tap(config, directory=tmp_path)
    assert first.code == 0, first.stderr
    # 1: a new user with a smaller id; 2: another in place of the one we read by; 3: gone; 4: new.
    sandbox.partner = {1: [5, 11], 2: [22], 4: [41]}
    sandbox.add(rows_of([41])[41], 41)
    for user in (5, 22):
        sandbox.add(rows[{5: 11, 22: 21}[user]], user)
    second = run_tap(config, state=first.state, directory=tmp_path)
    assert second.code == 0, second.stderr
    read = ids_by_user(second)
    assert set(read) == {41}  # 1 and 2 have been read up to the end: nothing anew
    assert len(read[41]) == 60
    assert bookmarks(second.state) == {
        **bookmarks(first.state),
        22: bookmarks(first.state)[21],
        41: bookmarks(second.state)[41],
    }
    sandbox.partner = {1: [5, 11], 3: [31]}
    seen = len(sandbox.calls)
    third = run_tap(config, state=second.state, directory=tmp_path)
    assert ids_by_user(third) == {}
    assert {call.method for call in sandbox.calls[seen:]}.isdisjoint(
        {"get.visitor_sessions_report"}
    )
    assert bookmarks(third.state) == bookmarks(second.state)


def test_user_ids_names_the_users_and_a_customer_is_read_once(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """A customer's users see the same sessions: whoever is named, it goes on from what any of
    them has read."""
    own = rows_of([11, 21])
    rows = {11: own[11], 12: own[11], 21: own[21]}
    sandbox = make_sandbox(sessions=0, partner={1: [11, 12], 2: [21]}, rows_by_user=rows)
    first = run_tap(config_of(sandbox, user_ids=[11]), directory=tmp_path)
    check(first, {11: rows[11]}, {})
    config = config_of(sandbox, user_ids=[12, 21], lookback_window="PT0S")
    both = run_tap(config, state=first.state, directory=tmp_path)
    assert {user: len(ids) for user, ids in ids_by_user(both).items()} == {21: 60}
    config = config_of(sandbox, lookback_window="PT0S")
    assert run_tap(config, state=both.state, directory=tmp_path).records == []
    twice = run_tap(config_of(sandbox, user_ids=[12, 11, 21]), directory=tmp_path)
    assert twice.code == 0
    check(twice, {11: rows[11], 21: rows[21]}, {})
    [warning] = [line for line in twice.stderr.splitlines() if "WARNING" in line]
    assert "user_ids names users 11 and 12 of customer 1 (Customer 1)" in warning
    lost = run_tap(config_of(sandbox, user_ids=[12, 99]), directory=tmp_path)
    assert lost.code == 1
    check(lost, {12: rows[12]}, {})
    assert "user 99" in lost.stderr.strip().splitlines()[-1]
    for more in ({"user_ids": [99]}, {"user_ids": [12, 99], "on_customer_error": "fail"}):
        none = run_tap(config_of(sandbox, **more), directory=tmp_path)
        assert (none.code, none.records) == (1, [])
        assert "user 99" in none.stderr or "[99]" in none.stderr


def test_zones_by_customer_and_by_user(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    users = [10, 20, 31, 40]
    rows = rows_of(users)
    partner = {1: [10], 2: [20, 21], 3: [30, 31], 4: [40]}
    sandbox = make_sandbox(sessions=0, partner=partner, rows_by_user=rows)
    config = config_of(
        sandbox,
        user_ids=users,
        customer_timezones={"2": "America/New_York", "3": "Asia/Tokyo"},
        timezones={"31": "Asia/Yekaterinburg", "40": "Asia/Tokyo"},
    )
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    zones = {20: "America/New_York", 31: "Asia/Yekaterinburg", 40: "Asia/Tokyo"}
    check(run, rows, zones)
    # What `timezones` says of a user holds for its successor, as it holds for the others.
    sandbox.partner = {**partner, 4: [41]}
    sandbox.add(rows[40], 41)
    config = {**config, "user_ids": None, "lookback_window": "PT0S"}
    again = run_tap(config, state=run.state, directory=tmp_path)
    assert (again.code, again.records) == (0, []), again.stderr
    assert "full refresh" not in again.stderr


def test_a_days_points_that_never_suffice_go_to_the_least_fresh_first(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    users = [n * 10 for n in range(1, 11)]
    rows = rows_of(users)
    sandbox = make_sandbox(
        **agency(rows),
        limits=Limits(day=7),  # two listings, five customers
    )
    state: dict[str, Any] | None = None
    for read in (5, 10):
        run = run_tap(config_of(sandbox, concurrency=1), state=state, directory=tmp_path)
        assert run.code == 1
        assert "daily API limit" in run.stderr
        state = run.state
        assert len(bookmarks(state)) == read
        sandbox.meters.new_day()


@pytest.mark.parametrize("seed", [1, 2])
def test_with_points_for_five_a_day_thirty_customers_take_turns(
    seed: int, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """After n/5 days everyone has been read, and from then on no one waits longer than that,
    whoever is silent, fails, or has had all its sessions long ago."""
    source = random.Random(seed)
    users = [n * 10 for n in range(1, 31)]
    lively = source.sample(users, 12)
    sandbox = make_sandbox(
        **agency({user: rows_of([user], 5)[user] if user in lively else [] for user in users}),
        limits=Limits(day=7),  # two listings, five customers
    )
    wait, last = 6, dict.fromkeys(users, 0)
    state: dict[str, Any] | None = None
    turns: dict[int, str] = {}
    for day in range(1, 2 * wait + 6):
        config = config_of(
            sandbox, concurrency=1, start_date="2024-05-01", end_date=f"2024-06-{day:02}"
        )
        run = run_tap(config, state=state, directory=tmp_path)
        assert run.code == 1
        assert "daily API limit" in run.stderr
        state = run.state
        partitions = state["bookmarks"]["visitor_sessions"]["partitions"]
        now = {p["context"]["user_id"]: p["read_at"] for p in partitions if "read_at" in p}
        had = [user for user in now if now[user] != turns.get(user)]
        assert len(had) == 5
        last |= dict.fromkeys(had, day)
        turns = now
        if day >= wait:
            assert min(last.values()) > day - wait, (day, last)
        sandbox.meters.new_day()
    assert {u for u in users if u in bookmarks(state or {})} == {*lively}


def test_a_customer_that_takes_more_than_a_days_points_holds_up_nobody(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """Six years at four points a day: its windows take a week, the others come in between."""
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10], 2: [20], 3: [30]},
        rows_by_user=rows_of([20, 30], 5),
        limits=Limits(day=6),
    )
    config = config_of(sandbox, concurrency=1, start_date="2018-04-30")
    state: dict[str, Any] | None = None
    read = defaultdict(int)
    for _ in range(24):
        sandbox.calls.clear()
        run = run_tap(config, state=state, directory=tmp_path)
        state = run.state
        for call in sandbox.reports:
            read[call.params["user_id"]] += call.mnemonic is None
        if run.code == 0:
            break
        sandbox.meters.new_day()
    else:
        pytest.fail("never came to an end")
    assert set(bookmarks(state)) == {20, 30}
    least = min(read.values())
    assert max(read.values()) <= 1.5 * least, read  # the look-back of each turn included


def test_customers_lists_them_as_json(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(
        sessions=0, partner={1: [11, 12], 2: [21], 3: []}, statuses={2: "limit_lock"}
    )
    config = config_of(sandbox, customer_timezones={"1": "Asia/Tokyo"})
    run = run_tap(config, "--customers", directory=tmp_path)
    assert run.code == 0, run.stderr
    listed = json.loads(run.stdout)
    assert [(c["customer_id"], c["user_id"], c["read"], c["timezone"]) for c in listed] == [
        (1, 11, True, "Asia/Tokyo"),
        (2, 21, False, ZONE),
        (3, None, False, ZONE),
    ]
    assert listed[1]["reason"] == "its status is limit_lock"
    run = run_tap({**config, "user_ids": [12]}, "--customers", directory=tmp_path)
    assert [(c["user_id"], c["read"]) for c in json.loads(run.stdout)][:1] == [(12, True)]
    plain = make_sandbox(sessions=0)
    config = {
        "access_token": plain.token,
        "api_url": plain.url,
        "start_date": "2024-05-01",
    }
    run = run_tap(config, "--customers", directory=tmp_path)
    assert run.code == 1
    assert "account_type" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "more",
    [
        {"stream_maps": {"visitor_sessions": {"site_domain_name": "site_domain_name"}}},
        {
            "batch_config": {
                "encoding": {"format": "jsonl", "compression": "none"},
                "storage": {"root": "file://{tmp}"},
                "batch_size": 50,
            }
        },
    ],
    ids=["the SDK's own path", "BATCH"],
)
def test_every_lane_reads_customers_together_and_goes_on_without_one(
    make_sandbox: MakeSandbox, tmp_path: Path, more: dict[str, Any]
) -> None:
    users = [n * 10 for n in range(1, 13)]
    rows = rows_of(users, 120)
    sandbox = make_sandbox(
        **agency(rows),
        refusals={4: "method_component_disabled"},
        faults=Faults(latency=0.05),
    )
    more = json.loads(json.dumps(more).replace("{tmp}", str(tmp_path)))
    run = run_tap(config_of(sandbox, concurrency=4, **more), directory=tmp_path)
    assert run.code == 1, run.stderr
    assert sandbox.most_at_once == 4
    records = run.records + [
        json.loads(line)
        for batch in run.of("BATCH")
        for url in batch["manifest"]
        for line in Path(url.removeprefix("file://")).read_text().splitlines()
    ]
    del rows[40]
    assert sorted(r["id"] for r in records) == sorted(r["id"] for u in rows for r in rows[u])
    last = defaultdict(str)
    for record in records:
        last[record["user_id"]] = max(last[record["user_id"]], record["date_time"])
    assert bookmarks(run.state) == {u: t.replace("+00:00", "Z") for u, t in last.items()}


def test_state_is_right_for_each_customer_at_each_moment(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """Killed after any line: what a state claims has been emitted before it."""
    users = [n * 10 for n in range(1, 31)]
    rows = rows_of(users, 1200)
    sandbox = make_sandbox(sessions=0, partner={n // 10: [n] for n in users}, rows_by_user=rows)
    few = {"exclude_columns": sorted(stream_schema()["properties"].keys() - {"id", "date_time"})}
    run = run_tap(config_of(sandbox, concurrency=8, page_size=500, **few), directory=tmp_path)
    assert run.code == 0, run.stderr
    assert len(run.of("STATE")) >= 4
    left = {user: {(utc_text(r["date_time"], ZONE), r["id"]) for r in rows[user]} for user in users}
    for message in run.messages:
        if message["type"] == "RECORD":
            record = message["record"]
            left[record["user_id"]].remove((record["date_time"], record["id"]))
        elif message["type"] == "STATE":
            for user, value in bookmarks(message["value"]).items():
                assert not [one for one in left[user] if one[0] < value]
    assert not any(left.values())


@pytest.mark.parametrize("seed", range(examples(2)))
def test_killed_anywhere_and_resumed_is_complete(
    seed: int, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    source = random.Random(seed)
    users = [n * 10 for n in range(1, 41)]
    rows = rows_of(users, 100)
    sandbox = make_sandbox(
        **agency(rows),
        faults=Faults(latency=0.02, reshuffle=True, internal_error_rate=0.1),
    )
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(sandbox, concurrency=4, page_size=40)))
    seen: set[tuple[int, int]] = set()
    state: dict[str, Any] | None = None
    kills = 0
    for _ in range(30):
        command = [sys.executable, "-m", "tap_visitor_sessions", "--config", str(config)]
        if state:
            (tmp_path / "state.json").write_text(json.dumps(state))
            command += ["--state", str(tmp_path / "state.json")]
        with (tmp_path / "stderr").open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        lines: list[bytes] = []
        stop_after = source.randrange(100, 2500) if kills < 4 else 10**9
        for line in process.stdout:
            lines.append(line)
            if len(lines) == stop_after:
                process.send_signal(source.choice([9, 9, 15]))
                kills += 1
        if not lines[-1].endswith(b"\n"):
            lines.pop()  # torn by the kill
        process.wait(60)
        stderr = (tmp_path / "stderr").read_text()
        run = parsed(process.returncode, b"".join(lines).decode(), stderr)
        seen |= {(r["user_id"], r["id"]) for r in run.records}
        if run.of("STATE"):
            state = copy.deepcopy(run.state)
        if process.returncode == 0:
            break
        assert process.returncode in (-9, 143), run.stderr
    else:
        pytest.fail("never came to an end")
    wanted = {(user, r["id"]) for user in users for r in rows[user]}
    assert kills >= 1
    check_injected(sandbox)
    tally(
        "Partner", "killed in the middle of many customers", injected=kills, lost=len(wanted - seen)
    )
    assert bookmarks(state or {}) == {
        user: max(as_emitted(r, ZONE)["date_time"] for r in rows[user]) for user in users
    }


def test_hundreds_of_small_customers_cost_a_request_each(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """As many at once as are allowed; how much faster that is `dev.py bench customers` tells."""
    users = [n * 10 for n in range(1, 61)]
    rows = rows_of(users, 50)
    sandbox = make_sandbox(
        **agency(rows),
        faults=Faults(latency=0.15),
    )
    for concurrency in (1, 8):
        sandbox.calls.clear()
        sandbox.most_at_once = 0
        run = run_tap(config_of(sandbox, concurrency=concurrency), directory=tmp_path)
        check(run, rows, {})
        assert len(sandbox.reports) == len(users)
        assert sandbox.most_at_once == concurrency


def test_a_customer_that_is_up_to_date_costs_one_request_of_its_look_back(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    end = datetime(2024, 5, 31)
    rows = {10: make_sessions(50, end=end), 20: make_sessions(50, seed=1, first_id=FIRST, end=end)}
    sandbox = make_sandbox(sessions=0, partner={1: [10], 2: [20]}, rows_by_user=rows)
    config = config_of(sandbox, end_date="2024-05-31", lookback_window="P1D")
    first = run_tap(config, directory=tmp_path)
    sandbox.calls.clear()
    run_tap(config, state=first.state, directory=tmp_path)
    for call in sandbox.reports:
        start = datetime.fromisoformat(call.params["date_from"])
        assert end - start <= timedelta(days=3)
    assert len(sandbox.reports) == 2


@pytest.mark.parametrize("before", [False, True], ids=["no catalog", "a catalog of before"])
def test_sessions_of_two_customers_whose_ids_meet_stay_apart(
    before: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """Whether ids of two customers can meet the vendor alone knows: the key keeps them apart."""
    rows = {user: make_sessions(20, seed=user, first_id=7) for user in (10, 20, 30)}
    sandbox = make_sandbox(**agency(rows))
    config = config_of(sandbox)
    catalog = None
    if before:  # as releases wrote it whose key was the id alone
        catalog = json.loads(run_tap(config, "--discover", directory=tmp_path).stdout)
        entry, _ = catalog["streams"]
        entry["key_properties"] = ["id"]
        entry["schema"]["properties"]["customer_id"]["type"] = ["integer", "null"]
        entry["schema"]["required"] = ["id", "date_time"]
        for item in entry["metadata"]:
            if item["breadcrumb"] == []:
                item["metadata"] |= {"table-key-properties": ["id"], "selected": True}
            elif item["breadcrumb"] == ["properties", "customer_id"]:
                item["metadata"] |= {"inclusion": "available", "selected": False}
    run = run_tap(config, catalog=catalog, directory=tmp_path)
    assert run.code == 0, run.stderr
    [schema] = run.of("SCHEMA")
    assert schema["key_properties"] == ["customer_id", "id"]
    assert schema["schema"]["properties"]["customer_id"]["type"] == "integer"
    table = {tuple(record[name] for name in schema["key_properties"]) for record in run.records}
    assert len(table) == len(run.records) == 60
