"""The struct types of a session: as declared, and wider where a run has met what does not fit.

A decoder that refuses a value says so for a whole page. So the types of the next rows take what
was met, unconverted, and only such values are coerced, on the decoded records. Members that are
not declared become fields of their own that are emptied again: one never met still shows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tap_visitor_sessions.sessions.records.coercion import Coercer, Met
from tap_visitor_sessions.sessions.records.kinds import DECLARED, KEY, SPELLINGS, kind_of

Record = Any
"""A msgspec.Struct with an attribute per selected column; types from the schema."""
Repair = Callable[[Any], Any]
"""Gives for a value of a wider type, not null, the one that the schema allows."""

_PLAIN = str | int | float | bool


@dataclass(frozen=True)
class _Made:
    """A type, and how to repair its values; None: they are right as they are decoded."""

    type: Any
    repair: Repair | None = None


def _list(item: Any) -> Any:
    return list[item]


class SessionTypes:
    """Types for what has been met up to now.

    Args:
        properties: The schema's columns.
        required: Those that are never null.
        coercer: Coerces what a wider type lets in.
        met: What does not fit the declared types.

    Attributes:
        blanks: For each struct type of an object that is a column, one of nulls only.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        required: Sequence[str],
        coercer: Coercer,
        met: Met,
    ) -> None:
        self._required = required
        self._coercer = coercer
        self.met = met
        self.blanks: dict[type, Any] = {}
        row = self._object("Session", "", properties)
        self.row: type[msgspec.Struct] = row.type
        self._repair = row.repair
        self._page = msgspec.json.Decoder(_list(self.row), strict=False)
        self._one = msgspec.json.Decoder(self.row, strict=False)

    def page(self, raw: bytes | memoryview) -> list[Record]:
        """The rows of a page without NUL, to be repaired.

        Raises:
            Exception: one of `records.UNFIT`: a row does not fit.
        """
        rows: list[Record] = self._page.decode(raw)
        return rows

    def one(self, raw: bytes | memoryview) -> Record:
        """The same for a single row."""
        return self._one.decode(raw)

    def repair(self, rows: list[Record]) -> list[Record]:
        """Rows with what the wider types let in made right, in place.

        Raises:
            Unreadable: a row has no usable key or bookmark.
        """
        if self._repair is not None:
            for row in rows:
                self._repair(row)
        return rows

    # A type and how its values are repaired

    def _value(self, name: str, path: str, schema: Mapping[str, Any]) -> _Made:
        kind = kind_of(schema)
        if kind == "object":
            made = self._object(name, f"{path}.", schema["properties"])
            self.blanks[made.type] = made.type()
            return self._wider(made, path, schema) if path in self.met.wide else made
        if kind == "array":
            return self._array(name, path, schema)
        declared = DECLARED[kind]
        if path not in self.met.wide:
            return _Made(declared)
        if path in self._required:
            return _Made(KEY, lambda value: self._coercer.key(path, value, schema))
        coerced = self._coercer.scalar(path, schema)
        # A moment is decoded as the text that it is.
        return _Made(Any, lambda value: value if type(value) is declared else coerced(value))

    def _wider(self, made: _Made, path: str, schema: Mapping[str, Any]) -> _Made:
        """An object in whose place something else may come."""
        struct, inner, coerced = made.type, made.repair, self._coercer.value

        def repair(value: Any) -> Any:
            if type(value) is not struct:
                return coerced(path, value, schema)
            return value if inner is None else inner(value)

        return _Made(struct | list | _PLAIN, repair)

    def _array(self, name: str, path: str, schema: Mapping[str, Any]) -> _Made:
        item, coerced = schema["items"], self._coercer.value
        wide, wide_items = path in self.met.wide, f"{path}[]" in self.met.wide
        if kind_of(item) != "object":
            declared = DECLARED[kind_of(item)]
            if not wide and not wide_items:
                return _Made(_list(declared))
            return _Made(Any, lambda value: coerced(path, value, schema))
        made = self._object(f"{name}_item", f"{path}.", item["properties"])
        struct, inner = made.type, made.repair
        # One hit as an object (the page's example) is an array of one.
        kind = _list(struct | list | _PLAIN | None if wide_items else struct) | struct
        if inner is None and not wide and not wide_items:
            return _Made(kind)

        def repair(value: Any) -> Any:
            if type(value) is struct:
                return value if inner is None else inner(value)
            if type(value) is not list:
                return coerced(path, value, schema)
            if wide_items:
                # What is no object is left out by the coercer, which says so.
                coerced(path, [one for one in value if type(one) is not struct], schema)
                value = [one for one in value if type(one) is struct]
            if inner is not None:
                for one in value:
                    inner(one)
            return value

        return _Made(kind | _PLAIN if wide else kind, repair)

    def _object(self, name: str, path: str, properties: Mapping[str, Any]) -> _Made:
        """A struct; repaired in place. Its members' paths begin with `path`."""
        fields: list[Any] = []
        names: dict[str, str] = {}
        members: list[tuple[str, Repair]] = []
        for member, schema in properties.items():
            made = self._value(f"{name}_{member}", f"{path}{member}", schema)
            required = not path and member in self._required
            fields.append((member, made.type) if required else (member, made.type | None, None))
            if made.repair is not None:
                members.append((member, made.repair))
        spelled: list[tuple[str, str]] = []
        others: list[str] = []
        for number, other in enumerate(sorted(self.met.undeclared.get(path, ()))):
            field = f"undeclared_{number}"
            right = None if path else SPELLINGS.get(other)
            kind: Any = msgspec.Raw
            if right is not None and right in properties:
                spelled.append((field, right))
                [kind] = (one[1] for one in fields if one[0] == right)
            else:
                others.append(field)
            fields.append((field, kind | msgspec.UnsetType, msgspec.UNSET))
            names[field] = other
        struct = msgspec.defstruct(
            name, fields, kw_only=True, gc=False, forbid_unknown_fields=True, rename=names
        )
        if not members and not names:
            return _Made(struct)

        def repair(one: Any) -> Any:
            for field, right in spelled:
                value = getattr(one, field)
                if value is not msgspec.UNSET:
                    setattr(one, field, msgspec.UNSET)
                    if getattr(one, right) is None:
                        setattr(one, right, value)
            for member, repaired in members:
                value = getattr(one, member)
                if value is not None:
                    setattr(one, member, repaired(value))
            for field in others:
                setattr(one, field, msgspec.UNSET)
            return one

        return _Made(struct, repair)


class WideningTypes:
    """The types of a run, which widen as odd values are met. Safe to use from several threads.

    Attributes:
        declared_rows: The type of rows that fit the schema.
        blanks: Those of all of them.
    """

    def __init__(
        self, properties: Mapping[str, Any], required: Sequence[str], coercer: Coercer
    ) -> None:
        self._properties, self._required, self._coercer = properties, required, coercer
        self._lock = threading.Lock()
        self._present = SessionTypes(properties, required, coercer, Met())
        self.declared_rows = _list(self._present.row)
        self.blanks = dict(self._present.blanks)

    def present(self) -> SessionTypes:
        """The one for all that has been met."""
        with self._lock:
            met = self._coercer.met
            if self._present.met is not met:
                self._present = SessionTypes(self._properties, self._required, self._coercer, met)
                self.blanks.update(self._present.blanks)
            return self._present
