"""No text of the API makes a line of a log, or a command for the terminal that shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, Tally
from hosts import EVERY_HOST, Host
from support import config_of, run_tap

from sandbox import Faults, Sandbox
from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import object_of

BAD = "Zorb\x1b[2Jab\x9b31mcd\u202eef\u2028gh\r\nFORGED 2026-01-01 | INFO | all is well\x07"
SEEN = r"Zorb\\x1b\[2Jab\\x9b31mcd\\u202eef gh FORGED"
METHOD = "get.visitor_sessions_report"


def check(text: str) -> None:
    """The bad text is seen, and does nothing."""
    text = text.replace("\\\\", "\\")  # as JSON has it
    assert re.search(SEEN, text), text
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text
    )
    assert not re.search("^FORGED", text, re.MULTILINE)


def undeclared(data: bytes) -> bytes:
    return json.dumps([{**row, BAD: 1} for row in json.loads(data)]).encode()


@EVERY_HOST
@pytest.mark.parametrize("where", ["error", "column", "customer"])
def test_texts_of_the_api_are_shown_escaped(
    where: str, host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    more: dict[str, Any] = {}
    faults = Faults(mangle=undeclared if where == "column" else None)
    partner = None
    if where == "customer":
        partner, more = {1: [10], 2: []}, {"account_type": "partner", "timezone": "UTC"}
    sandbox = make_sandbox(sessions=3, faults=faults, partner=partner)
    sandbox.called = BAD
    if where == "error":
        sandbox.faults.errors = {METHOD: ["oh_no"]}
        sandbox.echo = BAD
    run = host.run(config_of(sandbox, **more), directory=tmp_path)
    check(run.output)
    tally("Content", f"control characters: {where}, {host.name}", injected=1)


@pytest.mark.parametrize("option", ["--test", "--doctor", "--customers"])
def test_so_are_they_by_what_asks_the_account(
    option: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    is_partner = option == "--customers"
    sandbox = make_sandbox(sessions=3, partner={1: [10]} if is_partner else None)
    sandbox.called = BAD
    more = {"account_type": "partner", "timezone": "UTC"} if is_partner else {}
    run = run_tap(config_of(sandbox, **more), option, directory=tmp_path)
    check(run.stdout + run.stderr)


SECRET = "Vn5kRt8wQz3x"
INLINE = json.dumps({"access_token": SECRET, "start_date": "2024-05-01"})
COMMANDS = {
    "tap": ["-m", "tap_visitor_sessions", "--config"],
    "airbyte": ["-m", "tap_visitor_sessions.airbyte", "check", "--config"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("quoted", [True, False])
def test_a_configuration_in_the_command_line_is_not_shown(command: str, quoted: bool) -> None:
    words = [INLINE] if quoted else INLINE.split()
    done = subprocess.run(
        [sys.executable, *COMMANDS[command], *words], capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "path" in said
    assert "Traceback" not in said
    assert not [at for at in range(len(SECRET) - 5) if SECRET[at : at + 6] in said]


@pytest.mark.parametrize("text", [INLINE, f"\n {INLINE}", f"access_token: {SECRET}\nx: y", "[1]"])
def test_what_stands_in_a_file_is_no_path(text: str) -> None:
    with pytest.raises(TapError, match="takes the path of a file") as caught:
        object_of(text, "config")
    assert SECRET not in str(caught.value)


@EVERY_HOST
@pytest.mark.parametrize("end", ["\n", " ", "\r\n", "\t"])
def test_blanks_around_credentials_are_not_part_of_them(
    host: Host, end: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """A secret of Kubernetes made with `echo`, a key copied from a page."""
    sandbox: Sandbox = make_sandbox(sessions=3)
    config = config_of(sandbox, access_token=f"{end}{sandbox.token}{end}")
    assert len(host.run(config, directory=tmp_path).check().records) == 3
    del config["access_token"]
    config |= {"login": sandbox.login + end, "password": sandbox.password + end}
    assert len(host.run(config, directory=tmp_path).check().records) == 3
