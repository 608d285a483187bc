"""Values replaced by their keyed hash, before any host sees the records."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from tap_visitor_sessions.sessions.records.structs import Record

Structs = Sequence[Any]


class Hasher:
    """Replaces the values of some columns and members by the hex HMAC-SHA-256 of their text.

    Equal texts give equal hashes, in whichever column or run, so that tables can be joined.
    Null stays null. Safe to use from several threads.

    Args:
        names: Columns, and members as `hits.hit_url`; those that the schema lacks are passed over.
        key: The secret.
        schema: The JSON Schema of the records, as they are decoded.
    """

    def __init__(self, names: Sequence[str], key: str, schema: Mapping[str, Any]) -> None:
        self._keyed = hmac.new(key.encode(), digestmod="sha256")
        self._steps = self._of_members([name.split(".") for name in names], schema)

    def hash(self, records: list[Record]) -> list[Record]:
        """The same records, changed in place."""
        for step in self._steps:
            step(records)
        return records

    def digest(self, value: Any) -> str:
        """The hash of a value's text: as RECORD spells it, without quotes."""
        keyed = self._keyed.copy()  # half the time of a new one
        keyed.update(
            value.encode() if type(value) is str else msgspec.json.encode(value).strip(b'"')
        )
        return keyed.hexdigest()

    def _of_members(
        self, paths: Sequence[Sequence[str]], schema: Mapping[str, Any]
    ) -> list[Callable[[Structs], None]]:
        """What is to be done to structs of which these members are hashed."""
        steps = []
        for name, declared in schema.get("properties", {}).items():
            inner = [path[1:] for path in paths if path[0] == name]
            members = declared.get("items", declared).get("properties", {})
            inner = [path for path in inner if not path or path[0] in members]
            if inner:
                steps.append(self._step(name, inner, declared))
        return steps

    def _step(
        self, name: str, inner: Sequence[Sequence[str]], declared: Mapping[str, Any]
    ) -> Callable[[Structs], None]:
        is_array = "items" in declared
        members = self._of_members(inner, declared["items"] if is_array else declared)

        def within(structs: Structs) -> None:
            held = (getattr(struct, name, None) for struct in structs)
            values = [value for value in held if value is not None]
            for step in members:
                step(list(chain.from_iterable(values)) if is_array else values)

        def itself(structs: Structs) -> None:
            digest = self.digest
            for struct in structs:
                value = getattr(struct, name, None)  # an empty object has none
                if value is not None:
                    new = [digest(item) for item in value] if is_array else digest(value)
                    setattr(struct, name, new)

        return within if members else itself
