"""Running the Airbyte source as Airbyte does, and reading what it wrote."""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from support import call_here, catalog_of

from tap_visitor_sessions.airbyte import __main__ as airbyte_command
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.api import TapError

COMMAND = [sys.executable, "-m", "tap_visitor_sessions.airbyte"]
NAME = "visitor_sessions"


@dataclass
class Done:
    """What a run of the source left behind."""

    code: int
    messages: list[dict[str, Any]]
    stderr: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def traces(self, kind: str) -> list[dict[str, Any]]:
        traces = [message["trace"] for message in self.of("TRACE")]
        return [trace[kind.lower()] for trace in traces if trace["type"] == kind]

    @property
    def records(self) -> list[dict[str, Any]]:
        assert all(m["record"]["stream"] == NAME for m in self.of("RECORD"))
        return [message["record"]["data"] for message in self.of("RECORD")]

    @property
    def statuses(self) -> list[str]:
        return [trace["status"] for trace in self.traces("STREAM_STATUS")]

    @property
    def state(self) -> list[dict[str, Any]]:
        """As Airbyte hands it in again."""
        return [self.of("STATE")[-1]["state"]]

    def check(self) -> Done:
        """Assert success; nothing on stderr; each record is counted by one STATE."""
        assert (self.code, self.stderr) == (0, ""), (self.messages[-3:], self.stderr)
        assert self.statuses == ["STARTED", "RUNNING", "COMPLETE"]
        counts = [message["state"]["sourceStats"]["recordCount"] for message in self.of("STATE")]
        assert sum(counts) == len(self.records)
        assert max(counts) <= 10_000 + 1000
        return self

    def check_once(self) -> Done:
        """Assert success, and no session twice."""
        assert self.code == 0, self.messages[-1:]
        ids = [record["id"] for record in self.records]
        assert len(ids) == len(set(ids))
        return self


def written(directory: Path, **files: Any) -> list[str]:
    options = []
    for name, value in files.items():
        if value is not None:
            (directory / f"{name}.json").write_text(json.dumps(value))
            options += [f"--{name}", str(directory / f"{name}.json")]
    return options


def source(command: str, directory: Path, **files: Any) -> Done:
    """A command, in this process."""
    code, out, err = call_here(airbyte_command.main, [command, *written(directory, **files)])
    return Done(code, [json.loads(line) for line in out.splitlines()], err)


def read(config: dict[str, Any], directory: Path, **more: Any) -> Done:
    return source(
        "read", directory, config=config, catalog=more.pop("catalog", catalog_of()), **more
    )


def full_refresh(generation: int | None = None, mode: str = "full_refresh") -> dict[str, Any]:
    """A catalog as the platform makes it for a refresh."""
    catalog = catalog_of(mode=mode)
    [stream] = catalog["streams"]
    stream["destination_sync_mode"] = "overwrite"
    del stream["generation_id"]
    if generation is not None:
        stream |= {"generation_id": generation, "minimum_generation_id": generation}
    return catalog


def read_here(config: dict[str, Any], catalog: dict[str, Any], state: Any = None) -> Done:
    """A read in this process; it may end in an error of ours."""
    out = io.StringIO()
    code = 0
    with (
        patch.object(sys, "stdout", out),
        patch.object(airbyte_source._Read, "_heed_signals", lambda _: None),
        suppress(TapError),
    ):
        code = 1
        source = airbyte_source.Source(Messages())
        source.read(dict(config), catalog, json.loads(json.dumps(state)))
        code = 0
    return Done(code, [json.loads(line) for line in out.getvalue().splitlines()], "")
