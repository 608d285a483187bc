"""Sessions -> the shapes of their values: which types came, what kind of text, how long; no value.

Pure. A place is spelled `visitor_id`, `hits[].hit_url`, `integrated_campaign_data.keyword`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tap_visitor_sessions.api import redacted

SESSION = "(session)"
"""The place of a session itself."""
MOST_NAMES = 30
"""So many undeclared names of a place are shown at most."""
_TELLING = 4
"""A value of so many characters is not shown as a part of a name either."""
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_MOST_DIGITS = 2

KINDS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for name, pattern in {
        "empty": r"",
        "blank": r"\s+",
        "digits": r"[0-9]+",
        "number": r"[+-]?[0-9]+([.,][0-9]+)?",
        "date": r"\d{4}-\d\d-\d\d",
        "date-time": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?",
        "date-time with offset": (
            r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|UTC|[+-]\d\d(:?\d\d)?)"
        ),
        "clock": r"\d+:\d\d(:\d\d)?",
        "UUID": r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
        "hex": r"(?=.*\d)[0-9a-f]{8,}",
        "IP address": r"(\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7}",
        "URL": r"[a-z][a-z0-9+.-]*://.*",
        "e-mail-like": r"[^\s@]+@[^\s@]+\.[^\s@]+",
    }.items()
}
"""Kinds of texts; a text is of the first that it is wholly, else `other`."""


def kind_of_text(text: str) -> str:
    """Of which of KINDS a text is, or `other`."""
    return next((name for name, like in KINDS.items() if like.fullmatch(text)), "other")


def type_of(value: object) -> str:
    """The type of a value, as JSON calls it; a text is a `text`."""
    for kind, name in (
        (type(None), "null"),
        (bool, "boolean"),
        ((int, float), "number"),
        (str, "text"),
        (list, "array"),
    ):
        if isinstance(value, kind):
            return name
    return "object"


class Seen:
    """The values that came, as texts: nothing that is one may stand in a report as a name."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def add(self, value: object, *, and_names: bool = False) -> None:
        """Note a value, and what it holds.

        Args:
            and_names: The names of objects too, which may be values themselves.
        """
        if isinstance(value, dict):
            for name, member in value.items():
                if and_names:
                    self._values.add(name.casefold())
                self.add(member, and_names=and_names)
        elif isinstance(value, list):
            for item in value:
                self.add(item, and_names=and_names)
        elif isinstance(value, str):
            self._values.add(value.strip().casefold())

    def may_show(self, name: str) -> bool:
        """Whether a name that is not declared is one of the API's, for all that can be told: in
        snake case, as all of them are, and neither a value nor made of one."""
        if len(name) > 60 or not _NAME.fullmatch(name):
            return False
        if redacted(name) != name:
            return False
        if sum(char.isdigit() for char in name) > _MOST_DIGITS:
            return False
        parts = {
            name[at:end] for at in range(len(name)) for end in range(at + _TELLING, len(name) + 1)
        }
        return self._values.isdisjoint(parts | {name})


class _Range:
    """The least and the most of something."""

    def __init__(self) -> None:
        self.ends: list[int] = []

    def add(self, value: int) -> None:
        self.ends = [min([*self.ends, value]), max([*self.ends, value])]


