"""The command line: errors as one line that tells the fix, never a traceback."""

from __future__ import annotations

import logging
import sys

from tap_visitor_sessions.startup import (
    collect_seldom,
    end_at_once_on_signals,
    flush_output,
    share_one_heap,
    use_standard_streams,
)


def main() -> None:
    """Run the tap; exit 1 with one line on stderr for every error."""
    end_at_once_on_signals()
    use_standard_streams()
    share_one_heap()

    from tap_visitor_sessions.api import TapError, passes
    from tap_visitor_sessions.sessions import READER_GONE
    from tap_visitor_sessions.singer.cli import Command
    from tap_visitor_sessions.singer.errors import one_line, where
    from tap_visitor_sessions.singer.logs import run_with_logs

    collect_seldom()
    logger = logging.getLogger(Command.name)
    try:
        try:
            run_with_logs(lambda: Command.cli)
        finally:
            flush_output()
    except BrokenPipeError:
        sys.exit(READER_GONE)
    except Exception as problem:
        # For who starts it: whether to try again.
        failure = {"kind": type(problem).__name__, "passes": passes(problem)}
        logger.error("%s", one_line(problem), extra={"failure": failure})
        if not isinstance(problem, TapError):  # those say all there is
            logger.debug("Where it happened: %s", where(problem))
        sys.exit(1)


def doctor() -> None:
    """`tap-visitor-sessions --doctor`, by a name of its own."""
    sys.argv.insert(1, "--doctor")
    main()


if __name__ == "__main__":
    main()
