"""The command line: errors as one line that tells the cure, never a traceback."""

from __future__ import annotations

import logging
import sys

from tap_visitor_sessions.errors import TapError
from tap_visitor_sessions.tap import TapVisitorSessions


def main() -> None:
    """Run the tap; exit 1 with one line on stderr for every foreseen error."""
    try:
        TapVisitorSessions.cli()
    except TapError as problem:
        logging.getLogger(TapVisitorSessions.name).error("%s", problem)
        sys.exit(1)


if __name__ == "__main__":
    main()
