"""Running the tap as a user does, and reading what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from jsonschema import Draft202012Validator, FormatChecker
from pyarrow import parquet

from sandbox import Faults, Sandbox

ROOT = Path(__file__).parent.parent
ZONE = "Europe/Moscow"
LOGGING = """
version: 1
disable_existing_loggers: false
formatters:
  structured:
    (): singer_sdk.logging.StructuredFormatter
handlers:
  stderr:
    class: logging.StreamHandler
    stream: ext://sys.stderr
    formatter: structured
root:
  level: INFO
  handlers: [stderr]
"""


def config_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": "2024-05-01T00:00:00",
        "end_date": "2024-06-01T00:00:00",
        **more,
    }


@dataclass
class Run:
    """What a run of the tap left behind."""

    code: int
    messages: list[dict[str, Any]]
    stderr: str
    stdout: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [message["record"] for message in self.of("RECORD")]

    @property
    def state(self) -> dict[str, Any]:
        value: dict[str, Any] = self.of("STATE")[-1]["value"]
        return value

    @property
    def bookmark(self) -> str:
        return str(self.state["bookmarks"]["visitor_sessions"]["replication_key_value"])

    def check(self) -> Run:
        """Assert success, validity against the SCHEMA, order, and no id twice."""
        assert self.code == 0, self.stderr
        [schema] = self.of("SCHEMA")
        validator = Draft202012Validator(schema["schema"], format_checker=FormatChecker())
        for record in self.records:
            validator.validate(record)
        order = [(r["date_time"], r["id"]) for r in self.records]
        assert order == sorted(order)
        assert len({r["id"] for r in self.records}) == len(order)
        return self


def run_tap(
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    directory: Path,
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> Run:
    """Run `python -m tap_visitor_sessions` in a process of its own."""
    command = [sys.executable, "-m", "tap_visitor_sessions"]
    for name, value in (("config", config), ("state", state), ("catalog", catalog)):
        if value is not None:
            path = directory / f"{name}.json"
            path.write_text(json.dumps(value))
            command += [f"--{name}", str(path)]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    return parsed(done.returncode, done.stdout, done.stderr)


def parsed(code: int, stdout: str, stderr: str) -> Run:
    """A run from what it left behind."""
    messages = [json.loads(line) for line in stdout.split("\n") if line.startswith('{"')]
    return Run(code, messages, stderr, stdout)


def as_json(value: Any) -> Any:
    """Values of Python, as a table's rows are, with times as RECORD messages have them."""
    if isinstance(value, datetime):
        return msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list) else value


def table_rows(path: Path) -> list[dict[str, Any]]:
    """The records of a file of Parquet or Arrow."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
    else:
        with pa.ipc.open_file(path) as file:
            table = file.read_all()
    return [as_json(row) for row in table.to_pylist()]


def check_injected(*sandboxes: Sandbox) -> None:
    """Assert that each fault that is turned on has reached a client, of all these sandboxes."""
    plain = vars(Faults())
    on = {name for one in sandboxes for name, v in vars(one.faults).items() if v != plain[name]}
    injected = sum((one.injected for one in sandboxes), Counter[str]())
    assert on, "no fault is turned on"
    assert on <= injected.keys(), f"never injected: {sorted(on - injected.keys())}"


def catalog_of(schema: dict[str, Any] | None = None, mode: str = "incremental") -> dict[str, Any]:
    """A configured catalog of Airbyte's."""
    stream = {
        "name": "visitor_sessions",
        "json_schema": schema or {},
        "supported_sync_modes": [mode],
    }
    configured = {
        "stream": stream,
        "sync_mode": mode,
        "destination_sync_mode": "append_dedup",
        "cursor_field": ["date_time"],
        "generation_id": 1,
    }
    return {"streams": [configured]}
