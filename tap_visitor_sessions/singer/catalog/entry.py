"""A catalog's entry for the stream: what it says of key, bookmark and method, what it selects."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from singer_sdk.singerlib.catalog import (
    REPLICATION_FULL_TABLE,
    REPLICATION_INCREMENTAL,
    Metadata,
)

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import (
    ACCOUNT,
    BOOKMARK,
    CUSTOMER,
    DAYS,
    READ_AT,
    STREAM,
    UNLESS_ASKED,
    days_key,
    days_schema,
    key_columns,
    stream_of,
)

Names = tuple[str, ...]
"""Where a column or member stands, from the top: ("hits", "hit_url")."""


class CatalogError(TapError):
    """A catalog that asks for what cannot be done, or cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Catalog: {reason}")


@dataclass(frozen=True)
class Declaration:
    """What the stream is by itself.

    Attributes:
        stream: Its name.
        schema: The JSON Schema of a record.
        key: The columns of the key.
        bookmark: The replication key.
        excluded: Columns and members that the settings leave out, whatever a catalog says.
        unless_asked: Columns that are left out where a catalog does not say that they are selected.
        is_optional: Whether all of it is, too.
    """

    stream: str
    schema: Mapping[str, Any]
    key: Sequence[str]
    bookmark: str
    excluded: frozenset[Names] = frozenset()
    unless_asked: frozenset[str] = frozenset()
    is_optional: bool = False

    @property
    def always(self) -> set[str]:
        """The columns that are emitted whatever a catalog says."""
        return {*self.key, self.bookmark}


def declared(config: Mapping[str, Any]) -> Declaration:
    """What settings make of the stream, be they complete or not: `--discover` needs no token."""
    is_partner, has_account = config.get("account_type") == "partner", bool(config.get("account"))
    excluded = config.get("exclude_columns") or ()
    schema = stream_of(
        is_partner=is_partner,
        has_account=has_account,
        excluded=excluded,
        hashed=config.get("hash_columns") or (),
    )
    key = key_columns(is_partner=is_partner, has_account=has_account)
    names = frozenset(tuple(name.split(".")) for name in excluded)
    return Declaration(STREAM, schema, key, BOOKMARK, names, UNLESS_ASKED)


def declared_days(config: Mapping[str, Any]) -> Declaration:
    """The same of the stream of days."""
    of = {
        "is_partner": config.get("account_type") == "partner",
        "has_account": bool(config.get("account")),
    }
    return Declaration(DAYS, days_schema(**of), days_key(**of), READ_AT, is_optional=True)


def nearest(name: str, known: Sequence[str], nearness: float = 0.6) -> str | None:
    """The known name nearest to one; none that is less near than `nearness`, of 1."""
    return next(iter(get_close_matches(name[:100], known, n=1, cutoff=nearness)), None)


def meant(name: str, known: Sequence[str]) -> str:
    """The known name nearest to one, as the end of a message."""
    near = nearest(name, known)
    return f": did you mean {near}?" if near else ""


def lists(catalog: Mapping[str, Any], stream: str) -> bool:
    """Whether a catalog has an entry for a stream."""
    streams = catalog.get("streams")
    return isinstance(streams, list) and any(
        isinstance(one, Mapping) and stream in (one.get("tap_stream_id"), one.get("stream"))
        for one in streams
    )


def stream_entry(
    stream: str, catalog: Mapping[str, Any], notes: list[tuple[int, str]]
) -> Mapping[str, Any]:
    """The catalog's entry for the stream."""
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(isinstance(one, Mapping) for one in streams):
        raise CatalogError("not an object with a list of streams; make one with --discover")
    names = [str(one.get("tap_stream_id") or one.get("stream")) for one in streams]
    if stream not in names:
        there = f"it has {', '.join(names)}" if names else "it has none"
        raise CatalogError(f"it lacks the stream {stream} ({there}); make one with --discover")
    if names.count(stream) > 1:
        raise CatalogError(f"it has the stream {stream} {names.count(stream)} times")
    if others := [name for name in names if name not in (STREAM, DAYS)]:
        text = f"The catalog has streams that this tap does not: {', '.join(others)}"
        notes.append((logging.WARNING, text))
    entry: Mapping[str, Any] = streams[names.index(stream)]
    for word in ("stream", "stream_alias"):
        name = entry.get(word) or stream
        if name != stream:
            raise CatalogError(
                f"{word} {name!r}: the stream's name is {stream}; to rename it use stream_maps"
            )
    return entry