class _Place:
    """What came at one place."""

    def __init__(self, values: Collection[str] = ()) -> None:
        self._values = values
        self.types: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._marks: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._listed: Counter[str] = Counter()
        self._lengths, self._digits, self._items = _Range(), _Range(), _Range()
        self._empty = self._blank = 0

    def add(self, value: object) -> None:
        """Note a value."""
        self.types[type_of(value)] += 1
        if isinstance(value, str):
            self._text(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._number(value)
        elif isinstance(value, list):
            self._items.add(len(value))
        elif isinstance(value, dict):
            self._empty += not value
            self._blank += bool(value) and all(one is None for one in value.values())
        if self._values and value is not None:
            self._listed["inside" if self.lists(value) else "outside"] += 1

    def lists(self, value: object) -> bool:
        """Whether the page lists it."""
        return isinstance(value, str) and value in self._values

    def _text(self, text: str) -> None:
        self._kinds[kind_of_text(text)] += 1
        self._lengths.add(len(text))
        self._marks["not ASCII"] += not text.isascii()
        self._marks["with control characters"] += any(ord(char) < 32 for char in text)
        self._marks["with U+FFFD"] += "\ufffd" in text

    def _number(self, number: float) -> None:
        if isinstance(number, float) and not math.isfinite(number):
            self._numbers["not finite"] += 1
            return
        whole = number if isinstance(number, int) else int(number)
        self._numbers["whole" if whole == number else "fraction"] += 1
        self._numbers["negative"] += number < 0
        # Not by str(), which refuses numbers of thousands of digits.
        self._digits.add(len(str(abs(whole))) if whole.bit_length() < 10_000 else 3000)

    def as_dict(self) -> dict[str, Any]:
        """For a report; what there is not is left out."""
        found: dict[str, Any] = {
            "came": counted(self.types),
            "texts": counted(self._kinds),
            "text_lengths": self._lengths.ends,
            "texts_that_are": counted(self._marks),
            "numbers": counted(self._numbers),
            "digits": self._digits.ends,
            "items": self._items.ends,
            "empty_objects": self._empty,
            "objects_of_nulls": self._blank,
            "enumeration": counted(self._listed),
        }
        return {name: value for name, value in found.items() if value}


def counted(counter: Counter[str]) -> dict[str, int]:
    """What was counted, without what was not met, by name."""
    return {name: count for name, count in sorted(counter.items()) if count}


class Shapes:
    """The shapes of sessions.

    Args:
        schema: The stream's JSON Schema; what stands in it may be shown by name.
        enumerations: The values that the page lists, by `channel` or
            `communications.communication_type`.
        hidden: Columns, and members such as `hits.hit_url`, at which nothing looks.
        seen: Where values are noted that came elsewhere, too.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        enumerations: Mapping[str, Collection[str]],
        hidden: Collection[str] = (),
        seen: Seen | None = None,
    ) -> None:
        self._schema = schema
        self._enumerations = enumerations
        self._hidden = frozenset(hidden)
        self._places: dict[str, _Place] = {}
        self._undeclared: dict[str, dict[str, Counter[str]]] = {}
        self._unshown: Counter[str] = Counter()
        self.seen = seen or Seen()
        self.sessions = 0

    def add(self, sessions: Iterable[object]) -> None:
        """Look at sessions, as JSON has them."""
        for session in sessions:
            self.sessions += 1
            self._place(SESSION, "").add(session)
            self._object("", "", self._schema, session)

    def as_dict(self) -> dict[str, Any]:
        """For a report: what came at each place, and the names that are not declared."""
        undeclared: dict[str, Any] = {}
        unshown = Counter(self._unshown)
        for path, names in sorted(self._undeclared.items()):
            shown = sorted(name for name in names if self.seen.may_show(name))[:MOST_NAMES]
            unshown[path] += len(names) - len(shown)
            if shown:
                undeclared[path] = {name: counted(names[name]) for name in shown}
        return {
            "sessions": self.sessions,
            "places": {path: place.as_dict() for path, place in sorted(self._places.items())},
            "undeclared": undeclared,
            "names_not_shown": counted(unshown),
        }

    def came(self) -> dict[str, Any]:
        """For a report: the columns that came, each with its types."""
        declared = self._schema["properties"]
        columns = {path: place.types for path, place in self._places.items() if path in declared}
        columns |= self._undeclared.get(SESSION, {})
        shown = {
            name: counted(types)
            for name, types in sorted(columns.items())
            if set(types) - {"missing"} and (name in declared or self.seen.may_show(name))
        }
        return {"sessions": self.sessions, "columns": shown}

    def _object(self, path: str, name: str, schema: Mapping[str, Any], value: object) -> None:
        """The members of an object for which some are declared."""
        members: Mapping[str, Any] = schema["properties"]
        if not isinstance(value, dict):
            self.seen.add(value, and_names=True)
            return
        if value and members.keys().isdisjoint(value):  # then its names may be values
            self._unshown[path or SESSION] += len(value)
            self.seen.add(value, and_names=True)
            return
        for member, declared in members.items():
            inner = f"{name}.{member}".lstrip(".")
            if inner not in self._hidden:
                at = f"{path}.{member}".lstrip(".")
                if member in value:
                    self._value(at, inner, declared, value[member])
                else:
                    self._place(at, inner).types["missing"] += 1
        for member in value.keys() - members.keys():
            names = self._undeclared.setdefault(path or SESSION, {})
            names.setdefault(member, Counter())[type_of(value[member])] += 1
            self.seen.add(value[member], and_names=True)

    def _value(self, path: str, name: str, schema: Mapping[str, Any], value: object) -> None:
        place = self._place(path, name)
        place.add(value)
        items = schema.get("items")
        if items is not None and isinstance(value, list):
            for item in value:
                self._value(f"{path}[]", name, items, item)
        elif isinstance(value, dict) and "properties" in (items or schema):
            # An object in place of an array is taken for its one item.
            self._object(f"{path}[]" if items else path, name, items or schema, value)
        elif not place.lists(value):
            self.seen.add(value, and_names=True)

    def _place(self, path: str, name: str) -> _Place:
        if path not in self._places:
            self._places[path] = _Place(self._enumerations.get(name, ()))
        return self._places[path]
