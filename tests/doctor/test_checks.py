"""The check command: each line ok, or its fix; and what --test tells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import Run, run_tap

from sandbox import Faults, Limits, Sandbox
from sandbox.data import make_sessions
from tap_visitor_sessions.doctor import NAMES, Check

SPAN = {"start_date": "2024-05-01"}


def lines_of(run: Run) -> dict[str, tuple[str, str]]:
    """Mark and text by name."""
    found = {}
    for line in run.stdout.splitlines():
        hit = re.fullmatch(r"(ok|WARN|FAIL|--) +(\S+(?: \S+)?) {2,}(.*)", line)
        assert hit, line
        found[hit[2]] = (hit[1], hit[3])
    assert next(iter(found)) == "settings"
    return found


def test_a_check_is_one_line_whatever_is_in_it() -> None:
    line = str(Check("host", True, "a\nok   key\x1b[31m\u202eb"))
    assert line.isprintable()


def recent(count: int = 30) -> list[dict[str, Any]]:
    from datetime import datetime, timedelta

    now = datetime.now().replace(microsecond=0)
    return make_sessions(count, start=now - timedelta(days=2), end=now - timedelta(days=1))


def doctor(sandbox: Sandbox, directory: Path, **more: Any) -> Run:
    config = {"access_token": sandbox.token, "api_url": sandbox.url, **SPAN, **more}
    run = run_tap(config, "--doctor", directory=directory)
    assert "Traceback" not in run.stderr
    assert sandbox.token not in run.stdout
    return run


def test_all_is_well(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(rows=recent(), limits=Limits(day=500, minute=50))
    run = doctor(sandbox, tmp_path)
    assert run.code == 0, run.stdout
    lines = lines_of(run)
    assert set(lines) == {"settings", *NAMES}
    assert {mark for mark, _ in lines.values()} == {"ok"}
    assert "Acme" in lines["account"][1]
    assert lines["time zone"][1] == "Europe/Moscow"
    assert lines["limits"][1] == "48 of 50 per minute, 498 of 500 per day"
    assert "5 of 30" in lines["sample session"][1]
    assert "visitor_ip_address" in lines["personal data"][1]


@pytest.mark.parametrize("start", ["2999-01-01", "2999-01-01T00:00:00Z"])
def test_a_start_in_the_future_is_a_warning(
    start: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    run = doctor(make_sandbox(rows=recent()), tmp_path, start_date=start, end_date=None)
    assert run.code == 0, run.stdout
    mark, text = lines_of(run)["start_date"]
    assert mark == "WARN"
    assert text == f"{start} lies in the future: there are no sessions to read yet"


def test_what_is_left_out_is_not_asked_for_and_what_is_clear_is_listed(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent())
    names = ["visitor_ip_address", "hits.hit_url", "referrer"]
    more = {"hash_columns": ["person_id"], "hash_key": "k" * 32}
    run = doctor(sandbox, tmp_path, exclude_columns=names, **more)
    lines = lines_of(run)
    assert run.code == 0, run.stdout
    assert "visitor_id" in lines["personal data"][1]
    assert not [name for name in (*names, "person_id") if name in lines["personal data"][1]]
    [call] = sandbox.reports
    assert "visitor_ip_address" not in call.params["fields"]
    assert "hits" in call.params["fields"]


@pytest.mark.parametrize(
    ("options", "config", "failing", "fix"),
    [
        ({"allowed_ips": {"10.1.1.1"}}, {}, "address", "127.0.0.1"),
        ({}, {"access_token": "not-the-key"}, "key", "access_token"),
        ({}, {"access_token": None, "login": "x@example.com", "password": "no"}, "key", "login"),
        ({"disabled_component": True}, {}, "components", "consultant"),
        ({"faults": Faults(errors={"get.account": ["account_inactive"]})}, {}, "account", "unpaid"),
        ({"timezone": "Mars/Olympus"}, {}, "time zone", "timezone"),
        ({"partner": {1: [10]}}, {}, "account", "partner"),
        ({}, {"account_type": "partner", "timezone": "Etc/UTC"}, "account", "get.customer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_line_that_fails_names_the_fix(
    options: dict[str, Any],
    config: dict[str, Any],
    failing: str,
    fix: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(**{"rows": recent(), **options})
    run = doctor(sandbox, tmp_path, **config)
    lines = lines_of(run)
    assert run.code == 1
    assert [name for name, (mark, _) in lines.items() if mark == "FAIL"] == [failing]
    assert fix in lines[failing][1]
    assert set(lines) == {"settings", *NAMES}


def test_a_host_that_is_not_there_and_settings_that_cannot_work(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox()
    run = doctor(sandbox, tmp_path, api_url="http://127.0.0.1:9/v2.0", max_retries=0)
    assert lines_of(run)["host"][0] == "FAIL"
    run = doctor(sandbox, tmp_path, timezone="Nowhere")
    assert (run.code, lines_of(run)["settings"][0]) == (1, "FAIL")
    assert not sandbox.calls


def test_a_session_that_is_not_as_declared_is_reported(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(
        rows=recent(), faults=Faults(mangle=lambda data: data.replace(b'"ua_', b'"UA_'))
    )
    sandbox.faults.mangle = lambda data: data.replace(b'{"', b'{"brand_new":1,"', 1)
    run = doctor(sandbox, tmp_path)
    mark, text = lines_of(run)["sample session"]
    assert (run.code, mark) == (0, "WARN")
    assert "brand_new" in text


def test_a_partners_account(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10], 2: [20], 3: []},
        rows_by_user={20: recent()},
        statuses={1: "debt_lock"},
    )
    run = doctor(sandbox, tmp_path, account_type="partner", timezone="Asia/Tokyo")
    lines = lines_of(run)
    assert run.code == 0, run.stdout
    assert lines["account"][1] == "a partner of 3 customers, 1 of them read"
    assert "customer 2 (Customer 2)" in lines["components"][1]
    assert lines["limits"][1] == "the API names none"


REFUSED = [
    ({"refusals": {1: "ip_not_whitelisted"}}, "allowlist"),
    ({"refusals": {1: "method_component_disabled"}}, "component"),
    ({"silent": {1}}, "HTTP 504"),
    ({"forbidden_users": [10]}, "no right"),
]


@pytest.mark.parametrize(("options", "why"), REFUSED)
def test_a_customer_that_cannot_be_read_is_named_and_another_one_looked_at(
    options: dict[str, Any], why: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent(), partner={1: [10], 2: [20]}, **options)
    more = {"account_type": "partner", "timezone": "Asia/Tokyo", "max_retries": 0}
    run = doctor(sandbox, tmp_path, **more)
    assert run.code == 0, run.stdout
    mark, text = lines_of(run)["components"]
    assert mark == "WARN"
    assert text.startswith("the report of customer 2 (Customer 2) as user 20 is open; ")
    assert "not of customer 1 (Customer 1) as user 10: " in text
    assert why in text
    alone = doctor(sandbox, tmp_path, **more, user_ids=[10])
    mark, text = lines_of(alone)["components"]
    assert (alone.code, mark) == (1, "FAIL")
    assert text.startswith("not of customer 1 (Customer 1) as user 10: ")


def test_another_user_of_the_customer_is_looked_at_as_a_run_does(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"rows": recent(), "partner": {1: [10, 11, 12], 2: [20]}}
    sandbox = make_sandbox(**options, forbidden_users=[10, 11])
    more = {"account_type": "partner", "timezone": "Asia/Tokyo"}
    mark, text = lines_of(doctor(sandbox, tmp_path, **more))["components"]
    assert mark == "WARN"
    assert text.startswith("the report of customer 1 (Customer 1) as user 12 is open; ")
    asked = [call.params["user_id"] for call in sandbox.reports]
    assert asked == [10, 11, 12]
    sandbox.calls.clear()
    doctor(sandbox, tmp_path, **more, user_ids=[10, 20])
    assert [call.params["user_id"] for call in sandbox.reports] == [10, 20]


@pytest.mark.parametrize(
    ("options", "token", "failing"),
    [({}, None, None), ({}, "wrong-key", "key"), ({"allowed_ips": {"10.1.1.1"}}, None, "address")],
)
def test_where_a_file_lists_the_customers_their_sessions_are_asked_for_first(
    options: dict[str, Any],
    token: str | None,
    failing: str | None,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=recent(), partner={1: [10], 2: [20]}, **options)
    path = tmp_path / "customers.json"
    path.write_text('[{"customer_id": 1, "user_id": 10, "users": [10]}]')
    more = {"account_type": "partner", "timezone": "Asia/Tokyo", "customers_file": str(path)}
    run = doctor(sandbox, tmp_path, **more, **({"access_token": token} if token else {}))
    lines = lines_of(run)
    assert [name for name, (mark, _) in lines.items() if mark == "FAIL"] == (
        [failing] if failing else []
    )
    assert run.code == bool(failing)
    assert {call.method for call in sandbox.calls} == {"get.visitor_sessions_report"}


def test_three_customers_in_a_row_are_enough(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    partner = {number: [number * 10] for number in range(1, 6)}
    refusals = dict.fromkeys(partner, "ip_not_whitelisted")
    sandbox = make_sandbox(rows=recent(), partner=partner, refusals=refusals)
    run = doctor(sandbox, tmp_path, account_type="partner", timezone="Asia/Tokyo")
    mark, text = lines_of(run)["components"]
    assert (run.code, mark) == (1, "FAIL")
    assert text.count("not of customer") == len(sandbox.reports) == 3


def test_the_executable_of_its_own(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from tap_visitor_sessions.__main__ import doctor; sys.exit(doctor())",
        "--config=ENV",
        "--report",
        str(tmp_path / "report.json"),
    ]
    sandbox = make_sandbox(rows=recent())
    env = {
        "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": sandbox.token,
        "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
        "TAP_VISITOR_SESSIONS_START_DATE": "2024-05-01",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   key" in done.stdout
    assert '"format"' in (tmp_path / "report.json").read_text(encoding="utf-8")


def test_test_says_which_account_zone_and_limits(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=50, limits=Limits(day=100))
    config = {"access_token": sandbox.token, "api_url": sandbox.url, **SPAN}
    run = run_tap(config, "--test", directory=tmp_path)
    assert run.code == 0, run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert "Account: Acme (app_id 1). Time zone: Europe/Moscow. Points left: " in last
    assert " of 100 per day" in last
    assert "ERROR" not in run.stderr


def test_test_of_a_partner_says_once_who_is_skipped(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(
        sessions=0,
        partner={1: [10], 2: [20]},
        rows_by_user={20: recent()},
        statuses={1: "debt_lock"},
    )
    config = {"access_token": sandbox.token, "api_url": sandbox.url, **SPAN}
    config |= {"account_type": "partner", "timezone": "Etc/UTC"}
    config |= {"customer_timezones": {"2": "Asia/Tokyo"}}
    run = run_tap(config, "--test", directory=tmp_path)
    assert run.code == 0, run.stderr
    assert run.stderr.count("Skipped customer 1") == 1
    last = run.stderr.strip().splitlines()[-1]
    assert "a partner of 2 customers, 1 of them read. Time zone: Asia/Tokyo." in last
