"""The command `source-visitor-sessions`, as the Airbyte protocol calls it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import NoReturn

from tap_visitor_sessions.startup import (
    collect_seldom,
    end_at_once_on_signals,
    end_by_signal,
    share_one_heap,
    use_standard_streams,
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a TapError, so that it becomes a message."""

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        from tap_visitor_sessions.api import TapError

        if message.startswith("unrecognized arguments"):  # they may be a configuration's
            message = "Too many arguments: each option takes the path of one file"
        raise TapError(message)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = _Parser(
        prog="source-visitor-sessions",
        description="Visitor sessions of CallGear, CoMagic and UIS as an Airbyte source.",
    )
    commands = found.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, needs, text in (
        ("spec", (), "write the settings, as a form shows them"),
        ("check", ("config",), "ask the API whether a read with these settings can work"),
        ("discover", ("config",), "write the stream and its columns"),
        ("read", ("config", "catalog"), "read sessions, from a state on where there is one"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--debug", action="store_true", help="log more, and say where an error happened"
        )
        for option in needs:
            command.add_argument(f"--{option}", required=True, metavar="FILE")
        if name == "read":
            command.add_argument("--state", metavar="FILE")
    return found


def main() -> None:
    """Run a command; every error is a TRACE message, and the exit code 1."""
    end_at_once_on_signals(end_by_signal)
    use_standard_streams()
    share_one_heap()

    from tap_visitor_sessions.airbyte.failures import failure_type, stack_of
    from tap_visitor_sessions.airbyte.messages import LogMessages, Messages
    from tap_visitor_sessions.airbyte.source import Source
    from tap_visitor_sessions.airbyte.state import read_state
    from tap_visitor_sessions.api import TapError, unforeseen
    from tap_visitor_sessions.config import json_of, object_of
    from tap_visitor_sessions.sessions import Unwritable

    collect_seldom()
    output = Messages()
    root = logging.getLogger()
    root.handlers = [LogMessages(output)]
    level = os.environ.get("TAP_VISITOR_SESSIONS_LOGLEVEL", "").strip().upper()
    root.setLevel(level if level in ("DEBUG", "INFO", "WARNING", "ERROR") else "INFO")
    for noisy in ("urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        options = parser().parse_args()
        if options.debug:
            root.setLevel(logging.DEBUG)
        source = Source(output)
        match options.command:
            case "spec":
                source.spec()
            case "check":
                source.check(object_of(options.config, "config"))
            case "discover":
                source.discover(object_of(options.config, "config"))
            case "read":
                config = object_of(options.config, "config")
                catalog = json_of(options.catalog, "catalog")
                state = read_state(options.state) if options.state else None
                source.read(config, catalog, state)
    except Exception as problem:
        text = str(problem) if isinstance(problem, TapError) else unforeseen(problem)
        stack = stack_of(problem) if root.isEnabledFor(logging.DEBUG) else None
        try:
            output.error(text, failure_type(problem), type(problem).__name__, stack)
        except Unwritable as unheard:
            sys.stderr.write(f"{unheard}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