def metadata_items(entry: Mapping[str, Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """The stream's metadata: breadcrumbs, and what stands there."""
    items = entry.get("metadata") or []
    found = []
    for item in items if isinstance(items, list) else [items]:
        breadcrumb = item.get("breadcrumb") if isinstance(item, Mapping) else None
        metadata = item.get("metadata") if isinstance(item, Mapping) else None
        if not isinstance(breadcrumb, (list, tuple)) or not isinstance(metadata, Mapping):
            raise CatalogError(f"an item of its metadata has no breadcrumb or no metadata: {item}")
        found.append(([str(step) for step in breadcrumb], dict(metadata)))
    return found


def selection_rules(items: Sequence[tuple[list[str], dict[str, Any]]]) -> dict[Names, bool]:
    """What is selected by name. Where several items say so of the same (a member of an array has
    two spellings), one that leaves it out is enough."""
    rules: dict[Names, bool] = {}
    for breadcrumb, metadata in items:
        names = names_of(breadcrumb)
        selected = _selected(metadata, names)
        if selected is not None:
            rules[names] = rules.get(names, True) and selected
    return rules


def names_of(breadcrumb: Sequence[str]) -> Names:
    """`properties`, `hits` (, `items`), `properties`, `hit_url` -> hits, hit_url. What is no
    breadcrumb is taken for the names themselves."""
    names: list[str] = []
    steps = list(breadcrumb)
    while steps:
        step = steps.pop(0)
        if step == "properties" and steps:
            names.append(steps.pop(0))
        elif step != "items" or not names:
            return tuple(breadcrumb)
    return tuple(names)


def _selected(metadata: Mapping[str, Any], names: Names) -> bool | None:
    if metadata.get("inclusion") == Metadata.InclusionType.UNSUPPORTED.value:
        return False
    for word in ("selected", "selected-by-default"):
        value = metadata.get(word)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            raise CatalogError(f"{dotted(names)}: {word} is {value!r}: true or false")
        if value is not None:
            return value
    return None


def stream_selected(
    entry: Mapping[str, Any], rules: Mapping[Names, bool], has_metadata: bool
) -> bool:
    """Whether the stream is selected: in metadata, or as old catalogs say it, beside it."""
    selections = [one for one in (rules.get(()), _selected(entry, ())) if one is not None]
    return all(selections) if selections else not has_metadata


def key_problems(
    declaration: Declaration, entry: Mapping[str, Any], root: Mapping[str, Any]
) -> list[str]:
    """A key or a bookmark that is not the stream's own."""
    problems = []
    own = ", ".join(declaration.key)
    # A catalog made before the setting `account` was, or before a partner's key had the customer:
    # what counts is the declaration.
    later = (ACCOUNT, CUSTOMER)
    fit = {frozenset(declaration.key) - set(one) for one in ((), (ACCOUNT,), (CUSTOMER,), later)}
    for place, word in (
        (entry, "key_properties"),
        (root, "table-key-properties"),
        (root, "view-key-properties"),
    ):
        names = place.get(word) or []
        names = [names] if isinstance(names, str) else names
        if names and (
            not isinstance(names, (list, tuple)) or frozenset(map(str, names)) not in fit
        ):
            problems.append(
                f"{word} {names}: the key of {declaration.stream} is {own}; "
                "to have another use stream_maps' __key_properties__"
            )
    for place, word in (
        (entry, "replication_key"),
        (root, "replication-key"),
        (root, "valid-replication-keys"),
    ):
        names = place.get(word) or []
        if names and declaration.bookmark not in ([names] if isinstance(names, str) else names):
            problems.append(
                f"{word} {names}: the replication key of {declaration.stream} "
                f"is {declaration.bookmark}"
            )
    return problems


def full_table_chosen(
    entry: Mapping[str, Any],
    root: Mapping[str, Any],
    problems: list[str],
    notes: list[tuple[int, str]],
) -> bool:
    """Whether FULL_TABLE is chosen. `replication-method` comes first: nobody but a user writes
    it; that of the entry stands in every catalog that was discovered."""
    offered = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)
    chosen = []
    for place, word in (
        (root, "replication-method"),
        (entry, "replication_method"),
        (root, "forced-replication-method"),
    ):
        value = place.get(word)
        if value in (None, ""):
            continue
        method = str(value).strip().upper()
        if method not in offered:
            problems.append(f"{word} {value!r} is not offered: {' or '.join(offered)}")
        chosen.append((word, method))
    if chosen and any(method != chosen[0][1] for _, method in chosen):
        text = ", ".join(f"{word} {method}" for word, method in chosen)
        # No warning: a discovered entry says INCREMENTAL, beside what a user's metadata says.
        notes.append((logging.INFO, f"The catalog says {text}: taken as {chosen[0][1]}"))
    return bool(chosen) and chosen[0][1] == REPLICATION_FULL_TABLE


def dotted(path: Names) -> str:
    return ".".join(path)
