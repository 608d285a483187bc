"""Flattening of typed records: members of objects become columns.

Equal to the SDK's of dicts, but that all records have the same columns: the members of an empty
object are null. Loaders that write rows by position would shift those that lack some.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from singer_sdk.helpers._flattening import FlatteningOptions, flatten_key

from tap_visitor_sessions.sessions import kind_of

_TEXT = {"type": ["string", "null"]}


class Flattening:
    """Makes flat records of records whose values have the types of a schema.

    Args:
        values: The JSON Schema of the values that are emitted, one type for each.
        options: Depth, separator and longest name; its depth is 1 at least.
    """

    def __init__(self, values: Mapping[str, Any], options: FlatteningOptions) -> None:
        self._options = options
        self.values: dict[str, Any] = {"properties": {}}
        """The JSON Schema of the flat values."""
        self._parts = self._parts_of(values, [])
        keys = list(self.values["properties"])
        names = [f"column_{number}" for number in range(len(keys))]
        self._flat: Any = msgspec.defstruct(
            "Flat", names, rename=dict(zip(names, keys, strict=True)), gc=False
        )
        self._encode = msgspec.json.Encoder().encode

    def flat(self, record: Any) -> Any:
        """A record as a struct with an attribute for each flat column."""
        return self._flat(*self._values(record, self._parts))

    def _parts_of(self, schema: Mapping[str, Any], parents: list[str]) -> list[Any]:
        """What to take of a struct, in order: a name and how many columns it fills, its own
        parts if it is flattened, and whether it becomes a text of JSON."""
        parts: list[Any] = []
        for name, declared in schema["properties"].items():
            kind, before = kind_of(declared), len(self.values["properties"])
            if kind == "object" and len(parents) < self._options.max_level:
                inner = self._parts_of(declared, [*parents, name])
                filled = len(self.values["properties"]) - before
                parts.append((name, filled, inner, False))
                continue
            key = flatten_key(
                name,
                parents,
                self._options.separator,
                max_key_length=self._options.max_key_length,
            )
            is_json = kind in ("array", "object")
            self.values["properties"][key] = _TEXT if is_json else declared
            parts.append((name, 1, None, is_json))
        return parts

    def _values(self, struct: Any, parts: list[Any]) -> Iterator[Any]:
        for name, filled, inner, is_json in parts:
            value = getattr(struct, name)
            if inner is not None:
                if value is not None and value.__struct_fields__:
                    yield from self._values(value, inner)
                else:
                    yield from [None] * filled
            elif is_json and value is not None:
                yield self._json(value)
            else:
                yield value

    def _json(self, value: Any) -> str:
        """The text of JSON that the SDK makes: nothing in it but printable ASCII."""
        text = self._encode(value).decode()
        if text.isascii() and "\x7f" not in text:
            return text
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
