"""Three made-up accounts, each as a report of the doctor's tells it: what the tap promises holds of
each, whatever its API makes of what the vendor's page leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Tally
from hosts import AND_DLT, Host
from oracle import utc_text
from support import ZONE, run_tap

from sandbox import Sandbox, sandbox_like
from tap_visitor_sessions.config.schema import stream_schema

SESSIONS = 120
REFUSED = {"mnemonic": "date_interval_limit_reached", "code": -32602}


def of(kinds: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"came": kinds, **more}


AS_THE_EXAMPLE: dict[str, Any] = {
    "format": 1,
    "account": "customer",
    "sample": {"came": 40, "is_short": True, "order_by_time": "none"},
    "behaviour": {
        "span_ends": {"date_from_is_inside": True, "date_till_is_inside": False},
        "longest_span": {"three_months": REFUSED, "days_90": True},
        "large_limit": {"passes": REFUSED},
    },
    "wire": {"limits": {"day_limit": 3000, "minute_limit": 600}, "encodings": {"none": 9}},
    "refused_columns": {
        name: {"mnemonic": "unexpected_parameters", "names_the_column": False}
        for name in ("source_id", "ext_id")
    },
    "default_reply": {"columns": {"site_id": {"number": 40}, "visitor_id": {"number": 40}}},
    "shapes": {
        "places": {
            "duration": of({"text": 40}, texts={"digits": 40}, text_lengths=[1, 6]),
            "person_id": of({"text": 30, "null": 10}, texts={"digits": 30}, text_lengths=[1, 9]),
            "hits": of({"object": 20, "array": 15, "null": 5}, items=[0, 4]),
            "segments": of({"null": 30, "array": 10}, items=[1, 2]),
            "communications": of({"null": 30, "array": 10}, items=[1, 2]),
            "integrated_campaign_data": of({"object": 40}, empty_objects=30),
            "gclid": of({"missing": 40}),
        },
        "undeclared": {"(session)": {"camapign_id": {"number": 40}}},
    },
}
LATER: dict[str, Any] = {
    "format": 1,
    "account": "customer",
    "sample": {"came": 100, "is_short": False, "order_by_time": "descending"},
    "behaviour": {
        "span_ends": {"date_from_is_inside": True, "date_till_is_inside": True},
        "longest_span": {"three_months": True, "three_months_and_a_second": REFUSED},
        "large_limit": {"passes": True},
    },
    "wire": {
        "limits": {},
        "encodings": {"gzip": 9},
        "no_rows": {"null": 2},
        "errors": {"without metadata": 3},
        "is_deprecated": True,
        "clock_ahead_seconds": 20,
    },
    "shapes": {
        "places": {
            "id": of({"text": 100}, texts={"digits": 100}, text_lengths=[7, 10]),
            "date_time": of(
                {"text": 100}, texts={"date-time with offset": 100}, text_lengths=[25, 25]
            ),
            "channel": of(
                {"text": 100},
                texts={"other": 100},
                text_lengths=[4, 30],
                enumeration={"inside": 60, "outside": 40},
            ),
            "visitor_id": of({"number": 100}, numbers={"whole": 100}, digits=[9, 15]),
            "campaign_id": of(
                {"number": 100}, numbers={"whole": 90, "negative": 30}, digits=[1, 4]
            ),
            "utm_term": of(
                {"text": 70, "null": 30},
                texts={"empty": 20, "URL": 20, "e-mail-like": 20, "UUID": 10},
                text_lengths=[0, 900],
                texts_that_are={"not ASCII": 30},
            ),
            "hits": of({"array": 100}, items=[0, 40]),
            "hits[].hit_time": of({"text": 90, "null": 10}, texts={"date-time": 90}),
        },
        "undeclared": {
            "(session)": {"city_code": {"text": 100}, "is_bot": {"boolean": 90, "null": 10}},
            "hits[]": {"hit_title": {"text": 40, "null": 30}},
        },
    },
}
AGENCY: dict[str, Any] = {
    "format": 1,
    "account": "partner",
    "sample": {"came": 100, "is_short": False, "order_by_time": "ascending"},
    "behaviour": {
        "longest_span": {"three_months": True, "three_months_and_a_second": True},
    },
    "wire": {"limits": {"day_limit": 3500, "minute_limit": 200}},
    "refused_columns": {
        "hits": {"mnemonic": "parameter_component_disabled", "names_the_column": True}
    },
    "shapes": {
        "places": {
            "integrated_campaign_data": of({"object": 90, "null": 10}, objects_of_nulls=60),
            "visitor_custom_properties": of({"array": 50, "null": 50}, items=[0, 3]),
            "visitor_country": of({"null": 100}),
            "exit_page": of({"missing": 20, "null": 30, "text": 50}, texts={"URL": 50}),
            "segments[].segment_id": of({"text": 9}, texts={"digits": 9}, text_lengths=[1, 3]),
            "communications[].communication_type": of(
                {"text": 9}, texts={"other": 9}, enumeration={"inside": 4, "outside": 5}
            ),
        },
    },
}
ACCOUNTS = {"as the example": AS_THE_EXAMPLE, "later": LATER, "agency": AGENCY}
EVERY_ACCOUNT = pytest.mark.parametrize("name", ACCOUNTS)


def config_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    partner = {"account_type": "partner", "timezone": ZONE} if sandbox.partner else {}
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": "2024-05-01",
        "end_date": "2024-05-31",
        "page_size": 50,
        **partner,
        **more,
    }


def users_of(sandbox: Sandbox) -> list[int | None]:
    return [user for users in (sandbox.partner or {}).values() for user in users] or [None]


def check(sandbox: Sandbox, records: list[dict[str, Any]]) -> None:
    """Each session once, at its time, with each value that came as it is declared."""
    assert sandbox.faults.mangle is not None
    found = {record["id"]: record for record in records}
    rows = [row for user in users_of(sandbox) for row in sandbox.rows(user)]
    assert len(found) == len(records) == len(rows) > 0
    types = {name: node["type"] for name, node in stream_schema()["properties"].items()}
    as_sent = json.loads(sandbox.faults.mangle(json.dumps(rows).encode()))
    compared = 0
    for row, sent in zip(rows, as_sent, strict=True):
        record = found[row["id"]]
        assert record["date_time"] == utc_text(row["date_time"], ZONE)
        for column, declared in types.items():
            if column in ("id", "date_time"):
                continue
            value = sent.get(column)
            if column in sandbox.refused_columns or value is None:
                assert record[column] in (None, [], {})
            elif "string" in declared and isinstance(value, str):
                assert record[column] == value
                compared += 1
            elif "integer" in declared:
                assert record[column] == int(value)
                compared += 1
            elif "array" in declared:
                assert len(record[column]) == (1 if isinstance(value, dict) else len(value))
    assert compared > 20 * len(rows)


@pytest.mark.one_host
@AND_DLT
@EVERY_ACCOUNT
def test_every_session_comes_once_in_order_and_as_it_was_sent(
    name: str, host: Host, tmp_path: Path, tally: Tally
) -> None:
    with sandbox_like(ACCOUNTS[name], sessions=SESSIONS).running() as sandbox:
        run = host.run(config_of(sandbox), directory=tmp_path)
        assert run.code == 0, run.stderr
        check(sandbox, run.records)
        again = host.run(config_of(sandbox), directory=tmp_path, state=run.state)
        assert again.code == 0, again.stderr
        ids = {record["id"] for record in run.records}
        assert {record["id"] for record in again.records} <= ids
        tally("Content", f"a made-up account: {name}, {host.name}", injected=len(run.records))


@EVERY_ACCOUNT
def test_points_that_run_out_cost_no_session(name: str, tmp_path: Path) -> None:
    """Whatever a run that ended early has emitted, the next ones bring the rest."""
    with sandbox_like(ACCOUNTS[name], sessions=SESSIONS).running() as sandbox:
        records: dict[int, dict[str, Any]] = {}
        state, codes = None, []
        day = 6 if sandbox.names_refused else 16  # a search for columns takes most of them
        for _ in range(30):
            sandbox.meters.limits.day = day
            sandbox.meters.limits.minute = None  # or a minute is waited for
            sandbox.meters.new_day()
            more = {"page_size": 20, "lookback_window": "PT0S"}
            run = run_tap(config_of(sandbox, **more), state=state, directory=tmp_path)
            codes.append(run.code)
            state = run.state
            records |= {record["id"]: record for record in run.records}
            if run.code == 0:
                break
        assert codes[-1] == 0, run.stderr
        assert len(codes) > 1
        check(sandbox, list(records.values()))
