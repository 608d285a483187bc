"""Decoded JSON made to fit the schema, value by value, saying what it gave up.

The slow way, for rows and values that do not fit the types: one odd value costs that value. What
did not fit is remembered, so that the types of the next rows take it (`structs`).
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from tap_visitor_sessions.api import TOO_DEEP, Unreadable, shown, without_odd_tokens
from tap_visitor_sessions.sessions.records.kinds import SPELLINGS, as_decoded, is_null, kind_of

logger = logging.getLogger("tap-visitor-sessions.records")

REPLACEMENT = "\ufffd"
MOST_LISTED = 100
"""Columns that one warning names."""
MOST_UNDECLARED = 100
"""More members that are not declared than these are no longer skipped at full speed."""
MOST_REMEMBERED = 1000
"""So many names are kept, so that each is told once."""
MOST_NAMED = 10
LONGEST_NAME = 100
LONGEST_LOOKED_AT = 10 * LONGEST_NAME

_CANNOT = (msgspec.ValidationError, ValueError)
"""What msgspec raises; ValueError of half a character, and of the year 10000."""


def _report(paths: Sequence[str], what: str) -> None:
    more = f" and {len(paths) - MOST_LISTED} more" if len(paths) > MOST_LISTED else ""
    which = "this column" if len(paths) == 1 else "each of these columns"
    names = ", ".join(paths[:MOST_LISTED])
    logger.warning("%s%s: %s (reported once for %s)", names, more, what, which)


class Warnings:
    """One for each column in a run, whichever thread meets it first, and how many values of it
    were lost. However many there are, they are bounded."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._shown: dict[str, str] = {}
        self._undeclared: dict[str, None] = {}
        self._missing: set[frozenset[str]] = set()
        self._lost: Counter[str] = Counter()
        self._session = threading.local()
        self._lock = threading.Lock()

    def once(self, path: str, what: str, *, gathered: bool = False) -> None:
        """Say something of a column, unless something has been said of it."""
        if path in self._seen:
            return
        with self._lock:
            if path in self._seen or len(self._seen) >= MOST_REMEMBERED:
                return
            self._seen.add(path)
        held = getattr(self._session, "held", None) if gathered else None
        if held is None:
            _report([path], what)
        else:
            held.setdefault(what, []).append(path)

    @contextmanager
    def of_session(self) -> Iterator[None]:
        """What the block meets is of one session: what is to be gathered is one warning for each
        reason, not for each column."""
        held: dict[str, list[str]] = {}
        self._session.held = held
        try:
            yield
        finally:
            self._session.held = None
            for what, paths in held.items():
                _report(paths, what)

    def undeclared(self, path: str) -> None:
        """A member came that is not declared. The first is told at once, all of them at the end."""
        key = path[:LONGEST_LOOKED_AT]
        path = self._shown.get(key, "")
        if not path:
            if len(self._shown) >= MOST_REMEMBERED:
                return
            # Measured: a long name takes a millisecond, and may come with every page of a session.
            path = self._shown[key] = shown(key)[:LONGEST_NAME]
        if path in self._undeclared:
            return
        with self._lock:
            is_first = not self._undeclared
            if len(self._undeclared) < MOST_REMEMBERED:
                self._undeclared[path] = None
        if is_first:
            logger.warning(
                "%s: the API sends it, it is not declared; left out. Others are listed at the end",
                path,
            )

    def report_undeclared(self) -> None:
        """Say which members came that are not declared, where they are more than one."""
        with self._lock:
            names = list(self._undeclared)
        if len(names) < 2:
            return
        count = f"{len(names)}{' or more' if len(self._shown) >= MOST_REMEMBERED else ''}"
        more = ", …" if len(names) > MOST_NAMED else ""
        logger.warning(
            "The API sends %s members that are not declared; left out: %s%s",
            count,
            ", ".join(names[:MOST_NAMED]),
            more,
        )

    def missing(self, names: Sequence[str]) -> None:
        """Columns were asked for and did not come: said once for the same ones."""
        lacking = frozenset(names)
        with self._lock:
            known = lacking in self._missing or len(self._missing) >= MOST_NAMED
            if not names or known:
                return
            self._missing.add(lacking)
        logger.warning(
            "The API leaves out columns that it was asked for: %s; emitted as null",
            ", ".join(names),
        )

    def lost(self, path: str, what: str) -> None:
        """The same of a value that is not emitted; it is counted."""
        with self._lock:
            self._lost[path] += 1
        self.once(path, what)

    @property
    def losses(self) -> dict[str, int]:
        """How many values were lost, by column."""
        with self._lock:
            return dict(self._lost.most_common())


