"""What goes out of a typed record: members taken out, values cast, objects flattened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from singer_sdk.helpers._flattening import FlatteningOptions

from tap_visitor_sessions.sessions import Record
from tap_visitor_sessions.singer.catalog.flattening import Flattening
from tap_visitor_sessions.singer.catalog.selection import Selection


@dataclass(frozen=True)
class Transform:
    """What is made of each record before it is written.

    Attributes:
        values: The JSON Schema of what is made, one type for each value.
        change: Makes it, of a record that is not used again; None: it goes out as it is decoded.
            Safe to use from several threads.
    """

    values: dict[str, Any]
    change: Callable[[Record], Any] | None


def transform_of(selection: Selection, options: FlatteningOptions | None) -> Transform:
    """What is made of the records of a selection.

    Args:
        options: The SDK's, where the stream is flattened.
    """
    changed = selection.changed if selection.changes else None
    if options is None:
        return Transform(selection.values, changed)
    flattening = Flattening(selection.values, options)
    if changed is None:
        return Transform(flattening.values, flattening.flat)
    return Transform(flattening.values, lambda record: flattening.flat(changed(record)))
