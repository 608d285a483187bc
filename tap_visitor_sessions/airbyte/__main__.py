"""The command `source-visitor-sessions`, as the Airbyte protocol calls it."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import NoReturn

from tap_visitor_sessions.startup import collect_seldom, end_at_once_on_signals, share_one_heap


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a TapError, so that it becomes a message."""

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        from tap_visitor_sessions.api import TapError

        if message.startswith("unrecognized arguments"):  # they may be a configuration's
            message = "Arguments too many: each option takes the path of one file"
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
    end_at_once_on_signals()
    share_one_heap()

    from tap_visitor_sessions.airbyte.messages import LogMessages, Messages
    from tap_visitor_sessions.airbyte.source import Source, failure_type
    from tap_visitor_sessions.airbyte.state import read_state
    from tap_visitor_sessions.api import TapError, unforeseen
    from tap_visitor_sessions.config import json_of, object_of

    collect_seldom()
    output = Messages()
    root = logging.getLogger()
    root.handlers = [LogMessages(output)]
    root.setLevel(logging.INFO)
    for noisy in ("urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        options = parser().parse_args()
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
    except TapError as problem:
        output.error(str(problem), failure_type(problem), type(problem).__name__)
        sys.exit(1)
    except Exception as problem:
        output.error(unforeseen(problem), "system_error", type(problem).__name__)
        sys.exit(1)


if __name__ == "__main__":
    main()
