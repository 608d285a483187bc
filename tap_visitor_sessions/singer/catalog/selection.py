"""What of a record goes out: columns to ask for, members to take out, values to cast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from tap_visitor_sessions.sessions import Chunk, Columns, Record, chunked, drained, kind_of

Change = Callable[[Any], Any]
"""Makes the value that is emitted of a value as it is decoded."""


@dataclass(frozen=True)
class Piece:
    """What is emitted of a column, of a member, or of an array's items.

    Attributes:
        schema: Its JSON Schema as SCHEMA has it.
        values: A JSON Schema with the one type that its values have, for columns.
        change: How to make its values; None: they go out as they are decoded.
    """

    schema: dict[str, Any]
    values: dict[str, Any]
    change: Change | None = None


@dataclass(frozen=True)
class Selection:
    """The columns of the stream that are emitted.

    Args:
        pieces: What is emitted of each column, in the schema's order.
        texts: Numbers that are emitted as texts, by the names from the column on.
    """

    pieces: Mapping[str, Piece]
    texts: Sequence[tuple[str, ...]] = ()

    @cached_property
    def changes(self) -> dict[str, Change]:
        """The columns whose values do not go out as they are decoded."""
        return {name: p.change for name, p in self.pieces.items() if p.change is not None}

    @property
    def columns(self) -> Columns:
        """The columns, whole."""
        return Columns(list(self.pieces), self.texts)

    @property
    def values(self) -> dict[str, Any]:
        """The JSON Schema of the values that are emitted, one type for each."""
        return {"properties": {name: piece.values for name, piece in self.pieces.items()}}

    def changed(self, record: Record) -> Record:
        """The same record without the deselected members, and with its values cast."""
        for name, change in self.changes.items():
            setattr(record, name, change(getattr(record, name)))
        return record

    @cached_property
    def _objects(self) -> dict[str, list[str]]:
        kinds = {name: piece.values for name, piece in self.pieces.items()}
        return {n: list(v["properties"]) for n, v in kinds.items() if kind_of(v) == "object"}

    def filled(self, record: dict[str, Any]) -> dict[str, Any]:
        """The same record, its objects that are empty or null with all their members, null: the
        SDK flattens what is there, and all records are to have the same columns."""
        for name, members in self._objects.items():
            if not record[name]:
                record[name] = dict.fromkeys(members)
        return record

    def chunks(self, records: list[Record]) -> list[Chunk]:
        """The records as they are emitted, as JSON: a window that waits for its turn takes a
        quarter of the memory that its objects would."""
        encode = msgspec.json.Encoder().encode_lines
        return chunked(records, lambda part: encode([self.changed(record) for record in part]))


def dicts(chunks: list[Chunk]) -> Iterator[dict[str, Any]]:
    """The records of the chunks, which are forgotten one by one."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode_lines
    for chunk in drained(chunks):
        yield from decode(chunk.lines)


def only(kept: Mapping[str, Piece]) -> Change:
    """Of an object the members `kept`; null stays, as does an empty object."""
    slim: Any = msgspec.defstruct("Slim", list(kept), gc=False)
    changes = [(name, piece.change) for name, piece in kept.items()]
    plain = all(inner is None for _, inner in changes)
    names = list(kept)

    def change(value: Any) -> Any:
        if value is None or not value.__struct_fields__:
            return value
        if plain:
            return slim(*[getattr(value, name) for name in names])
        values = ((getattr(value, name), inner) for name, inner in changes)
        return slim(*[one if inner is None else inner(one) for one, inner in values])

    return change


def each(inner: Change) -> Change:
    """The same for each item of an array; null stays."""
    return lambda value: None if value is None else [inner(item) for item in value]


def as_text(inner: Change | None) -> Change:
    """A number as its digits, an array or an object as JSON; null stays."""

    def change(value: Any) -> Any:
        if value is None:
            return None
        return msgspec.json.encode(value if inner is None else inner(value)).decode()

    return change
