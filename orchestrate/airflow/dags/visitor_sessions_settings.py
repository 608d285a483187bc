"""What the DAGs are set by: the environment, and the extras of the connection over it. Pure.

Null and empty are "not set", wherever they stand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

Made = TypeVar("Made")

TAP = "TAP_VISITOR_SESSIONS_"
OURS = "VISITOR_SESSIONS_"
PARSED = ("POOL", "QUEUE", "RETRIES", "RETRY_DELAY", "TASK_TIMEOUT", "RUN_TIMEOUT", "ASSET")
"""Settings that are needed when the DAGs are parsed, and so only from the environment."""


KEPT_DAYS = 30
"""Default of KEEP_STATES."""
LONGEST_DAYS = 36_500
"""What more days come to: a longer time lies before the calendar's first day."""


class SettingProblem(ValueError):
    """A setting that cannot work; the text begins with its name."""


def environment(environ: Mapping[str, str], extras: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables: the process's own, and over them what the connection sets."""
    found = {name: value for name, value in environ.items() if value or not _is_ours(name)}
    for name, value in extras.items():
        if value is None or value == "":
            continue
        found[name] = value if isinstance(value, str) else json.dumps(value)
    return found


def _is_ours(name: str) -> bool:
    return name.startswith((TAP, OURS))


def text(env: Mapping[str, str], name: str, default: str = "") -> str:
    """A setting of ours."""
    return env.get(OURS + name, "").strip() or default


def whole(env: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    """A setting of ours that is a whole number.

    Raises:
        SettingProblem: it is none, or less than the least.
    """
    given = text(env, name)
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) >= least):
        raise SettingProblem(
            f"{OURS}{name} is {given[:40]!r}: a whole number from {least} on is wanted"
        )
    return int(given)


def group_size(env: Mapping[str, str]) -> int:
    """Customers of a run of the tap."""
    return whole(env, "GROUP_SIZE", 1, least=1)


def kept(env: Mapping[str, str]) -> timedelta:
    """How long the states of finished pieces stay."""
    return timedelta(days=min(whole(env, "KEEP_STATES", KEPT_DAYS, least=1), LONGEST_DAYS))


def problems(env: Mapping[str, str]) -> list[str]:
    """What is wrong with the settings that tasks read."""
    found = []
    for read in (group_size, kept):
        try:
            read(env)
        except SettingProblem as problem:
            found.append(str(problem))
    return found


class AtParsing:
    """Settings that a DAG file needs when it is parsed. What cannot work is the default, so that
    the file can be imported, and is told by the first task: see `problems`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        return text(self._env, name, default)

    def made(self, name: str, default: str, make: Callable[[str], Made]) -> Made:
        """What is made of a text."""
        try:
            return make(self.text(name, default))
        except ValueError as problem:
            self.problems.append(f"{OURS}{name}: {problem}")
            return make(default)

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """A whole number."""
        try:
            return whole(self._env, name, default, least=least)
        except SettingProblem as problem:
            self.problems.append(str(problem))
            return default

    def told(self, extras: Mapping[str, Any]) -> list[str]:
        """What is wrong, those settings included that stand in a connection in vain."""
        in_vain = [OURS + name for name in PARSED if extras.get(OURS + name) not in (None, "")]
        return self.problems + [
            f"{name} counts in the environment only, where the DAGs are parsed: take it out of "
            "the connection"
            for name in in_vain
        ]
