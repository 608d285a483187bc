"""Running the tap as a user does, and reading what it wrote."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pyarrow as pa
from jsonschema import Draft202012Validator, FormatChecker
from pyarrow import parquet

from sandbox import Faults, Sandbox
from tap_visitor_sessions import __main__ as singer_command

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
) -> Run:
    """Run the tap's command line in this process, which saves the second that one takes to start;
    `run_process` is for tests of what a process does."""
    options = _written(directory, config=config, state=state, catalog=catalog)
    with patch.dict(os.environ, env or {}):
        return parsed(*call_here(singer_command.main, [*options, *arguments]))


def run_process(
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    directory: Path,
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> Run:
    """Run `python -m tap_visitor_sessions` in a process of its own."""
    options = _written(directory, config=config, state=state, catalog=catalog)
    done = subprocess.run(
        [sys.executable, "-m", "tap_visitor_sessions", *options, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    return parsed(done.returncode, done.stdout, done.stderr)


def _written(directory: Path, **files: Any) -> list[str]:
    """The options that name the files, which are written."""
    options = []
    for name, value in files.items():
        if value is not None:
            path = directory / f"{name}.json"
            path.write_text(json.dumps(value))
            options += [f"--{name}", str(path)]
    return options


def call_here(main: Callable[[], object], arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line, called in this process; what it does to
    its process is undone."""
    written = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in written)
    root, code = logging.getLogger(), 0
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", ["command", *arguments]))
        # It is meant for a process that ends: frozen, what tests leave is never collected.
        stack.enter_context(patch.object(sys.modules[main.__module__], "collect_seldom"))
        logging.disable(logging.NOTSET)
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            traceback.print_exc()
            code = 1
        finally:
            logging.captureWarnings(capture=False)
            logging.disable(disabled)
            root.handlers, root.level = handlers, level
            for number, handler in signals.items():
                signal.signal(number, handler)
    stdout, stderr = (raw.getvalue().decode() for raw in written)
    return code, stdout, stderr


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