class _Unfit(Exception):
    """A value that cannot be made to fit; carries what to say of it."""


@dataclass(frozen=True, eq=False)
class Met:
    """What has come that the declared types do not take.

    Attributes:
        wide: Paths whose values came otherwise than declared: `hits`, `hits[]`, `hits.hit_url`.
        undeclared: Names of members, by what their paths begin with: "" or `hits.`.
    """

    wide: frozenset[str] = frozenset()
    undeclared: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Coercer:
    """Makes decoded JSON fit a schema, value by value, saying what it gave up.

    Args:
        excluded: Members that are passed over without a word, by their column.

    Attributes:
        met: What did not fit up to now.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        required: Sequence[str],
        warnings: Warnings,
        excluded: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._properties = properties
        self._required = required
        self._warnings = warnings
        self._lock = threading.Lock()
        self._fits: dict[str, Callable[[str, Any], Any]] = {
            "integer": self._integer,
            "date-time": self._time,
            "string": self._text,
        }
        self._excluded = {f"{name}.": members for name, members in (excluded or {}).items()}
        # What is not wanted is passed over like what is not declared.
        self.met = Met(undeclared=self._excluded)

    def give_up(self, path: str, why: str) -> None:
        """Say that a value is emitted as null."""
        self._warnings.lost(path, f"{why}; emitted as null")

    def rows(self, rows: object) -> list[dict[str, Any]]:
        """Rows of an answer as dicts that the typed decoder accepts.

        Raises:
            Unreadable: a row is no session, or has no usable key or bookmark.
        """
        if not isinstance(rows, list):
            raise Unreadable("The API's answer holds no list of sessions")
        return [self._row(row) for row in rows]

    def value(self, path: str, value: Any, schema: Mapping[str, Any]) -> Any:
        """A value that fits; null where none can be made."""
        try:
            return self._value(path, value, schema)
        except _Unfit as problem:
            self.give_up(path, str(problem))
            return None

    def key(self, path: str, value: Any, schema: Mapping[str, Any]) -> Any:
        """The same of a key or a bookmark.

        Raises:
            Unreadable: there is none.
        """
        found = self.value(path, value, schema)
        if found is None:
            raise Unreadable(
                f"The API sent a session without a usable {path}: nothing can be read past it. "
                "Run again; if it stays, report it to the vendor"
            )
        return found

    def scalar(self, path: str, schema: Mapping[str, Any]) -> Callable[[Any], Any]:
        """The same as `value` for many values of a place that holds no others."""
        fit = self._fits[kind_of(schema)]

        def value(value: Any) -> Any:
            try:
                return fit(path, value)
            except _Unfit as problem:
                self.give_up(path, str(problem))
                return None

        return value

    def _widen(self, path: str) -> None:
        if path in self.met.wide:
            return
        with self._lock:
            if path not in self.met.wide:
                self.met = replace(self.met, wide=self.met.wide | {path})

    def _undeclared(self, path: str, name: str) -> None:
        with self._lock:
            known = self.met.undeclared
            here = known.get(path, frozenset())
            many = sum(map(len, known.values())) >= MOST_UNDECLARED
            if name not in here and not many and _can_be_a_field(name):
                self.met = replace(self.met, undeclared={**known, path: here | {name}})

    def _row(self, row: object) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise Unreadable("The API's answer holds a session that is not an object")
        named = {str(name): value for name, value in row.items()}
        for spelled, right in SPELLINGS.items():
            if spelled in named:
                self._undeclared("", spelled)
                value = named.pop(spelled)
                if named.get(right) is None:
                    named[right] = value
        for name in self._required:
            named[name] = self.key(name, named.get(name), self._properties[name])
        with self._warnings.of_session():
            return self._members("", named, self._properties)

    def _members(
        self, path: str, value: dict[str, Any], properties: Mapping[str, Any]
    ) -> dict[str, Any]:
        result = {}
        for name, item in value.items():
            here = f"{path}{name}"
            if name in properties:
                result[name] = self.value(here, item, properties[name])
            elif name not in self._excluded.get(path, ()):
                self._undeclared(path, name)
                self._warnings.undeclared(here)
        return result

    def _value(self, path: str, value: Any, schema: Mapping[str, Any]) -> Any:
        kind = kind_of(schema)
        if value is None or (kind != "string" and is_null(value)):
            return None
        if kind == "array":
            return self._items(path, value, schema["items"])
        if kind == "object":
            if not isinstance(value, dict):
                self._widen(path)
                if value == []:  # an empty object, as PHP spells it
                    return None
                raise _Unfit(f"an object is declared, a {type(value).__name__} came")
            return self._members(f"{path}.", value, schema["properties"])
        return self._fits[kind](path, value)

    def _items(self, path: str, value: Any, schema: Mapping[str, Any]) -> list[Any]:
        of_objects = kind_of(schema) == "object"
        if not isinstance(value, list):
            if not (of_objects and isinstance(value, dict)):
                self._widen(path)
            value = [value]
        result = []
        for item in value:
            if item is None or (of_objects and not isinstance(item, dict)):
                self._widen(f"{path}[]")
            try:
                coerced = self._value(path, item, schema)
            except _Unfit as problem:
                self._warnings.lost(f"{path}[]", f"{problem}; left out")
                continue
            if coerced is not None:
                result.append(coerced)
        return result

    def _integer(self, path: str, value: Any) -> int | None:
        if type(value) is int:
            return value
        is_key = path in self._required
        if is_key or path not in self.met.wide:
            try:
                number: int | None = as_decoded("integer", value)
            except _CANNOT:
                self._widen(path)
            else:
                return number  # as the typed decoder does
        if is_key and not isinstance(value, str):
            # Rounded it would be another's.
            raise _Unfit(f"a number is declared, a {type(value).__name__} came")
        if isinstance(value, str):
            if is_null(value):
                return None
            try:
                value = int(value) if _DIGITS.fullmatch(value.strip()) else float(value)
            except ValueError:
                raise _Unfit("a number is declared, another text came") from None
            if is_key and isinstance(value, float):
                raise _Unfit("a whole number is declared, another text came")
        if isinstance(value, float) and math.isfinite(value):
            if not value.is_integer():
                self._warnings.once(path, "a whole number is declared, a fraction came; rounded")
            return round(value)
        if isinstance(value, int):  # bool too
            return int(value)
        raise _Unfit(f"a number is declared, a {type(value).__name__} came")

    def _time(self, path: str, value: Any) -> datetime | None:
        """A date and time as what it says: of a wall clock, or, with an offset or as an epoch
        number (seconds, or milliseconds), an instant."""
        try:
            time: datetime | None = as_decoded("date-time", value)
        except _CANNOT:
            self._widen(path)
        else:
            return time  # as the typed decoder does
        if isinstance(value, str):
            text = value.strip()
            if _EPOCH.fullmatch(text):
                return _of_epoch(float(text))
            if len(text) > 10:  # a date alone is no time
                try:
                    return datetime.fromisoformat(text)
                except ValueError:
                    pass
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            return _of_epoch(value)
        raise _Unfit("a date and time is declared, something else came")

    def _text(self, path: str, value: Any) -> str:
        if not isinstance(value, str):
            self._widen(path)
            value = _as_text(value)
        if value.isascii() and "\x00" not in value:
            return str(value)
        clean = value.replace("\x00", REPLACEMENT)
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if clean != value:
            what = f"NUL or half a character came; replaced by {REPLACEMENT}"
            self._warnings.once(path, what, gathered=True)
        return str(clean)


def _can_be_a_field(name: str) -> bool:
    return name.isprintable() and '"' not in name and "\\" not in name


def decoded(raw: bytes | memoryview) -> Any:
    """The JSON of an answer's rows as Python's types, whatever the size of its numbers and
    however deep it is nested.

    Raises:
        Unreadable: it is no JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        pass  # a number out of range, perhaps
    try:
        return json.loads(without_odd_tokens(bytes(raw)), parse_int=_whole)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"The API's answer cannot be read: {type(problem).__name__}") from None


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return math.inf


def _as_text(value: object) -> str:
    try:
        text = str(value) if type(value) is int else _ENCODE(value)
    except (ValueError, RecursionError):
        raise _Unfit("a text is declared, something that is no text came") from None
    if TOO_DEEP in text:
        raise _Unfit("a text is declared, something nested too deep came")
    return text


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_DIGITS = re.compile(r"[+-]?[0-9]+")
_EPOCH = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_SECONDS = 253_402_300_800
"""Of the year 10000: an epoch number that is larger is one of milliseconds."""
_FIRST = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _of_epoch(number: float) -> datetime:
    try:
        seconds = number if abs(number) < _SECONDS else number / 1000
        return _FIRST + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise _Unfit("a date and time is declared, another number came") from None
