"""Settings out of the environment and a `.env` file, as the texts that they are.

The SDK's own reading looks for `.env` beside its code, lets it overrule the environment, puts it
into the process's environment, and fails with a traceback at a text it did not expect.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config.parsing import is_unset

logger = logging.getLogger("tap-visitor-sessions.settings")


def texts(
    prefix: str,
    names: Iterable[str],
    environ: Mapping[str, str] = os.environ,
    dotenv: Path = Path(".env"),
) -> dict[str, str]:
    """Setting -> text, of those that are not empty; the environment goes before the file.

    A variable whose name is nearly a setting's comes as the setting that it names, which is
    unknown, so that a warning can be given.

    Raises:
        TapError: the file is there, but cannot be read, or not a line of it that is ours.
    """
    known = [f"{prefix}{name.upper()}" for name in names]
    found: dict[str, str] = {}
    for source in (_decoded(environ, prefix), _file(dotenv, prefix)):
        for variable, text in source.items():
            if not variable.startswith(prefix) or text is None or is_unset(text):
                continue
            if variable in known or get_close_matches(variable, known, n=1, cutoff=0.9):
                found.setdefault(variable.removeprefix(prefix).lower(), text)
    return found


def _decoded(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Our variables as the texts that their bytes are in UTF-8, whatever the locale says: what
    starts the tap seldom writes in another; where they are none, as the locale reads them."""
    found = {}
    for name, text in environ.items():
        if name.startswith(prefix):
            with suppress(UnicodeError):
                text = os.fsencode(text).decode()
            if not text.isascii() and re.search("[\ud800-\udfff]", text):
                raise TapError(f"{name} is not text in UTF-8 or in the locale's encoding")
            found[name] = text
    return found


def _file(path: Path, prefix: str) -> Mapping[str, str | None]:
    """The variables as they are written: nothing is filled in for a `${NAME}`."""
    if not path.is_file():
        return {}
    found: dict[str, str | None] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in parse_stream(file):
                if line.error and prefix in line.original.string:
                    where = f"{path.resolve()}, line {line.original.line}"
                    raise TapError(f"{where} cannot be read: write NAME=value, or NAME='value'")
                if line.key is not None:
                    found[line.key] = line.value
    except (OSError, UnicodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise TapError(f"{path.resolve()} cannot be read: {reason}") from None
    if ours := sum(name.startswith(prefix) for name in found):
        logger.info("%s is read: it has %d of the variables %s*", path.resolve(), ours, prefix)
    return found
