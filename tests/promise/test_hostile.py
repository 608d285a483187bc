"""Content that no schema foresees, through whole runs: the run survives, each record stays valid,
nothing is dropped without a warning that says what, once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, Tally
from hosts import AND_DLT, Host
from support import check_injected, config_of

from sandbox import Faults, make_sessions

MARK = "@@HOSTILE@@"
COUNT = 6
URL = "https://shop.example/" + "x" * 1_000_000

SEGMENTS = [{"segment_id": 5, "segment_name": None}]
NO_TIME = "communications.communication_date_time: a date"


def call_at(moment: str) -> str:
    return json.dumps([{"communication_date_time": moment}])


# What it is: column, raw JSON in its place, what is emitted, a part of the warning if any.
CASES: dict[str, tuple[str, str, Any, str | None]] = {
    "separators of lines": ("referrer", '"a\u2028\u2029\u0085b"', "a\u2028\u2029\u0085b", None),
    "half a surrogate pair, escaped": (
        "referrer",
        r'"a\ud83db"',
        "a\ufffdb",
        "half of a pair",
    ),
    "a whole surrogate pair, escaped": ("referrer", r'"a\ud83d\ude97"', "a\U0001f697", None),
    "NUL in a text": ("referrer", r'"a\u0000b"', "a\ufffdb", "referrer: NUL"),
    "an escaped text that looks like NUL": ("referrer", r'"a\\u0000b"', r"a\u0000b", None),
    "control characters": ("referrer", r'"\u0001\t\n\u007f"', "\x01\t\n\x7f", None),
    "a raw control character": ("referrer", '"a\x01b"', "a\ufffdb", "U+FFFD"),
    "a raw tab and a line end": ("referrer", '"a\tb\n"', "a\ufffdb\ufffd", "U+FFFD"),
    "a URL of 1 MB": ("referrer", json.dumps(URL), URL, None),
    "an integer past 2^63": ("duration", str(2**63 + 1), 2**63 + 1, None),
    "an integer past 2^64": ("duration", str(2**70), 2**70, None),
    "an integer past 2^64 as text": ("duration", f'"{2**70}"', 2**70, None),
    "a float where an integer is declared": ("duration", "12.0", 12, None),
    "a fraction where an integer is declared": ("duration", "12.6", 13, "duration: a whole number"),
    "a number with an exponent": ("duration", "1.2e3", 1200, None),
    "a text where a number is declared": ("duration", '"soon"', None, "duration: a number"),
    "a number where a text is declared": ("referrer", "12", "12", None),
    "an unknown enum member": ("channel", '"telepathy"', "telepathy", None),
    "an object in place of an array": (
        "segments",
        '{"segment_id": 5}',
        SEGMENTS,
        None,
    ),
    "an array in place of an object": (
        "integrated_campaign_data",
        "[1]",
        {},
        "_data: an object",
    ),
    "an item of the wrong kind": (
        "segments",
        '[7, {"segment_id": 5}]',
        SEGMENTS,
        r"segments[]",
    ),
    "a member not declared": (
        "segments",
        '[{"mood": 1, "segment_id": 5}]',
        SEGMENTS,
        "segments.mood",
    ),
    "a time that is none": (
        "communications",
        call_at("soon"),
        None,
        NO_TIME,
    ),
    "the 31st of February": (
        "communications",
        call_at("2024-02-31 00:00:00"),
        None,
        NO_TIME,
    ),
    "an empty text as a time": (
        "communications",
        call_at(""),
        None,
        NO_TIME,
    ),
    "a deeply nested value": ("referrer", "[" * 200 + "]" * 200, "[" * 200 + "]" * 200, None),
}


@pytest.mark.one_host
@AND_DLT
@pytest.mark.parametrize("name", CASES)
def test_hostile_content_survives_and_a_loss_is_warned_about_once(
    host: Host, name: str, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    column, raw, kept, warning = CASES[name]
    if host.name == "dlt" and name.startswith("an integer past"):
        kept, warning = None, "does not fit into 64 bits"  # as in every table
    rows = [{**row, column: MARK} for row in make_sessions(COUNT, seed=3)]
    rows += make_sessions(40, seed=4, first_id=5000)
    mark = json.dumps(MARK).encode()
    faults = Faults(mangle=lambda data: data.replace(mark, raw.encode()))
    sandbox = make_sandbox(rows=rows, faults=faults)
    run = host.run(config_of(sandbox), directory=tmp_path).check()
    hostile = {row["id"] for row in rows[:COUNT]}
    got = {record["id"]: record for record in run.records}
    for id_ in hostile & got.keys():
        if name.startswith(("a time", "the 31st", "an empty text")):
            assert got[id_][column][0]["communication_date_time"] is None
        else:
            assert got[id_][column] == kept
    warnings = [line for line in run.stderr.splitlines() if "| WARNING" in line]
    if warning is None:
        assert not warnings, warnings
    else:
        said, *counted = warnings
        assert warning in said
        # What was lost, and not only replaced, is counted once more at the end.
        assert len(counted) <= 1, warnings
        assert all("could not be read and are left out" in line for line in counted)
    lost = {row["id"] for row in rows} - got.keys()
    check_injected(sandbox)
    tally("Content", name, injected=COUNT, lost=len(lost))


@AND_DLT
def test_bytes_that_are_no_utf_8_cost_their_letter(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    odd = Faults(mangle=lambda data: data.replace(b'"odd"', b'"a\xffb\xe2\x82"'))
    rows = [{**row, "referrer": "odd"} for row in make_sessions(3)]
    sandbox = make_sandbox(rows=rows, faults=odd)
    run = host.run(config_of(sandbox), directory=tmp_path).check()
    assert [record["referrer"] for record in run.records] == ["a\ufffdb\ufffd"] * 3
    assert run.stderr.count("replaced by U+FFFD") == 1
    check_injected(sandbox)
    tally("Content", "bytes that are no UTF-8 in a text", injected=3)


@AND_DLT
def test_columns_that_never_come_are_named(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    def without(data: bytes) -> bytes:
        rows = json.loads(data)
        for row in rows:
            del row["exit_page"], row["channel_code"]
        return json.dumps(rows).encode()

    sandbox = make_sandbox(sessions=300, faults=Faults(mangle=without))
    run = host.run(config_of(sandbox, page_size=40), directory=tmp_path).check()
    assert len(re.findall("leaves out columns.*exit_page, channel_code", run.stderr)) == 1
    assert all(record["exit_page"] is None for record in run.records)
    check_injected(sandbox)
    tally("Content", "columns asked for that never come", injected=300, lost=300 - len(run.records))


@AND_DLT
def test_columns_not_declared_are_named_once(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    def more(data: bytes) -> bytes:
        return json.dumps([{**row, "brand_new": {"a": 1}} for row in json.loads(data)]).encode()

    sandbox = make_sandbox(sessions=300, faults=Faults(mangle=more))
    run = host.run(config_of(sandbox, page_size=40), directory=tmp_path).check()
    assert run.stderr.count("brand_new: the API sends it, it is not declared; left out") == 1
    check_injected(sandbox)
    tally("Content", "a column not declared", injected=300, lost=300 - len(run.records))


@AND_DLT
@pytest.mark.parametrize("column", ["id", "date_time"])
def test_a_session_without_key_or_bookmark_ends_the_run(
    host: Host, column: str, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    def without(data: bytes) -> bytes:
        rows = json.loads(data)
        rows[-1][column] = None
        return json.dumps(rows).encode()

    sandbox = make_sandbox(sessions=30, faults=Faults(mangle=without))
    run = host.run(config_of(sandbox), directory=tmp_path)
    assert run.code == 1
    assert f"without a usable {column}" in run.stderr
    assert "Traceback" not in run.stderr
    check_injected(sandbox)
    tally("Content", f"a session without {column}", injected=1, ends="error")
