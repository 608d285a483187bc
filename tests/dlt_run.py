"""A run of a pipeline, for tests of the promise: what it has loaded comes to stdout as RECORD, and
the source's state as STATE; what went wrong is the last line of stderr.

Into files, which keep what a key would hide: a session that comes twice is there twice.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import dlt
from pyarrow import parquet

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.dlt import raise_on_incomplete, visitor_sessions
from tap_visitor_sessions.sessions import kind_of

NAME, DAYS = "visitor_sessions", "visitor_session_days"
NESTED = {
    name
    for name, schema in stream_schema()["properties"].items()
    if kind_of(schema) in ("array", "object")
}


def run(config: dict[str, Any], state: Any, *, days: bool = False) -> None:
    """One run, as of a pipeline whose last one has left `state`.

    Args:
        days: Whether `visitor_session_days` and the column `read_at` are wanted too.

    Raises:
        TapError: what ended it, or that there is more to come.
    """
    with TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        pipeline = dlt.pipeline(
            "promise",
            pipelines_dir=f"{folder}/work",
            destination=dlt.destinations.filesystem(str(lake)),
            dataset_name="promise",
        )
        if state:
            with pipeline.managed_state() as whole:
                whole["sources"] = {NAME: {"resources": {NAME: json.loads(json.dumps(state))}}}
        try:
            source = visitor_sessions(**config)
            if days:
                every = [*stream_schema()["properties"], "read_at"]
                source = visitor_sessions(**config, select=every).with_resources(NAME, DAYS)
            how: Any = {"loader_file_format": "parquet"} if days else {}
            info = pipeline.run(source, write_disposition="append", **how)
        except Exception as problem:
            raise _own(problem) from None
        for record in _loaded(lake / "promise" / NAME):
            print(json.dumps({"type": "RECORD", "stream": NAME, "record": record}))
        for day in _loaded(lake / "promise" / DAYS) if days else ():
            print(json.dumps({"type": "RECORD", "stream": DAYS, "record": day}))
        progress = pipeline.state["sources"][NAME]["resources"][NAME]
        print(json.dumps({"type": "STATE", "value": progress}))
        raise_on_incomplete(info)


def _own(problem: BaseException) -> BaseException:
    """The error of the source in one of dlt's."""
    found: BaseException | None = problem
    while found is not None and not isinstance(found, TapError):
        found = found.__cause__ or found.__context__
    return found or problem


def _loaded(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            yield {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if name == "read_at" else f"{value:%FT%TZ}"
    if isinstance(value, date):
        return value.isoformat()
    return json.loads(value) if name in NESTED and value is not None else value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    options = parser.parse_args(arguments)
    state = json.loads(options.state.read_text()) if options.state else None
    own = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
    with TemporaryDirectory() as data, patch.dict(os.environ, own, DLT_DATA_DIR=data), _logged():
        try:
            run(json.loads(options.config.read_text()), state)
        except TapError as problem:
            print(f"| ERROR | {problem}", file=sys.stderr)
            return 1
    return 0


@contextmanager
def _logged() -> Iterator[None]:
    """What the source says comes to stderr."""
    logger, handler = logging.getLogger("tap-visitor-sessions"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("| %(levelname)s | %(message)s"))
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
