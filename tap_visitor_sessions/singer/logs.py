"""What the environment says of the log, where the SDK would end with an error of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path

from tap_visitor_sessions.api import TapError

LEVELS = ("TAP_VISITOR_SESSIONS_LOGLEVEL", "LOGLEVEL")
CONFIGURATION = "SINGER_SDK_LOG_CONFIG"

logger = logging.getLogger("tap-visitor-sessions.settings")


def run_with_logs(
    command: Callable[[], Callable[[], object]], environ: MutableMapping[str, str] = os.environ
) -> None:
    """Run a command after the log is set up; a warning says what of the environment is not used.

    Args:
        command: Sets up the log, and makes the command.

    Raises:
        TapError: the logging configuration cannot be used.
    """
    warnings = list(_unusable(environ))
    try:
        made = command()
    except Exception as problem:
        if CONFIGURATION not in environ:
            raise
        raise TapError(
            f"{CONFIGURATION} names something that is not a logging configuration "
            f"({type(problem).__name__}): {environ[CONFIGURATION]}"
        ) from None
    for line in warnings:
        logger.warning("%s", line)
    made()


def _unusable(environ: MutableMapping[str, str]) -> Iterator[str]:
    """What cannot be used, a line each; it is taken out of the environment."""
    for name in LEVELS:
        level = environ.get(name)
        if level and not isinstance(logging.getLevelName(level.upper()), int):
            del environ[name]
            yield f"{name} is no level such as DEBUG, INFO or WARNING, and not used"
    path = environ.get(CONFIGURATION)
    if path is not None and not Path(path).exists():
        del environ[CONFIGURATION]
        yield f"{CONFIGURATION} names no file, and is not used: {path}"
