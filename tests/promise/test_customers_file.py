"""A list of customers that is handed on: what a run then asks the API, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from agencies import agency, config_of, ids_by_user, rows_of
from conftest import MakeSandbox
from support import run_tap


def listing(config: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    run = run_tap(config, "--customers", directory=folder)
    assert run.code == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def test_a_run_with_the_list_of_another_costs_its_reports_and_no_more(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20, 30], 5)), configuration=True)
    config = config_of(sandbox)
    whole = run_tap(config, directory=tmp_path)
    rows = listing(config, tmp_path)
    assert {row["app_id"] for row in rows} == {"1"}
    file = tmp_path / "customers.json"
    file.write_text(json.dumps(rows[1:]))
    before = len(sandbox.calls)
    part = run_tap({**config, "customers_file": str(file)}, directory=tmp_path)
    assert part.code == 0, part.stderr
    all_ids = ids_by_user(whole)
    assert ids_by_user(part) == {user: all_ids[user] for user in (20, 30)}
    others = [call for call in sandbox.calls[before:] if "date_from" not in call.params]
    # The zones of its customers, once.
    assert {(call.method, call.params.get("user_id")) for call in others} == {
        ("getobj.account", 20),
        ("getobj.account", 30),
    }
    before = len(sandbox.calls)
    again = run_tap({**config, "customers_file": str(file)}, state=part.state, directory=tmp_path)
    assert again.code == 0
    assert len(sandbox.calls) - before == len(sandbox.reports) - (len(sandbox.reports) - 2)


def test_the_list_says_whose_account_it_is(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(**agency(rows_of([10], 5)), configuration=True)
    config = config_of(sandbox)
    state = run_tap(config, directory=tmp_path).state
    file = tmp_path / "customers.json"
    rows = listing(config, tmp_path)
    file.write_text(json.dumps([row | {"app_id": "2"} for row in rows]))
    state["bookmarks"]["visitor_sessions"].pop("credential")
    run = run_tap({**config, "customers_file": str(file)}, state=state, directory=tmp_path)
    assert run.code == 1
    assert "app_id 1" in run.stderr
    assert "app_id 2" in run.stderr
    # Of a list that does not say it the API is asked.
    file.write_text(json.dumps([{"customer_id": 1, "user_id": 10}]))
    run = run_tap({**config, "customers_file": str(file)}, state=state, directory=tmp_path)
    assert run.code == 0, run.stderr


def test_all_users_of_the_list_may_stand_in_and_the_locked_are_not_read(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([10, 11, 20], 5)
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10, 11], 2: [20]},
        rows_by_user=rows,
        statuses={2: "debt_lock"},
        forbidden_users=[10],
    )
    config = config_of(sandbox)
    file = tmp_path / "customers.json"
    file.write_text(json.dumps(listing(config, tmp_path)))
    run = run_tap({**config, "customers_file": str(file)}, directory=tmp_path)
    assert run.code == 0, run.stderr
    assert set(ids_by_user(run)) == {11}
    assert "its status is debt_lock" in run.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("no JSON", "is no JSON"),
        ("{}", "not what --customers prints"),
        ('[{"user_id": 1}]', "not what --customers prints"),
        ('[{"customer_id": "secret-ish"}]', "not what --customers prints"),
        ("[]", "lists no customer"),
    ],
)
def test_a_file_that_cannot_work_is_refused_before_any_request(
    content: str | None, says: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10], 1)))
    file = tmp_path / "customers.json"
    if content is not None:
        file.write_text(content)
    run = run_tap({**config_of(sandbox), "customers_file": str(file)}, directory=tmp_path)
    assert run.code == 1
    assert "customers_file" in run.stderr
    assert says in run.stderr
    assert "secret-ish" not in run.stderr
    assert not sandbox.calls
    plain = {**config_of(sandbox), "customers_file": str(file), "account_type": "customer"}
    assert "only for account_type partner" in run_tap(plain, directory=tmp_path).stderr
