"""Finished records -> an Arrow table with the schema's types.

pyarrow comes with an extra: whoever makes a `Tables` needs it.

Measured, in the fetching threads: plain columns are quickest made of their values, nested ones of
their JSON, which Arrow reads aside, without Python's lock. Everything by way of JSON takes longer,
so does everything value by value, and rows as dicts take twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from tap_visitor_sessions.api import Unreadable
from tap_visitor_sessions.config import KEY
from tap_visitor_sessions.sessions.records.coercion import Warnings
from tap_visitor_sessions.sessions.records.kinds import kind_of
from tap_visitor_sessions.sessions.records.structs import Record

if TYPE_CHECKING:
    import pyarrow as pa

NESTED = ("array", "object")
_BLOCK = 2**21  # bytes that Arrow reads at a time, in a thread of its own
_UNFIT = "a number does not fit into 64 bits; written as null"


def arrow_schema(schema: Mapping[str, Any], *, texts: bool = False) -> pa.Schema:
    """The types of the columns of a JSON Schema. A time within a nested column stays a text, as in
    a RECORD message: databases keep such columns as JSON, which has no times.

    Args:
        texts: Nested columns are texts of JSON; else structs and lists.
    """
    import pyarrow as pa

    scalars = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "date-time": pa.string(),
    }

    def kind(declared: Mapping[str, Any]) -> pa.DataType:
        name = kind_of(declared)
        if name == "object":
            return pa.struct([(m, kind(d)) for m, d in declared["properties"].items()])
        return pa.list_(kind(declared["items"])) if name == "array" else scalars[name]

    def field(name: str, declared: Mapping[str, Any]) -> pa.Field:
        column = kind(declared)
        if kind_of(declared) == "date-time":
            column = pa.timestamp("us", tz="UTC")
        elif texts and kind_of(declared) in NESTED:
            column = pa.string()
        return pa.field(name, column, nullable="null" in declared["type"])

    return pa.schema([field(name, declared) for name, declared in schema["properties"].items()])


class Tables:
    """Makes tables of finished records. Safe to use from several threads.

    Args:
        schema: The JSON Schema of the columns, each of one type.
        texts: Nested columns are texts of JSON, as in a RECORD message, `{}` among them; else
            structs, in which an empty object has all its members, null.
        within: What stands before a column's name in a warning.

    Attributes:
        schema: That of the tables.
        warnings: Warnings of numbers that do not fit into 64 bits, and how many there were.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        warnings: Warnings | None = None,
        *,
        texts: bool = False,
        within: str = "",
    ) -> None:
        self.schema = arrow_schema(schema, texts=texts)
        self.warnings = warnings or Warnings()
        self._within = within
        self._texts = texts
        kinds = {name: kind_of(declared) for name, declared in schema["properties"].items()}
        self._nested = [name for name, kind in kinds.items() if kind in NESTED]
        self._aside = ThreadPoolExecutor(1, "columns")
        self._encoder = msgspec.json.Encoder()
        self._line: Callable[..., Any] = msgspec.defstruct("Line", self._nested, gc=False)

    def table(self, records: Sequence[Record]) -> pa.Table:
        """The records as a table.

        Raises:
            Unreadable: an `id` does not fit into 64 bits.
        """
        import pyarrow as pa

        if not records:
            return self.schema.empty_table()
        fields = records[0].__struct_encode_fields__
        # After its columns a record may have fields for what is not declared; not all have them.
        columns = zip(*map(msgspec.structs.astuple, records), strict=False)
        values = dict(zip(fields, columns, strict=False))
        nested = self._nested_columns({name: values[name] for name in self._nested})
        made = {
            field.name: self._array(field, values[field.name])
            for field in self.schema
            if field.name not in self._nested
        } | nested.result()
        return pa.table([made[name] for name in self.schema.names], schema=self.schema)

    def _array(self, field: pa.Field, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa

        try:
            return pa.array(values, field.type)
        except (OverflowError, pa.ArrowInvalid):
            return pa.array([self._in_64_bits(field.name, value) for value in values], field.type)
        except pa.ArrowTypeError:  # a time that is wanted as a text
            return pa.array(msgspec.to_builtins(values), field.type)

    def _nested_columns(self, values: Mapping[str, Sequence[Any]]) -> Future[dict[str, Any]]:
        """Read aside, while the plain columns are made."""
        encoded = self._encoder.encode_lines
        if self._texts:
            lines = {name: encoded(column) for name, column in values.items()}
            return self._aside.submit(
                lambda: {name: self._apart(lines[name], values[name]) for name in values}
            )
        rows = encoded(list(map(self._line, *values.values()))) if values else b""
        return self._aside.submit(self._read, rows, values)

    def _read(self, lines: bytes, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Lines of JSON as columns."""
        import pyarrow as pa
        from pyarrow import json

        if not values:
            return {}
        fields = [self.schema.field(name) for name in values]
        try:
            table = json.read_json(
                pa.py_buffer(lines),
                read_options=json.ReadOptions(block_size=_BLOCK),
                parse_options=json.ParseOptions(
                    explicit_schema=pa.schema(fields), unexpected_field_behavior="error"
                ),
            )
        except pa.ArrowInvalid:  # a number out of range, or a row that is larger than a block
            return {field.name: self._slowly(field, values[field.name]) for field in fields}
        return {field.name: table[field.name] for field in fields}

    def _apart(self, lines: bytes, values: Sequence[Any]) -> pa.Array:
        """Lines of JSON as texts; null stays. JSON has no raw line ends: they part the values."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # By its buffers: of a memoryview given to pa.array, Arrow never lets go.
        ends = pa.array([0, len(lines) - 1], pa.int32()).buffers()[1]
        whole = pa.StringArray.from_buffers(1, ends, pa.py_buffer(lines))
        texts = pc.split_pattern(whole, "\n")[0].values
        missing = [value is None for value in values]
        return pc.if_else(pa.array(missing), None, texts) if any(missing) else texts

    def _slowly(self, field: pa.Field, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa

        plain = msgspec.to_builtins(values)
        return pa.array([self._in_64_bits(field.name, value) for value in plain], field.type)

    def _in_64_bits(self, path: str, value: Any) -> Any:
        """A value without the numbers that Arrow cannot hold; of an array they are left out."""
        if isinstance(value, dict):
            return {name: self._in_64_bits(f"{path}.{name}", v) for name, v in value.items()}
        if isinstance(value, list):
            kept = (self._in_64_bits(path, item) for item in value)
            return [item for item in kept if item is not None]
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            if path == KEY:
                raise Unreadable(f"{path} {value} does not fit into 64 bits: use RECORD or jsonl")
            self.warnings.lost(f"{self._within}{path}", _UNFIT)
            return None
        return value
