"""The command `source-visitor-sessions`, as the Airbyte protocol calls it."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a TapError, so that it becomes a message."""

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        from tap_visitor_sessions.api.errors import TapError

        raise TapError(message)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = _Parser(prog="source-visitor-sessions", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, needs in (
        ("spec", ()),
        ("check", ("config",)),
        ("discover", ("config",)),
        ("read", ("config", "catalog")),
    ):
        command = commands.add_parser(name)
        for option in needs:
            command.add_argument(f"--{option}", required=True, metavar="FILE")
        if name == "read":
            command.add_argument("--state", metavar="FILE")
    return found


def main() -> None:
    """Run a command; every error is a TRACE message, and the exit code 1."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: os._exit(128 + n))

    from tap_visitor_sessions.airbyte.messages import LogMessages, Messages
    from tap_visitor_sessions.airbyte.source import Source, failure_type
    from tap_visitor_sessions.api.errors import TapError, unforeseen

    # Records hold no cycles: the collector finds nothing, and looking costs a tenth of a run.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    output = Messages()
    root = logging.getLogger()
    root.handlers = [LogMessages(output)]
    root.setLevel(logging.INFO)
    for noisy in ("urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        options = parser().parse_args()
        given = {
            name: _read(name, path)
            for name, path in vars(options).items()
            if name != "command" and path is not None
        }
        source = Source(output)
        match options.command:
            case "spec":
                source.spec()
            case "check":
                source.check(_object(given["config"]))
            case "discover":
                source.discover(_object(given["config"]))
            case "read":
                source.read(_object(given["config"]), given["catalog"], given.get("state"))
    except TapError as problem:
        output.error(str(problem), failure_type(problem), type(problem).__name__)
        sys.exit(1)
    except Exception as problem:
        output.error(unforeseen(problem), "system_error", type(problem).__name__)
        sys.exit(1)


def _read(name: str, path: str) -> Any:
    from tap_visitor_sessions.api.errors import TapError

    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text) if text.strip() else None
    except OSError as problem:
        raise TapError(f"The {name} file {path}: {problem.strerror}") from None
    except (ValueError, RecursionError):
        raise TapError(f"The {name} file {path} is no JSON") from None


def _object(value: Any) -> dict[str, Any]:
    from tap_visitor_sessions.api.errors import TapError

    if not isinstance(value, dict):
        raise TapError("The config is no object")
    return value


if __name__ == "__main__":
    main()
