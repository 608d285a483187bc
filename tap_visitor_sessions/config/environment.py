"""Settings out of the environment and a `.env` file, as the texts that they are.

The SDK's own reading looks for `.env` beside its code, lets it overrule the environment, puts it
into the process's environment, and fails with a traceback at a text it did not expect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config.parsing import is_unset


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
        TapError: the file is there, but cannot be read.
    """
    known = [f"{prefix}{name.upper()}" for name in names]
    found: dict[str, str] = {}
    for source in (environ, _file(dotenv)):
        for variable, text in source.items():
            if not variable.startswith(prefix) or text is None or is_unset(text):
                continue
            if variable in known or get_close_matches(variable, known, n=1, cutoff=0.9):
                found.setdefault(variable.removeprefix(prefix).lower(), text)
    return found


def _file(path: Path) -> Mapping[str, str | None]:
    if not path.is_file():
        return {}
    try:
        return dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise TapError(f"{path.resolve()} cannot be read: {reason}") from None
