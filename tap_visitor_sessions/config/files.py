"""Files that a command line names: what cannot be read is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tap_visitor_sessions.api import TapError

_LONGEST = 4096
"""Characters of a path."""


def text_of(path: str, kind: str) -> str:
    """The text of a file that the command line names.

    Raises:
        TapError: it cannot be read.
    """
    if path.lstrip()[:1] in ("{", "[") or "\n" in path or len(path) > _LONGEST:
        # It may hold secrets, so nothing of it is shown.
        raise TapError(f"The option {kind} takes the path of a file, not its content")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TapError(f"The {kind} file {path} is not text in UTF-8") from None
    except OSError as problem:
        raise TapError(f"The {kind} file {path} cannot be read: {problem.strerror}") from None


def json_of(path: str, kind: str) -> Any:
    """What a file of JSON holds. A fraction comes as a float.

    Raises:
        TapError: it cannot be read, or is no JSON.
    """
    return json_in(text_of(path, kind), path, kind)


def json_in(text: str, path: str, kind: str) -> Any:
    """What the text of a file of JSON holds.

    Raises:
        TapError: it is no JSON.
    """
    try:
        return json.loads(text)
    except ValueError as problem:
        # Not the text around it: it may be a secret's.
        where = f", line {problem.lineno}" if isinstance(problem, json.JSONDecodeError) else ""
        raise TapError(f"The {kind} file {path} is no JSON{where}: correct it") from None
    except RecursionError:
        raise TapError(f"The {kind} file {path} is nested too deeply: correct it") from None


def object_of(path: str, kind: str) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        TapError: it cannot be read, or holds none.
    """
    value = json_of(path, kind)
    if not isinstance(value, dict):
        raise TapError(f"The {kind} file {path} does not hold a JSON object: correct it")
    return value
