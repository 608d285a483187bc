"""A mart's rows against the reckoning's."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from project import Project
from reckoning import Reckoning

Row = dict[str, Any]


def check_marts(project: Project, reckoning: Reckoning) -> None:
    """Every mart that is reckoned holds just what it should, and no other mart is there."""
    unknown = set(project.marts()) - reckoning.tables.keys() - {"quality"}
    assert not unknown, f"nothing is known of {unknown}"
    persons, groups, problems = _persons(project, reckoning), _Names("channel_group"), []
    for name, wanted in reckoning.tables.items():
        found = project.mart(name)
        for row in found:
            if "person_key" in row:
                row["person_key"] = persons[row["person_key"]]
            for column in [column for column in row if column.endswith("channel_group")]:
                groups.same(row[column], row[column.removesuffix("_group")])
        problem = _difference(found, wanted)
        if problem:
            problems.append(f"{name}: {problem}")
    assert not problems, "\n".join(problems)


def _persons(project: Project, reckoning: Reckoning) -> dict[str, Any]:
    """Who each key is, by their sessions: one key a person, and one person a key."""
    names, who = ("account", "customer_id", "session_id"), _Names("person_key")
    wanted = {tuple(row[n] for n in names): row for row in reckoning.tables["sessions"]}
    for row in project.mart("sessions"):
        key = tuple(_plain(row[name]) for name in names)
        if key in wanted:
            who.same(row["person_key"], wanted[key]["person_key"])
    return who.turned()


def _difference(found: Sequence[Row], wanted: Sequence[Row]) -> str:
    """The first in which they differ, or nothing."""
    columns = sorted(wanted[0]) if wanted else []
    lacking = set(columns) - (found[0].keys() if found else set(columns))
    if lacking:
        return f"there is no {lacking}"
    if len(found) != len(wanted):
        extra = _groups(found, columns), _groups(wanted, columns)
        more = [key for key in extra[0] if len(extra[0][key]) != len(extra[1][key])]
        less = [key for key in extra[1] if len(extra[0][key]) != len(extra[1][key])]
        return f"{len(found)} rows of {len(wanted)}; {more[:2]} instead of {less[:2]}"
    there, here = _groups(found, columns), _groups(wanted, columns)
    for key, rows in here.items():
        if len(there[key]) != len(rows):
            near = [other for other in there if other not in here]
            near.sort(key=lambda other: -sum(a == b for a, b in zip(other, key, strict=True)))
            return f"{len(there[key])} times {dict(zip(_exact(columns), key, strict=True))}; " + (
                f"but {dict(zip(_exact(columns), near[0], strict=True))}" if near else ""
            )
        for one, other in zip(_sorted(there[key]), _sorted(rows), strict=True):
            for column in _inexact(columns):
                if not _close(one[column], other[column]):
                    return f"{column} is {one[column]!r} instead of {other[column]!r} in {one}"
    return ""


FLOATS = {
    *("credit", "value", "conversions", "qualified", "days_until", "spend"),
    *("cost_per_session", "cost_per_call", "cost_per_qualified"),
    *("Conversion Value", "Price"),
}


def _inexact(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in FLOATS]


def _exact(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column not in FLOATS]


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_plain(row[column]) for column in _exact(columns))].append(row)
    return groups


def _sorted(rows: Sequence[Row]) -> list[Row]:
    def order(row: Row) -> Any:
        return [round(float(row[column] or 0), 6) for column in _inexact(list(row))]

    return sorted(rows, key=order)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, datetime):
        assert value.tzinfo is None, "times of the marts are UTC without an offset"
        return str(value)
    return str(value) if isinstance(value, date) else value


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-9)


class _Names:
    """What is called one thing here is called one thing there."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._there: dict[Any, Any] = {}

    def same(self, found: Any, wanted: Any) -> None:
        known = self._there.setdefault(wanted, found)
        assert found is not None, f"{self._what} of {wanted}"
        assert known == found, f"{self._what} of {wanted}: {known} and {found}"

    def turned(self) -> dict[Any, Any]:
        """What each is here; no two are called the same."""
        turned = {found: wanted for wanted, found in self._there.items()}
        assert len(turned) == len(self._there), self._what
        return turned
