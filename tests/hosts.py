"""The hosts of the core as the tests of the promise drive them: a small driver for each."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import dlt_run
import pytest
from hypothesis import HealthCheck, Phase, settings
from singer_sdk.plugin_base import PluginBase
from support import call_here, catalog_of

from tap_visitor_sessions import __main__ as singer_command
from tap_visitor_sessions.airbyte import __main__ as airbyte_command
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.singer.tap import TapVisitorSessions

STREAM = "visitor_sessions"
DAYS = "visitor_session_days"
Heard = tuple[str, Any]
"""("RECORD", the record), ("DAY", the row) or ("STATE", the state as it is handed in again)."""


@dataclass
class HostRun:
    """What a run of a host left behind.

    Attributes:
        stderr: What a person reads of it: the log, and the error at its end, a line each.
        errors: The errors among them.
        output: All that it wrote, anywhere.
    """

    code: int
    records: list[dict[str, Any]]
    states: list[Any]
    stderr: str
    errors: list[str]
    output: str

    @property
    def state(self) -> Any:
        return self.states[-1]

    def check(self) -> HostRun:
        """Assert success, order, and no id twice."""
        assert self.code == 0, self.stderr
        order = [(record["date_time"], record["id"]) for record in self.records]
        assert order == sorted(order)
        assert len({id_ for _, id_ in order}) == len(order)
        return self

    @property
    def error(self) -> str:
        """The one line in which it says why it failed, and which is its last."""
        assert self.code == 1, self.stderr
        assert "Traceback" not in self.output
        assert self.errors == self.stderr.splitlines()[-1:], self.stderr
        return self.errors[0]


class Host(ABC):
    """How a host is called, and what its messages mean."""

    name: ClassVar[str]
    command: ClassVar[list[str]]
    main: ClassVar[Any]
    """The command line, in this process."""
    costs: ClassVar[int] = 1
    """A run's time, in those of the tap: of a search so many times fewer examples."""

    def search(self, examples: int) -> settings:
        """Settings of a search by whole runs."""
        return settings(
            max_examples=max(examples // self.costs, 2),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes
        )

    @abstractmethod
    def arguments(self, config: dict[str, Any], state: Any, directory: Path) -> list[str]:
        """Those of a read; the files that they name are written."""

    @abstractmethod
    def heard(self, lines: Iterable[str]) -> Iterator[Heard]:
        """What a destination is told."""

    @abstractmethod
    def progress(self, state: Any) -> dict[str, Any]:
        """The stream's own part of a state."""

    @abstractmethod
    def state_of(self, progress: dict[str, Any]) -> Any:
        """The state that holds it."""

    @abstractmethod
    def sync(self, config: dict[str, Any], state: Any, *, days: bool = False) -> None:
        """A read in this process, its messages to `sys.stdout`; an error escapes.

        Args:
            days: Whether `visitor_session_days` is selected too, and the column `read_at`.
        """

    @abstractmethod
    def without_signals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Leave the signals of this process alone."""

    @abstractmethod
    def parsed(self, code: int, stdout: str, stderr: str) -> HostRun:
        """A run from what it left behind."""

    def start(self, config: dict[str, Any], state: Any, directory: Path) -> subprocess.Popen[str]:
        """A read, as a process."""
        return subprocess.Popen(
            [*self.command, *self.arguments(config, state, directory)],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",  # a kill may cut a character in two
        )

    def run(self, config: dict[str, Any], *, directory: Path, state: Any = None) -> HostRun:
        """A read to its end, in this process, which saves the second that one takes to start."""
        return self.parsed(*call_here(self.main, self.arguments(config, state, directory)))

    def run_process(
        self, config: dict[str, Any], *, directory: Path, state: Any = None, timeout: float = 120
    ) -> HostRun:
        """A read to its end, in a process of its own."""
        process = self.start(config, state, directory)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return self.parsed(process.returncode, stdout, stderr)

    def mark(self, state: Any) -> str:
        """The bookmark of a customer's account; "" before there is one."""
        return str(self.progress(state).get("replication_key_value") or "")


def _written(directory: Path, **files: Any) -> list[str]:
    options = []
    for name, value in files.items():
        if value:
            (directory / f"{name}.json").write_text(json.dumps(value))
            options += [f"--{name}", str(directory / f"{name}.json")]
    return options


class Singer(Host):
    """The tap."""

    name = "singer"
    command: ClassVar[list[str]] = [sys.executable, "-m", "tap_visitor_sessions"]
    main = staticmethod(singer_command.main)

    def arguments(self, config: dict[str, Any], state: Any, directory: Path) -> list[str]:
        return _written(directory, config=config, state=state)

    def heard(self, lines: Iterable[str]) -> Iterator[Heard]:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "RECORD":
                yield "DAY" if message["stream"] == DAYS else "RECORD", message["record"]
            elif message["type"] == "STATE":
                yield "STATE", message["value"]
            elif message["type"] == "BATCH":
                for name in message["manifest"]:
                    data = gzip.decompress(Path(name.removeprefix("file://")).read_bytes())
                    yield from (("RECORD", json.loads(record)) for record in data.splitlines())

    def progress(self, state: Any) -> dict[str, Any]:
        return dict((state or {}).get("bookmarks", {}).get(STREAM, {}))

    def state_of(self, progress: dict[str, Any]) -> Any:
        return {"bookmarks": {STREAM: progress}}

    def sync(self, config: dict[str, Any], state: Any, *, days: bool = False) -> None:
        catalog = catalog_with_days(config) if days else None
        TapVisitorSessions(
            config=dict(config), catalog=catalog, state=json.loads(json.dumps(state))
        ).sync_all()

    def without_signals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PluginBase, "_setup_signal_handlers", lambda _: None)

    def parsed(self, code: int, stdout: str, stderr: str) -> HostRun:
        lines = [line for line in stdout.split("\n") if line.startswith('{"')]
        heard = list(self.heard(lines))
        errors = [line for line in stderr.splitlines() if "| ERROR " in line]
        return HostRun(code, *_sorted_out(heard), stderr, errors, stdout + stderr)


