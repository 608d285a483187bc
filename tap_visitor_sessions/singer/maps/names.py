"""What `stream_maps` names: a stream or a column that does not exist is never passed over.

The SDK drops such a map or such a removal without a word, and what somebody meant to hash or to
take out goes out as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

from tap_visitor_sessions.singer.catalog import meant, nearest

NOTHING = (None, "__NULL__")
"""As a column's map: the column is removed."""
# A name as near as this to a column's is a slip of the pen rather than a new column.
SLIP = 0.9


def unknown_names(
    config: Mapping[str, Any],
    stream: str,
    schema: Mapping[str, Any],
    others: Collection[str] = (),
) -> list[str]:
    """Maps of another stream, and removals of columns that are not there.

    Args:
        config: The settings.
        stream: The stream's name.
        schema: The JSON Schema of a record with all columns that can be selected.
        others: Streams of which the names of columns are not looked at.
    """
    known, found = list(schema["properties"]), []
    for name, of, columns in _maps(config):
        if not fnmatch(stream, of):
            if any(fnmatch(other, of) for other in others):
                continue
            there = f"there is no stream {of}" if name != of else "there is no such stream"
            found.append(f"{name}: {there}, the tap's stream is {stream}")
            continue
        made = {column for column, value in columns.items() if value not in NOTHING}
        found += [
            f"{name}: {column} is to be removed, and there is no such column{meant(column, known)}"
            for column, value in columns.items()
            if value in NOTHING and column not in {*known, *made} and column[:2] != "__"
        ]
    return found


def dropped_maps(config: Mapping[str, Any], stream: str) -> list[str]:
    """Maps of the stream of which the SDK would use the last alone."""
    own = [
        name
        for name, of, columns in _maps(config)
        if "__source__" not in columns and fnmatch(stream, of)
    ]
    if len(own) < 2:
        return []
    return [
        f"{', '.join(own)}: each maps {stream}, and only the last would count: make one of them"
    ]


def likely_slips(config: Mapping[str, Any], stream: str, schema: Mapping[str, Any]) -> list[str]:
    """New columns that are called almost as one that is there and goes out as it is."""
    known, found = list(schema["properties"]), []
    for name, of, columns in _maps(config):
        for column in columns if fnmatch(stream, of) else ():
            near = None if column in known else nearest(column, known, SLIP)
            if near and near not in columns:
                found.append(f"{name}: {column} is a new column; {near} goes out as it is")
    return found


def _maps(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each map: its name, the pattern of the streams that it maps, and its columns."""
    maps = config.get("stream_maps")
    for name, columns in maps.items() if isinstance(maps, Mapping) else ():
        if name[:2] == "__":  # `__else__`
            continue
        columns = columns if isinstance(columns, Mapping) else {}
        yield name, str(columns.get("__source__", name)), columns
