"""Odd values in whole runs: whatever stands at whatever place, in each mode of output."""

from __future__ import annotations

import io
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from agencies import agency, config_of, ids_by_user, rows_of
from conftest import MakeSandbox, examples
from fake_api import FakeAnswer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from odd import DAY, DEEP, PLACES, Token, answer_of, anything, put, row, to_json
from singer_sdk.plugin_base import PluginBase
from support import run_tap, table_rows

from sandbox import Faults
from tap_visitor_sessions.singer.tap import TapVisitorSessions

ZONES = [
    "UTC",
    "Europe/Moscow",
    "America/New_York",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "Asia/Kathmandu",
]


@pytest.mark.parametrize(
    ("column", "token"),
    [("id", "NaN"), ("id", DEEP), ("date_time", "1e400"), ("date_time", "{}")],
    ids=["id NaN", "id too deep", "date_time 1e400", "date_time {}"],
)
def test_a_session_that_cannot_be_used_costs_a_partner_that_customer_alone(
    column: str, token: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([10, 20, 30], 20)

    def mangle(data: bytes) -> bytes:
        page = json.loads(data)
        for session in page:
            if session["id"] == rows[20][7]["id"]:
                session[column] = Token(token)
        return to_json(page).encode()

    sandbox = make_sandbox(**agency(rows), faults=Faults(mangle=mangle))
    run = run_tap(config_of(sandbox), directory=tmp_path)
    assert run.code == 1
    assert {user: len(ids) for user, ids in ids_by_user(run).items()} == {10: 20, 30: 20}
    assert f"without a usable {column}" in run.stderr
    assert "Traceback" not in run.stderr
    assert len([line for line in run.stderr.splitlines() if "| ERROR" in line]) == 1


# Anything anywhere, in all output modes

changes = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(PLACES), anything), min_size=1, max_size=5
)
MODES = ["typed", "maps", "flattening", "jsonl", "parquet"]


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with patch.object(PluginBase, "_setup_signal_handlers", lambda self: None):
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mode", MODES)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes, st.sampled_from(ZONES))
def test_anything_anywhere_costs_no_session(
    quiet: None, mode: str, odd: list[tuple[int, tuple[Any, ...], Any]], zone: str
) -> None:
    rows = {number: row(number) for number in (1, 2, 3)}
    for number, path, value in odd:
        put(rows[number], path, value)
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            "access_token": "x",
            "api_url": "http://127.0.0.1:9/v2.0",
            "start_date": DAY,
            "end_date": DAY,
            "timezone": zone,
        }
        if mode == "maps":
            config["stream_maps"] = {"visitor_sessions": {"more": "str(id)"}}
        elif mode == "flattening":
            config |= {"flattening_enabled": True, "flattening_max_depth": 1}
        elif mode in ("jsonl", "parquet"):
            storage = {"root": f"file://{folder}"}
            encoding = {"format": mode, "compression": "none"}
            config["batch_config"] = {"encoding": encoding, "storage": storage}
        messages = run(config, list(rows.values()))
        records = [m["record"] for m in messages if m["type"] == "RECORD"]
        for message in messages:
            for url in message.get("manifest", []) if message["type"] == "BATCH" else []:
                file = Path(url.removeprefix("file://"))
                if mode == "jsonl":
                    records += map(json.loads, file.read_text().split("\n")[:-1])
                else:
                    records += table_rows(file)
    assert [record["id"] for record in records] == [1, 2, 3]
    [schema] = [m["schema"] for m in messages if m["type"] == "SCHEMA"]
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    for record in records:
        validator.validate(record)


def run(config: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tap = TapVisitorSessions(config=config)

    def call(method: str, params: dict[str, Any]) -> FakeAnswer:
        if method == "get.account":
            return answer_of([])
        found = [r for r in rows if params["date_from"] <= r["date_time"] <= params["date_till"]]
        return answer_of(found)

    def asked(method: str, params: dict[str, Any] | None = None) -> FakeAnswer:
        return call(method, params or {})

    tap.connection.client.call = asked  # type: ignore[method-assign, assignment]
    out = io.StringIO()
    with patch.object(sys, "stdout", out):
        tap.sync_all()
    return [json.loads(line) for line in out.getvalue().split("\n") if line]
