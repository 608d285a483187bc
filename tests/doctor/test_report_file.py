"""The doctor's report, through the command line: what it tells, what it costs, what it keeps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import Run, run_tap

from sandbox import Faults, Limits, Sandbox, make_sessions
from sandbox.columns import COLUMNS, DEFAULT

MOST_POINTS = 12
MARK = "zqxj"
"""What nothing in a report has but values."""
PARTNER = {"account_type": "partner", "timezone": "Europe/Moscow"}


def recent(count: int = 60, first_id: int = 1_000_000) -> list[dict[str, Any]]:
    now = datetime.now().replace(microsecond=0)
    start, end = now - timedelta(days=2), now - timedelta(days=1)
    return make_sessions(count, start=start, end=end, first_id=first_id)


def report_of(sandbox: Sandbox, directory: Path, **more: Any) -> tuple[dict[str, Any], str, Run]:
    """The report, as JSON and as its file has it, and the run that has written it."""
    config = {"access_token": sandbox.token, "api_url": sandbox.url, "start_date": "2024-05-01"}
    path = directory / "report.json"
    run = run_tap({**config, **more}, "--doctor", "--report", str(path), directory=directory)
    assert "Traceback" not in run.stderr
    text = path.read_text(encoding="utf-8")
    assert sandbox.token not in text
    told: dict[str, Any] = json.loads(text)
    charged = sum(call.mnemonic is None for call in sandbox.calls)
    assert told["points"] == charged <= MOST_POINTS - bool(more.get("login"))
    assert f"{charged} points" in run.stdout.splitlines()[-1]
    return told, text, run


def test_what_an_account_as_the_page_has_it_looks_like(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent(), limits=Limits(day=3000, minute=60))
    told, _, run = report_of(sandbox, tmp_path)
    assert run.code == 0, run.stdout
    assert set(told["shapes"]["places"]) >= set(COLUMNS)
    assert set(told["default_reply"]["columns"]) == set(DEFAULT)
    assert told["account"] == "customer"
    assert {check["is"] for check in told["checks"].values()} == {"ok"}
    assert told["sample"] == {
        "days": 7,
        "asked": 1000,
        "came": 60,
        "is_short": False,
        "in_all": "1e1",
        "order_by_time": "none",
        "order_by_id": "none",
    }
    assert told["behaviour"] == {
        "default_reply": {"rows": 60},
        "span_ends": {"date_from_is_inside": True, "date_till_is_inside": True},
        "longest_span": {
            "three_months": True,
            "three_months_and_a_second": {
                "mnemonic": "date_interval_limit_reached",
                "code": -32602,
                "field": "date_till",
                "value": "text",
            },
        },
        "large_limit": {
            "passes": {
                "mnemonic": "invalid_parameter_value",
                "code": -32602,
                "field": "limit",
                "value": "number",
            }
        },
    }
    wire = told["wire"]
    assert wire["no_rows"].keys() == {"[]"}
    assert "content-type" in wire["headers"]
    assert wire["limits"]["day_limit"] == 3000
    assert wire["limits"]["minute_reset"] > 0
    assert wire["seconds"]["median"] >= 0
    assert abs(wire["clock_ahead_seconds"]) <= 2
    assert wire["errors"] == {"with metadata": 2}
    assert wire["metadata"]["total_items"].keys() == {"number"}


def test_what_another_account_looks_like(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    faults = Faults(
        till_exclusive=True,
        order="descending",
        single_hit_object=True,
        numbers_as_strings=True,
        null_arrays=True,
        example_spelling=True,
        gzip=True,
        deprecated=True,
        clock_behind=3600,
    )
    sandbox = make_sandbox(
        rows=recent(),
        faults=faults,
        longest_days=90,
        most_rows=20_000,
        no_rows="null",
        bare_errors=True,
        default_columns=["id", "channel"],
        refused_columns={"source_new": "unexpected_parameters"},
    )
    told, _, run = report_of(sandbox, tmp_path)
    assert run.code == 0, run.stdout
    behaviour, wire, shapes = told["behaviour"], told["wire"], told["shapes"]
    assert behaviour["span_ends"] == {"date_from_is_inside": True, "date_till_is_inside": False}
    spans = behaviour["longest_span"]
    assert spans["three_months"]["mnemonic"] == "date_interval_limit_reached"
    assert spans["days_90"] is True
    assert behaviour["large_limit"] == {"passes": True}
    assert told["sample"]["order_by_time"] == "descending"
    assert set(told["default_reply"]["columns"]) == {"id", "channel"}
    assert told["refused_columns"] == {
        "source_new": {
            "mnemonic": "unexpected_parameters",
            "code": -32602,
            "field": "fields",
            "value": "text",
            "names_the_column": True,
        }
    }
    assert wire["no_rows"].keys() == {"null"}
    assert wire["errors"].keys() == {"without metadata"}
    assert wire["encodings"].keys() == {"gzip"}
    assert wire["is_deprecated"] is True
    assert wire["limits"] == {}
    assert -3605 <= wire["clock_ahead_seconds"] <= -3595
    assert shapes["places"]["duration"]["came"] == {"text": 60}
    assert shapes["undeclared"]["(session)"]["hist"]["object"] > 0
    assert "null" in shapes["places"]["segments"]["came"]


KEYS = {"key": {}, "login": {"login": "demo@example.com", "password": "sandbox-password"}}


@pytest.mark.parametrize("unnamed", [False, True], ids=["", "columns refused without their names"])
@pytest.mark.parametrize("silent", [False, True], ids=["", "no sessions of late"])
@pytest.mark.parametrize("login", KEYS)
@pytest.mark.parametrize("partner", [False, True], ids=["customer", "partner"])
def test_it_costs_twelve_points_at_most(
    partner: bool,
    login: str,
    silent: bool,
    unnamed: bool,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {
        "rows": [] if silent else recent(),
        "longest_days": 3660,
        "limits": Limits(day=3000, minute=60),
    }
    if unnamed:
        refused = ("channel", "hits", "source_id", "ext_id", "utm_term")
        options["refused_columns"] = dict.fromkeys(refused, "unexpected_parameters")
        options["names_refused"] = False
    more: dict[str, Any] = {**KEYS[login], **(PARTNER if partner else {})}
    if login == "login":
        more["access_token"] = None
    if partner:
        options["partner"] = {1: [10], 2: [20, 21]}
    sandbox = make_sandbox(**options)
    told, _, _ = report_of(sandbox, tmp_path, **more)
    assert all(call.mnemonic != "limit_exceeded" for call in sandbox.calls)
    assert told["behaviour"]["longest_span"] == {
        "three_months": True,
        "three_months_and_a_second": True,
    }
    assert told["behaviour"]["default_reply"]["rows"] == (0 if silent else 60)
    if unnamed and not silent:  # though they are not found, there is a look at some sessions
        assert told["default_reply"]["columns"]


@pytest.mark.parametrize("day", [0, 1, 2, 4, 6])
def test_it_stays_within_the_points_that_are_left(
    day: int, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """No day is waited for, whatever on_daily_limit says."""
    sandbox = make_sandbox(rows=recent(), limits=Limits(day=day))
    told, _, run = report_of(sandbox, tmp_path, on_daily_limit="wait")
    assert sum(call.mnemonic == "limit_exceeded" for call in sandbox.calls) <= 1
    assert told["points"] == min(day, 6)
    if day == 4:
        assert told["behaviour"]["large_limit"] == {"not_asked": "no points for it"}
        assert run.code == 0


def marked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each value one that nothing else has; those that the page lists stay."""
    kept = {"channel", "engine", "visitor_device", "visitor_type"}

    def of(value: Any, name: str, number: int) -> Any:
        if isinstance(value, dict):
            return {inner: of(one, inner, number) for inner, one in value.items()}
        if isinstance(value, list):
            return [of(one, name, number) for one in value]
        if "time" in name or "type" in name or name in kept or name == "hits_count":
            return value
        if isinstance(value, str):
            return f"{MARK}_{name}_{value}"
        return 739_173_917_000 + number if isinstance(value, int) else value

    return [
        {name: of(value, name, number) for name, value in row.items()}
        for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize("partner", [False, True], ids=["customer", "partner"])
def test_no_value_of_a_session_is_in_the_file_nor_of_the_account(
    partner: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = marked(recent())
    names = [f"{MARK}_one", "zqxj@mail.example"]

    def mangle(data: bytes) -> bytes:
        found = json.loads(data)
        for row in found:
            row |= dict.fromkeys(names, 1) | {"utm_term": names[0], "brand_new": MARK}
            row["visitor_custom_properties"] = {MARK: names[1]}
        return json.dumps(found).encode()

    sandbox = make_sandbox(
        rows=rows,
        faults=Faults(mangle=mangle),
        partner={1: [10]} if partner else None,
        refused_columns={"source_id": f"{MARK}_refused"},
        limits=Limits(day=3000),
    )
    sandbox.called = f"{MARK} account"
    sandbox.echo = f"{MARK} you sent {sandbox.token}"
    filtered = {"filter": {"field": "site_id", "operator": "!=", "value": 73917391}}
    more = {**filtered, **(PARTNER if partner else {})}
    told, text, _ = report_of(sandbox, tmp_path, **more)
    assert told["is_filtered"] is True
    assert MARK not in text.casefold()
    assert "7391739" not in text
    sandbox.refused_columns.clear()
    sandbox.calls.clear()
    told, text, run = report_of(sandbox, tmp_path, **more)
    assert run.code == 0
    assert told["shapes"]["sessions"] == 60
    assert told["shapes"]["undeclared"]["(session)"].keys() == {"brand_new"}
    assert MARK not in text.casefold()
    assert "7391739" not in text


def test_nothing_looks_at_columns_that_are_left_out(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent(), default_columns=["id", "utm_term", "channel"])
    names = ["utm_term", "hits.hit_url"]
    told, text, _ = report_of(sandbox, tmp_path, exclude_columns=names)
    assert "utm_term" not in text
    assert "hit_url" not in text
    assert set(told["default_reply"]["columns"]) == {"id", "channel"}


@pytest.mark.parametrize(
    ("options", "failing", "mnemonic"),
    [
        ({"allowed_ips": {"10.1.1.1"}}, "address", "ip_not_whitelisted"),
        ({"disabled_component": True}, "components", "method_component_disabled"),
    ],
)
def test_an_account_that_cannot_be_read_has_a_report_too(
    options: dict[str, Any],
    failing: str,
    mnemonic: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    told, text, run = report_of(make_sandbox(**options), tmp_path)
    assert run.code == 1
    assert told["checks"][failing]["is"] == "fail"
    assert told["checks"][failing]["error"]["mnemonic"] == mnemonic
    assert "127.0.0.1" not in text


def test_a_host_that_is_not_there_and_a_file_that_cannot_be_written(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    config = {"access_token": "k" * 20, "start_date": "2024-05-01", "max_retries": 0}
    config["api_url"] = "http://127.0.0.1:9/v2.0"
    path = tmp_path / "report.json"
    run = run_tap(config, "--doctor", "--report", str(path), directory=tmp_path)
    assert json.loads(path.read_text())["checks"]["host"] == {"is": "fail", "failed": "Unreachable"}
    assert run.code == 1
    sandbox = make_sandbox()
    config["api_url"] = sandbox.url
    for bad in (tmp_path, tmp_path / "no" / "where.json"):
        run = run_tap(config, "--doctor", "--report", str(bad), directory=tmp_path)
        assert run.code == 1
        assert run.stdout.splitlines()[-1].startswith(f"FAIL report              {bad}")
    assert not sandbox.calls
    assert not (tmp_path / "no").exists()


def test_an_error_that_nobody_knows_is_named_unless_its_name_is_a_value(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = [{**row, "utm_term": "secret_word"} for row in recent()]
    for mnemonic, shown in (("brand_new_error", "brand_new_error"), ("secret_word", "(not shown)")):
        sandbox = make_sandbox(rows=rows, longest_days=60)
        sandbox.refusal_of_spans = mnemonic
        told, text, _ = report_of(sandbox, tmp_path)
        assert told["behaviour"]["longest_span"]["days_89"]["mnemonic"] == shown
        assert "secret_word" not in text


def test_it_is_the_doctors_alone(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox()
    config = {"access_token": "k" * 20, "api_url": sandbox.url, "start_date": "2024-05-01"}
    run = run_tap(config, "--report", str(tmp_path / "report.json"), directory=tmp_path)
    assert run.code == 1
    assert "--doctor" in run.stderr.splitlines()[-1]
    assert not sandbox.calls
