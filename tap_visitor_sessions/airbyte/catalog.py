"""The stream as Airbyte lists it, and what of it a configured catalog wants."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import (
    ACCOUNT,
    BOOKMARK,
    DAYS,
    READ_AT,
    STREAM,
    UNLESS_ASKED,
    Settings,
    days_key,
    days_schema,
    emitted_schema,
    key_of,
    left_out,
    without,
)
from tap_visitor_sessions.sessions import Columns

logger = logging.getLogger("tap-visitor-sessions.airbyte")

_FULL_REFRESH = "full_refresh"
_MODES = [_FULL_REFRESH, "incremental"]


class ConfiguredCatalogError(TapError):
    """A configured catalog that cannot be read, or asks for what there is not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Catalog: {reason}; discover the source's schema again")


@dataclass(frozen=True)
class Configured:
    """What a configured catalog wants of the stream.

    Attributes:
        is_full_refresh: Whether all is wanted anew; else what came since the state.
        generation_id: Of the rows that this read brings; None where the platform counts none.
        minimum_generation_id: The destination drops the rows of lower generations.
        days: The columns of `visitor_session_days` that are wanted; None where it is not selected.
        sync_id: Of the sync, which all its attempts share; None where the platform tells none.
    """

    columns: Columns
    is_full_refresh: bool
    generation_id: int | None = None
    minimum_generation_id: int | None = None
    sync_id: int | None = None
    days: Sequence[str] | None = None


def discovered(settings: Settings) -> dict[str, Any]:
    """The AirbyteCatalog."""
    of = {"is_partner": settings.is_partner, "has_account": settings.account is not None}
    streams = (
        (STREAM, emitted_schema(settings), BOOKMARK, key_of(settings)),
        (DAYS, days_schema(**of), READ_AT, days_key(**of)),
    )
    return {
        "streams": [
            {
                "name": name,
                "json_schema": _typed(schema),
                "supported_sync_modes": _MODES,
                "source_defined_cursor": True,
                "default_cursor_field": [cursor],
                "source_defined_primary_key": [[column] for column in key],
                "is_resumable": True,
            }
            for name, schema, cursor, key in streams
        ]
    }


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


def configured(catalog: object, settings: Settings) -> Configured | None:
    """What a ConfiguredAirbyteCatalog wants; None where it does not want the stream.

    What an older catalog names and there is no more is warned about, where the read stays right.

    Raises:
        ConfiguredCatalogError: it is none, or names a stream, a sync mode or a cursor that there
            is not.
    """
    streams = catalog.get("streams") if isinstance(catalog, Mapping) else None
    if not isinstance(streams, list) or not all(isinstance(one, Mapping) for one in streams):
        raise ConfiguredCatalogError("not an object with a list of streams")
    chosen, of_days = None, None
    for one in streams:
        stream = one.get("stream")
        name = stream.get("name") if isinstance(stream, Mapping) else None
        if name not in (STREAM, DAYS):
            raise ConfiguredCatalogError(f"there is no stream {name!r}, only {STREAM}")
        if (mode := one.get("sync_mode")) not in _MODES:
            raise ConfiguredCatalogError(
                f"sync_mode {mode!r} is not offered, only {' and '.join(_MODES)}"
            )
        if name == DAYS:
            of_days = one
            continue
        is_full_refresh = mode == _FULL_REFRESH
        if (cursor := one.get("cursor_field") or [BOOKMARK]) != [BOOKMARK]:
            text = f"cursor_field {cursor} is not offered: it is {BOOKMARK}"
            if not is_full_refresh:
                raise ConfiguredCatalogError(text)
            logger.warning("Catalog: %s, and a full refresh has no use for it", text)
        _check_key(one.get("primary_key"), settings)
        chosen = Configured(
            _columns(stream.get("json_schema"), settings),
            is_full_refresh,
            _id(one, "generation_id"),
            _id(one, "minimum_generation_id"),
            _id(one, "sync_id"),
        )
    return chosen if of_days is None else _with_days(chosen, of_days, settings)


def _with_days(
    chosen: Configured | None, days: Mapping[str, Any], settings: Settings
) -> Configured:
    """What is wanted of the sessions, and their days beside them."""
    if chosen is None:
        raise ConfiguredCatalogError(
            f"{DAYS} says which sessions have been emitted, and {STREAM} is not selected: select "
            "both"
        )
    if (days["sync_mode"] == _FULL_REFRESH) != chosen.is_full_refresh:
        raise ConfiguredCatalogError(
            f"{DAYS} is written with the sessions: give it the sync mode of {STREAM}"
        )
    if _id(days, "minimum_generation_id") and not chosen.minimum_generation_id:
        logger.warning(
            "Catalog: the destination drops the rows of %s that it has, and only days that are "
            "read again get another: refresh %s too",
            DAYS,
            STREAM,
        )
    of = {"is_partner": settings.is_partner, "has_account": settings.account is not None}
    known = days_schema(**of)["properties"]
    schema = days["stream"].get("json_schema")
    wanted = schema.get("properties") if isinstance(schema, Mapping) else None
    always = {*days_key(**of), READ_AT}
    names = [name for name in known if not wanted or name in wanted or name in always]
    return replace(chosen, days=names)


def _id(stream: Mapping[str, Any], name: str) -> int | None:
    found = stream.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
        raise ConfiguredCatalogError(f"{name} is not a whole number")
    return found


def _check_key(given: object, settings: Settings) -> None:
    """Warn of a key that was another one when the catalog was saved."""
    key = [[column] for column in key_of(settings)]
    if given and given != key:
        logger.warning(
            "Catalog: primary_key %s is not the stream's, %s: a destination that deduplicates "
            "goes by the former. Refresh the source's schema",
            given,
            key,
        )


def _columns(schema: object, settings: Settings) -> Columns:
    known = emitted_schema(settings)["properties"]
    wanted = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(wanted, Mapping) or not wanted:
        wanted = {name: one for name, one in known.items() if name not in UNLESS_ASKED}
    # A catalog of before the setting exclude_columns may name what is left out now.
    if gone := sorted(set(wanted) - set(known) - left_out(settings)):
        logger.warning(
            "Catalog: there is no column %s: it is ignored. Refresh the source's schema",
            ", ".join(" ".join(str(name).split())[:60] for name in gone[:20]),
        )
        if ACCOUNT in gone:
            logger.warning(
                "Catalog: the column %s belongs to the setting %s, which is not set", *[ACCOUNT] * 2
            )
    for name in settings.hash_columns:
        given = wanted.get(name)
        types = given.get("type") if isinstance(given, Mapping) else None
        if types and "string" not in types:
            raise ConfiguredCatalogError(f"{name} is hashed, so a text, and not {types}")
    dropped = [
        f"{name}.{member}"
        for name, given in wanted.items()
        if name in known and (members := _members(given))
        for member in _members(known[name])
        if member not in members
    ]
    kept = without({"properties": known}, dropped)["properties"]
    always = {*key_of(settings), BOOKMARK}
    names = [name for name in kept if name in wanted or name in always]
    return Columns(names, without=dropped)


def _members(column: object) -> Mapping[str, Any]:
    """The members of a column's schema; none where it tells none."""
    inner = column.get("items", column) if isinstance(column, Mapping) else None
    members = inner.get("properties") if isinstance(inner, Mapping) else None
    return members if isinstance(members, Mapping) else {}
