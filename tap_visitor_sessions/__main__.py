"""The command line: errors as one line that tells the cure, never a traceback."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys


def main() -> None:
    """Run the tap; exit 1 with one line on stderr for every error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Until the tap takes over nothing has been written, so there is nothing to say.
        signal.signal(number, lambda n, _: os._exit(128 + n))

    from tap_visitor_sessions.api.errors import TapError
    from tap_visitor_sessions.singer.cli import Command
    from tap_visitor_sessions.singer.failure import told

    # Records hold no cycles: the collector finds nothing, and looking costs a tenth of a run.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    logger = logging.getLogger(Command.name)
    try:
        Command.cli()
    except Exception as problem:
        logger.error("%s", told(problem))
        if not isinstance(problem, TapError):  # those say all there is
            logger.debug("Where it happened", exc_info=problem)
        sys.exit(1)


def doctor() -> None:
    """`tap-visitor-sessions --doctor`, by a name of its own."""
    sys.argv.insert(1, "--doctor")
    main()


if __name__ == "__main__":
    main()
