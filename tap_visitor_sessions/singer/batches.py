"""Files of records for BATCH messages, written from typed records.

The SDK's own batchers take dicts one by one, compress as hard as they can, and let each Parquet
file guess its types anew; here a file is made of lines that are encoded already, or of columns
with the types of the stream's schema.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import msgspec
from singer_sdk.helpers._batch import BatchFileFormat

from tap_visitor_sessions.config import storing
from tap_visitor_sessions.sessions import Part, Record, Tables, Warnings
from tap_visitor_sessions.singer.catalog import Selection, transform_of
from tap_visitor_sessions.singer.storage import storage_of

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers._flattening import FlatteningOptions

# Measured on sessions: level 4 takes 0.3 of the time of 9, for files 1.2 times as large.
GZIP_LEVEL = 4
# The time of none, a third of its size.
PARQUET_COMPRESSION = "zstd"
ROW_GROUP = 50_000
"""Records of a row group at most: about 100 MB in a reader's memory."""


@dataclass(frozen=True)
class Rows:
    """Some records as the files want them.

    Attributes:
        times: Their `date_time`.
        content: As many: a sequence, or a table of Arrow.
    """

    times: Sequence[datetime]
    content: Any

    def __len__(self) -> int:
        return len(self.times)

    def cut(self, at: int) -> tuple[Rows, Rows]:
        """The first `at`, and the rest. Of a table nothing is copied."""
        times, content = self.times, self.content
        return Rows(times[:at], content[:at]), Rows(times[at:], content[at:])


class Format(Protocol):
    """How a file is written."""

    ending: str

    def content(self, records: list[Record]) -> Any:
        """The records as the file wants them. Safe to use from several threads."""

    def write(self, file: Any, pieces: Sequence[Any]) -> None:
        """Write contents, one after the other, to a file that is open."""


class JsonLines:
    """A record per line."""

    def __init__(
        self,
        selection: Selection,
        options: FlatteningOptions | None,
        compression: str | None,
        _: Warnings,
    ) -> None:
        self._change = transform_of(selection, options).change
        self._encoder = msgspec.json.Encoder()
        self._zips = compression == "gzip"
        self.ending = "jsonl.gz" if self._zips else "jsonl"

    def content(self, records: list[Record]) -> list[bytes]:
        """A line of each."""
        made = records if self._change is None else map(self._change, records)
        return [self._encoder.encode(record) for record in made]

    def write(self, file: Any, pieces: Sequence[list[bytes]]) -> None:
        """Write them."""
        data = b"\n".join([line for piece in pieces for line in piece] + [b""])
        file.write(gzip.compress(data, GZIP_LEVEL) if self._zips else data)


class _Columns:
    """Files of columns."""

    def __init__(
        self,
        selection: Selection,
        options: FlatteningOptions | None,
        compression: str | None,
        warnings: Warnings,
    ) -> None:
        made = transform_of(selection, options)
        self._change = made.change
        self._tables = Tables(made.values, warnings)
        self._compression = compression or PARQUET_COMPRESSION

    def content(self, records: list[Record]) -> Any:
        """A table of them."""
        change = self._change
        return self._tables.table(records if change is None else list(map(change, records)))

    def _whole(self, pieces: Sequence[Any]) -> Any:
        import pyarrow as pa

        return pa.concat_tables(pieces)


class Parquet(_Columns):
    """Parquet. An empty object has all its members, null."""

    ending = "parquet"

    def write(self, file: Any, pieces: Sequence[Any]) -> None:
        """Write them."""
        from pyarrow import parquet

        parquet.write_table(
            self._whole(pieces),
            file,
            row_group_size=ROW_GROUP,
            compression=self._compression,
            compression_level=GZIP_LEVEL if self._compression == "gzip" else None,
        )


class Arrow(_Columns):
    """Arrow's own form, for loaders on a Singer SDK that knows it."""

    ending = "arrow"

    def write(self, file: Any, pieces: Sequence[Any]) -> None:
        """Write them."""
        import pyarrow as pa

        table = self._whole(pieces)
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=ROW_GROUP)


Make = Callable[[Selection, "FlatteningOptions | None", str | None, Warnings], Format]
FORMATS: Mapping[str, Make] = {
    "jsonl": JsonLines,
    "parquet": Parquet,
    "arrow": Arrow,
}


def format_problems(name: str) -> list[str]:
    """Why no files of a format can be announced."""
    if name in {known.value for known in BatchFileFormat}:
        return []
    return [f"batch_config: the installed singer-sdk knows no format {name}: 0.55 or later does"]


class Files:
    """Writes files of one format to the storage that `batch_config` names.

    Args:
        batch_config: The SDK's form of the setting.
        stem: What the files' names begin with, after the storage's prefix.
        selection: What of the records is emitted.
        options: How they are flattened.
        warnings: Warnings of values that the format cannot hold.
    """

    def __init__(
        self,
        batch_config: BatchConfig,
        stem: str,
        selection: Selection,
        options: FlatteningOptions | None,
        warnings: Warnings,
    ) -> None:
        self._target = batch_config.storage
        self._storage = storage_of(self._target)
        self._stem = f"{self._target.prefix or ''}{stem}-{uuid4()}"
        self._count = 0
        encoding = batch_config.encoding
        self._format = FORMATS[encoding.format](selection, options, encoding.compression, warnings)

    def prepare(self, records: list[Record]) -> Rows:
        """Records as the files want them. Safe to use from several threads."""
        return Rows([record.date_time for record in records], self._format.content(records))

    def write(self, rows: Sequence[Rows]) -> list[str]:
        """Write a file; its URL as a manifest."""
        self._count += 1
        name, target = f"{self._stem}-{self._count}.{self._format.ending}", self._target
        with storing(target.root, target.params):
            with self._storage.open(name) as file:
                self._format.write(file, [some.content for some in rows])
            return [self._storage.url(name)]


def write_files(
    parts: Iterable[Part[Rows]],
    files: Files,
    size: int,
    announce: Callable[[list[str]], None],
) -> Iterator[None]:
    """Write all sessions into files of `size`; after each that has been announced.

    A bookmark follows a file once its BATCH message is out: records of a file that a failure or a
    signal keeps back must be read again.
    """

    def send(part: Part[Rows], rows: list[Rows]) -> None:
        announce(files.write(rows))
        part.emitted(rows[-1].times[-1], sum(map(len, rows)))
        rows.clear()

    for part in parts:
        held: list[Rows] = []
        taken = None
        for taken in part.windows():
            rest = taken.ready
            while rest is not None and (missing := size - sum(map(len, held))) <= len(rest):
                first, rest = rest.cut(missing)
                held.append(first)
                send(part, held)
                yield
            if rest:
                held.append(rest)
            if held and taken.ends:
                send(part, held)
                yield
            if not held:
                part.finished(taken)
        if held:
            send(part, held)
            yield
        if taken is not None:
            part.finished(taken)