class Airbyte(Host):
    """The Airbyte source."""

    name = "airbyte"
    command: ClassVar[list[str]] = [sys.executable, "-m", "tap_visitor_sessions.airbyte"]
    main = staticmethod(airbyte_command.main)

    def arguments(self, config: dict[str, Any], state: Any, directory: Path) -> list[str]:
        files = _written(directory, config=config, catalog=catalog_of(), state=state)
        return ["read", *files]

    def heard(self, lines: Iterable[str]) -> Iterator[Heard]:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "RECORD":
                kind = "DAY" if message["record"]["stream"] == DAYS else "RECORD"
                yield kind, message["record"]["data"]
            elif message["type"] == "STATE":
                name = message["state"]["stream"]["stream_descriptor"]["name"]
                if name == STREAM:
                    yield "STATE", [message["state"]]

    def progress(self, state: Any) -> dict[str, Any]:
        return dict(state[0]["stream"]["stream_state"]) if state else {}

    def state_of(self, progress: dict[str, Any]) -> Any:
        stream = {"stream_descriptor": {"name": STREAM}, "stream_state": progress}
        return [{"type": "STREAM", "stream": stream}]

    def sync(self, config: dict[str, Any], state: Any, *, days: bool = False) -> None:
        catalog = configured_with_days(config) if days else catalog_of()
        if days and state and len(state) == 1:  # the platform keeps that of each stream
            its = {"stream_descriptor": {"name": DAYS}, "stream_state": {"rows": 1}}
            state = [*state, {"type": "STREAM", "stream": its}]
        airbyte_source.Source(Messages()).read(dict(config), catalog, state or None)

    def without_signals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(airbyte_source._Read, "_heed_signals", lambda _: None)

    def parsed(self, code: int, stdout: str, stderr: str) -> HostRun:
        assert not stderr
        written = [line for line in stdout.split("\n") if line]
        lines, errors = [], []
        for message in map(json.loads, written):
            if message["type"] == "LOG":
                level = message["log"]["level"].replace("WARN", "WARNING")
                lines.append(f"| {level} | {message['log']['message']}")
            elif message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
                errors.append(f"| ERROR | {message['trace']['error']['message']}")
                lines.append(errors[-1])
        heard = list(self.heard(written))
        return HostRun(code, *_sorted_out(heard), "\n".join(lines), errors, stdout)


class Dlt(Host):
    """The dlt source, in a pipeline into files: see dlt_run.py."""

    name = "dlt"
    command: ClassVar[list[str]] = [sys.executable, str(Path(__file__).with_name("dlt_run.py"))]
    main = staticmethod(dlt_run.main)
    costs = 20

    def arguments(self, config: dict[str, Any], state: Any, directory: Path) -> list[str]:
        return _written(directory, config=config, state=state)

    def heard(self, lines: Iterable[str]) -> Iterator[Heard]:
        return Singer().heard(lines)

    def progress(self, state: Any) -> dict[str, Any]:
        return dict(state or {})

    def state_of(self, progress: dict[str, Any]) -> Any:
        return progress

    def sync(self, config: dict[str, Any], state: Any, *, days: bool = False) -> None:
        dlt_run.run(config, state, days=days)

    def without_signals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """dlt leaves them as they were; what else it would touch is this machine's."""
        monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        monkeypatch.setenv("DLT_DATA_DIR", self.data)

    @cached_property
    def data(self) -> str:
        """A folder of dlt's own."""
        self._folder = TemporaryDirectory()
        return self._folder.name

    def run(self, config: dict[str, Any], *, directory: Path, state: Any = None) -> HostRun:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = dlt_run.main(self.arguments(config, state, directory))
        return self.parsed(code, out.getvalue(), err.getvalue())

    def parsed(self, code: int, stdout: str, stderr: str) -> HostRun:
        return Singer().parsed(code, stdout, stderr)


def catalog_with_days(config: dict[str, Any]) -> dict[str, Any]:
    """A Singer catalog that selects both streams, and `read_at`."""
    catalog: dict[str, Any] = json.loads(
        json.dumps(TapVisitorSessions(config=dict(config)).catalog_dict)
    )
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"] or item["breadcrumb"][-1] == "read_at":
                item["metadata"]["selected"] = True
    return catalog


def configured_with_days(config: dict[str, Any], mode: str = "incremental") -> dict[str, Any]:
    """The same of Airbyte's."""
    settings = airbyte_source.settings_of(config)
    return {
        "streams": [
            {**catalog_of(mode=mode)["streams"][0], "stream": one, "cursor_field": None}
            for one in airbyte_source.discovered(settings)["streams"]
        ]
    }


def _sorted_out(heard: list[Heard]) -> tuple[list[dict[str, Any]], list[Any]]:
    records = [value for kind, value in heard if kind == "RECORD"]
    return records, [value for kind, value in heard if kind == "STATE"]


HOSTS: list[Host] = [Singer(), Airbyte()]
"""Those with a command line."""
EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
DLT = Dlt()
AND_DLT = pytest.mark.parametrize("host", [*HOSTS, DLT], ids=lambda host: host.name)
