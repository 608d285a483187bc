"""STATE as a file holds it. Pure: works on texts and plain dicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.config import STREAM
from tap_visitor_sessions.sessions import ALL_IS_READ, FIX, StateError, check_progress, type_name


def read_state(text: str, where: str) -> tuple[dict[str, Any], list[str], list[str]]:
    """The state in a text: the last of several lines, taken out of its wrapping.

    Args:
        where: What messages call the text, such as `the state file state.json`.

    Returns:
        The state; what was done with it; what is to be warned about.

    Raises:
        StateError: it holds no state of a Singer tap.
    """
    text = text.lstrip("\ufeff")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return {}, [], [f"{where} is empty: {ALL_IS_READ}"]
    notes = []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if len(lines) == 1:
            raise StateError(f"{where} is no JSON: {FIX}") from None
        notes.append(f"{where} has {len(lines)} lines: the last is taken")
        try:
            value = json.loads(lines[-1])
        except (ValueError, RecursionError):
            raise StateError(f"The last line of {where} is no JSON: {FIX}") from None
    if value is None:
        return {}, notes, [f"{where} is null: {ALL_IS_READ}"]
    state = _unwrapped(value, where, notes)
    return state, notes, []


def _unwrapped(value: Any, where: str, notes: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StateError(f"{where} is not an object but {type_name(value)}: {FIX}")
    if not value or "bookmarks" in value:
        return value
    if value.get("type") == "STATE" and "value" in value:
        notes.append(f"{where} is a whole STATE message: its value is taken")
        return _unwrapped(value["value"], where, notes)
    if "singer_state" in value:
        notes.append(f"{where} is wrapped in singer_state, as Meltano does: taken out of it")
        return _unwrapped(value["singer_state"], where, notes)
    if "completed" in value or "partial" in value:
        notes.append(f"{where} is a record of Meltano's state backend: its states are taken")
        parts = [value[name] for name in ("completed", "partial") if value.get(name)]
        bookmarks: dict[str, Any] = {}
        for part in parts:
            bookmarks |= _unwrapped(part, where, notes).get("bookmarks") or {}
        return {"bookmarks": bookmarks}
    if "type" in value:
        raise StateError(f"{where} holds a {value['type']} message, no STATE: {FIX}")
    members = ", ".join(sorted(map(str, value))[:5])
    raise StateError(f"{where} has no member bookmarks, but {members}: {FIX}")


def check_state(
    state: Mapping[str, Any], *, is_partner: bool, account: str | None = None
) -> list[str]:
    """What a user should know of a state before a run builds on it: a line each.

    Args:
        account: The setting of that name.

    Raises:
        StateError: something in it cannot be what a former run has said.
    """
    bookmarks = _object(state.get("bookmarks"), "bookmarks")
    progress = _object(bookmarks.get(STREAM), f"bookmarks.{STREAM}")
    found = check_progress(progress, is_partner=is_partner, account=account)
    if bookmarks and STREAM not in bookmarks:
        others = ", ".join(sorted(map(str, bookmarks))[:5])
        found.append(f"The state has nothing about {STREAM}, only of {others}: {ALL_IS_READ}")
    return found


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise StateError(f"The state's {name} is not an object but {type_name(value)}: {FIX}")
    return value
