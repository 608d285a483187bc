"""The stream as Airbyte lists it, and what of it a configured catalog wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import (
    BOOKMARK,
    STREAM,
    Settings,
    emitted_schema,
    key_of,
    left_out,
)
from tap_visitor_sessions.sessions import Columns

_MODES = ["full_refresh", "incremental"]


class ConfiguredCatalogError(TapError):
    """A configured catalog that cannot be read, or asks for what there is not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Catalog: {reason}; discover the source's schema again")


def discovered(settings: Settings) -> dict[str, Any]:
    """The AirbyteCatalog."""
    stream = {
        "name": STREAM,
        "json_schema": _typed(emitted_schema(settings)),
        "supported_sync_modes": _MODES,
        "source_defined_cursor": True,
        "default_cursor_field": [BOOKMARK],
        "source_defined_primary_key": [[column] for column in key_of(settings)],
        "is_resumable": True,
    }
    return {"streams": [stream]}


def _typed(schema: Any) -> Any:
    """With the types that Airbyte has beside JSON Schema's."""
    if isinstance(schema, list):
        return [_typed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _typed(value) for key, value in schema.items()}
    if found.get("format") == "date-time":
        found["airbyte_type"] = "timestamp_with_timezone"
    return found


def columns(catalog: object, settings: Settings) -> Columns | None:
    """What a ConfiguredAirbyteCatalog wants; None where it does not want the stream.

    Raises:
        ConfiguredCatalogError: it is none, or names a stream, a sync mode, a cursor or a column
            that there is not.
    """
    streams = catalog.get("streams") if isinstance(catalog, Mapping) else None
    if not isinstance(streams, list) or not all(isinstance(one, Mapping) for one in streams):
        raise ConfiguredCatalogError("not an object with a list of streams")
    chosen = None
    for configured in streams:
        stream = configured.get("stream")
        name = stream.get("name") if isinstance(stream, Mapping) else None
        if name != STREAM:
            raise ConfiguredCatalogError(f"there is no stream {name!r}, only {STREAM}")
        if (mode := configured.get("sync_mode")) not in _MODES:
            raise ConfiguredCatalogError(
                f"sync_mode {mode!r} is not offered, only {' and '.join(_MODES)}"
            )
        if (cursor := configured.get("cursor_field") or [BOOKMARK]) != [BOOKMARK]:
            raise ConfiguredCatalogError(f"cursor_field {cursor} is not offered: it is {BOOKMARK}")
        chosen = _columns(stream.get("json_schema"), settings)
    return chosen


def _columns(schema: object, settings: Settings) -> Columns:
    known = emitted_schema(settings)["properties"]
    wanted = schema.get("properties") if isinstance(schema, Mapping) else None
    if not wanted:
        wanted = known
    # A catalog of before the setting exclude_columns may name what is left out now.
    if unknown := sorted(set(wanted) - set(known) - left_out(settings)):
        raise ConfiguredCatalogError(f"there are no columns {', '.join(unknown)}")
    for name in settings.hash_columns:
        given = wanted.get(name)
        types = given.get("type") if isinstance(given, Mapping) else None
        if types and "string" not in types:
            raise ConfiguredCatalogError(f"{name} is hashed, so a text, and not {types}")
    always = {*key_of(settings), BOOKMARK}
    return Columns([name for name in known if name in wanted or name in always])
