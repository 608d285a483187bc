"""What a user's catalog asks of the stream, held against what the stream declares.

The SDK takes schema, key, bookmark and replication method from the catalog as they stand there,
and the records from the stream: the two then disagree, without a word. Here the catalog can take
columns and members out, cast types where no value is lost, and choose FULL_TABLE. What else it
asks for is refused by name, before any request; what it cannot mean is said in a line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from singer_sdk.singerlib.catalog import (
    REPLICATION_FULL_TABLE,
    REPLICATION_INCREMENTAL,
    Catalog,
    Metadata,
    MetadataMapping,
)

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.config.schema import ACCOUNT
from tap_visitor_sessions.sessions.conforming import kind_of
from tap_visitor_sessions.singer.selection import Change, Piece, as_text, each, only

Names = tuple[str, ...]
"""Where a column or member stands, from the top: ("hits", "hit_url")."""

SCALARS = {"integer", "number", "string", "null"}
# JSON Schema's words that values might break; what is not among them only describes.
_CONSTRAINTS = """
enum const pattern minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength
minItems maxItems uniqueItems contains minProperties maxProperties allOf not if then else $ref
prefixItems patternProperties propertyNames dependentRequired dependentSchemas
unevaluatedProperties unevaluatedItems
"""
CONSTRAINTS = frozenset(_CONSTRAINTS.split())
_READ = "type format properties items required anyOf oneOf selected inclusion"
READ = frozenset(_READ.split())
"""What is read here, and not copied from the catalog into SCHEMA."""


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
    """

    stream: str
    schema: Mapping[str, Any]
    key: Sequence[str]
    bookmark: str

    @property
    def always(self) -> set[str]:
        """The columns that are emitted whatever a catalog says."""
        return {*self.key, self.bookmark}


@dataclass(frozen=True)
class Wanted:
    """What is to be emitted.

    Attributes:
        schema: The JSON Schema of the records, for SCHEMA.
        pieces: What is emitted of each column.
        metadata: Of the whole declaration, as discovery lists it, with what is selected.
        full_table: Whether FULL_TABLE is chosen.
        notes: What is to be told, with its logging level.
    """

    schema: dict[str, Any]
    pieces: dict[str, Piece]
    metadata: MetadataMapping
    full_table: bool = False
    notes: list[tuple[int, str]] = field(default_factory=list)


def handed(catalog: object) -> dict[str, Any] | None:
    """The catalog that a user hands in, as a dict; None when there is none.

    Args:
        catalog: A dict, the SDK's form of one, or a file's path.

    Raises:
        CatalogError: it is none of them, or the file cannot be read.
    """
    if catalog is None:
        return None
    if isinstance(catalog, Catalog):
        return catalog.to_dict()
    if isinstance(catalog, (str, PurePath)):
        try:
            catalog = json.loads(Path(catalog).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise CatalogError(f"cannot be read: {problem}") from None
    if not isinstance(catalog, Mapping):
        raise CatalogError("not an object with streams; make one with --discover")
    return dict(catalog)


def wanted(declaration: Declaration, catalog: Mapping[str, Any] | None) -> Wanted:
    """What a catalog asks for; without one, everything.

    Raises:
        CatalogError: it asks for what cannot be done; names each such thing.
    """
    if catalog is None:
        metadata = _metadata(declaration)
        metadata.root.selected = True
        reading = _Reading(declaration, {})
        pieces = reading.members((), declaration.schema, {})
        return Wanted(dict(declaration.schema), pieces, metadata)
    notes: list[tuple[int, str]] = []
    entry = _entry(declaration.stream, catalog, notes)
    items = _items(entry)
    root: dict[str, Any] = {}
    for breadcrumb, said in items:
        if not breadcrumb:
            root |= said
    reading = _Reading(declaration, _rules(items))
    reading.problems += _key_problems(declaration, entry, root)
    full_table = _full_table(entry, root, reading.problems, notes)
    schema, pieces = reading.top(entry.get("schema"))
    if reading.problems:
        raise CatalogError("; ".join(reading.problems))
    notes += reading.notes()
    selected = _stream_selected(entry, reading.rules, bool(items))
    if not selected:
        notes.append(
            (
                logging.WARNING,
                f"The catalog does not select the stream {declaration.stream}: nothing is read. "
                "Its metadata at breadcrumb [] must say selected: true",
            )
        )
    metadata = _metadata(declaration)
    metadata.root.selected = selected
    for crumbs, one in metadata.items():
        if crumbs and one.inclusion != Metadata.InclusionType.AUTOMATIC:
            one.selected = _names(crumbs) in reading.kept
    return Wanted(schema, pieces, metadata, full_table, notes)


class _Reading:
    """Walks the declaration and the catalog's schema side by side.

    Args:
        rules: What the catalog's metadata says of a column or member: selected or not.
    """

    def __init__(self, declaration: Declaration, rules: Mapping[Names, bool]) -> None:
        self._declaration = declaration
        self.rules = rules
        self.problems: list[str] = []
        self.kept: set[Names] = set()
        self._unknown: list[Names] = []
        self._lacking: list[Names] = []
        self._emptied: list[Names] = []
        self._silent = False

    def top(self, node: object) -> tuple[dict[str, Any], dict[str, Piece]]:
        """SCHEMA's JSON Schema, and what is emitted of each column."""
        declared = self._declaration.schema
        plain = self._plain((), node) if node is not None else {}
        if not plain.get("properties"):
            self._silent = True
            plain.pop("properties", None)
        types = self._types((), plain) if "type" in plain else ["object"]
        if types is not None and "object" not in types:
            self.problems.append(f"the schema's type is {types}: a record is an object")
        pieces = self.members((), declared, plain)
        schema = {**declared, **self._described((), declared, plain)}
        required = plain.get("required")
        if required is None:
            required = declared["required"]
        if not isinstance(required, list):
            self.problems.append("the schema's required is not a list")
            required = []
        schema["required"] = [name for name in required if name in pieces]
        schema["properties"] = {name: piece.schema for name, piece in pieces.items()}
        self._look_at_rules()
        return schema, pieces

    def members(
        self, path: Names, declared: Mapping[str, Any], node: Mapping[str, Any]
    ) -> dict[str, Piece]:
        """What is emitted of an object's members. A node without `properties` says nothing of
        them."""
        nodes = node.get("properties")
        if nodes is not None and not isinstance(nodes, Mapping):
            self.problems.append(f"{_spelled(path)}: its properties are not an object")
            nodes = None
        if nodes is not None:
            self._unknown += [(*path, name) for name in nodes if name not in declared["properties"]]
        kept = {}
        for name, own in declared["properties"].items():
            here = (*path, name)
            always = len(here) == 1 and name in self._declaration.always
            if nodes is not None and name not in nodes and not always:
                self._lacking.append(here)
                continue
            inner = (nodes or {}).get(name, {})
            left_out = isinstance(inner, Mapping) and inner.get("selected") is False
            if not always and (left_out or not self.rules.get(here, True)):
                continue
            piece = self._piece(here, own, inner)
            if piece is None:
                self._emptied.append(here)
            else:
                self.kept.add(here)
                kept[name] = piece
        return kept

    def _piece(self, path: Names, declared: Mapping[str, Any], handed: object) -> Piece | None:
        """What is emitted of a column, a member or items; None when no member is left of it."""
        node = self._plain(path, handed)
        schema = {
            **{key: value for key, value in declared.items() if key not in READ},
            **self._described(path, declared, node),
        }
        schema["type"] = declared["type"]
        if "format" in declared:
            schema["format"] = declared["format"]
        text = False
        if "type" in node and (types := self._types(path, node)) is not None:
            schema["type"] = node["type"]
            schema.pop("format", None)
            text = self._as_text(path, declared, types)
        if node.get("format"):
            if node["format"] == declared.get("format"):
                schema["format"] = node["format"]
            else:
                self._refuse(path, f"the format {node['format']!r} cannot be promised")
        if node.get("required"):
            self._refuse(path, "members cannot be made required")
        kind = kind_of(declared)
        values: dict[str, Any] = {"type": declared["type"]}
        change: Change | None = None
        if kind == "object":
            pieces = self.members(path, declared, node)
            if not pieces:
                return None
            schema["properties"] = {name: piece.schema for name, piece in pieces.items()}
            values["properties"] = {name: piece.values for name, piece in pieces.items()}
            if len(pieces) < len(declared["properties"]) or any(
                piece.change for piece in pieces.values()
            ):
                change = only(pieces)
        elif kind == "array":
            item = self._piece(path, declared["items"], node.get("items", {}))
            if item is None:
                return None
            schema["items"], values["items"] = item.schema, item.values
            change = None if item.change is None else each(item.change)
        if text:
            for key in ("properties", "items"):
                schema.pop(key, None)
            return Piece(schema, {"type": ["string", "null"]}, as_text(change))
        return Piece(schema, values, change)

    def _as_text(self, path: Names, declared: Mapping[str, Any], types: Sequence[str]) -> bool:
        """Whether values are cast to text; notes a cast that would lose some."""
        kind = kind_of(declared)
        own = "string" if kind == "date-time" else kind
        offered = {own, "string", "null"} if own in ("array", "object") else {own, *SCALARS}
        if strange := [name for name in types if name not in offered]:
            self._refuse(path, f"cannot be cast from {own} to {', '.join(strange)}")
        elif "null" in declared["type"] and "null" not in types:
            self._refuse(path, f"can be null, and {types} leaves no place for it")
        elif own in types or (own == "integer" and "number" in types):
            return False
        elif "string" in types:
            return True
        else:
            self._refuse(path, f"cannot be cast from {own} to {', '.join(types)} without loss")
        return False

    def _plain(self, path: Names, handed: object) -> dict[str, Any]:
        """A schema of the catalog with its alternatives as one list of types."""
        if not isinstance(handed, Mapping):
            self._refuse(path, "its schema is not an object")
            return {}
        node = dict(handed)
        for word in ("anyOf", "oneOf"):
            branches = node.pop(word, None)
            if branches is None:
                continue
            merged = _merged(branches)
            if merged is None or "type" in node:
                self._refuse(path, f"its {word} cannot be read as a list of types")
            else:
                node |= merged
        return node

    def _types(self, path: Names, node: Mapping[str, Any]) -> list[str] | None:
        kinds = node["type"]
        types = [kinds] if isinstance(kinds, str) else kinds
        if isinstance(types, list) and types and all(isinstance(one, str) for one in types):
            return types
        self._refuse(path, f"its type is {kinds!r}")
        return None

    def _described(
        self, path: Names, declared: Mapping[str, Any], node: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the catalog says beside types; notes what records might not keep."""
        for word in CONSTRAINTS & node.keys():
            if node[word] is not None and node[word] != declared.get(word):
                self._refuse(path, f"{word} cannot be promised")
        return {
            key: value
            for key, value in node.items()
            if key not in READ and key not in CONSTRAINTS and value is not None
        }

    def _refuse(self, path: Names, reason: str) -> None:
        self.problems.append(f"{_spelled(path) or 'schema'}: {reason}")

    def _is_known(self, path: Names) -> bool:
        node: Mapping[str, Any] = self._declaration.schema
        for name in path:
            node = node.get("items", node)
            if name not in node.get("properties", {}):
                return False
            node = node["properties"][name]
        return True

    def _look_at_rules(self) -> None:
        """Rules for what is not there: somebody meant to take something else out."""
        for path, selected in self.rules.items():
            if self._is_known(path) or any(path[: len(one)] == one for one in self._unknown):
                continue
            if selected:
                self._unknown.append(path)
            else:
                self.problems.append(
                    f"{_spelled(path)} is to be left out, and there is no such column"
                    f"{meant(_spelled(path), self._all_names())}"
                )

    def _all_names(self) -> list[str]:
        names = (_names(breadcrumb) for breadcrumb in _metadata(self._declaration))
        return [_spelled(path) for path in names if path]

    def notes(self) -> list[tuple[int, str]]:
        """What is to be told of columns."""
        found = []
        if self._silent:
            text = "The catalog has no schema of the stream: all that its metadata selects is read"
            found.append((logging.WARNING, text))
        ignored = [path for path in self._lacking if self.rules.get(path)]
        for level, paths, text in (
            (logging.WARNING, self._unknown, "in the catalog, but the stream has no such column"),
            (logging.WARNING, ignored, "selected in the catalog, but not in its schema"),
            (
                logging.WARNING,
                self._emptied,
                "selected without any of its members; select those too (a pattern with .*)",
            ),
            (
                logging.INFO,
                [path for path in self._lacking if path not in ignored],
                "not in the catalog's schema; discover again to have it",
            ),
        ):
            if paths:
                found.append((level, f"Left out: {', '.join(map(_spelled, paths))}: {text}"))
        return found


def nearest(name: str, known: Sequence[str], nearness: float = 0.6) -> str | None:
    """The known name nearest to one; none that is less near than `nearness`, of 1."""
    return next(iter(get_close_matches(name[:100], known, n=1, cutoff=nearness)), None)


def meant(name: str, known: Sequence[str]) -> str:
    """The known name nearest to one, as the end of a message."""
    near = nearest(name, known)
    return f": did you mean {near}?" if near else ""


def _entry(
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
    if others := [name for name in names if name != stream]:
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


def _items(entry: Mapping[str, Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """The stream's metadata: breadcrumbs, and what is said there."""
    items = entry.get("metadata") or []
    found = []
    for item in items if isinstance(items, list) else [items]:
        breadcrumb = item.get("breadcrumb") if isinstance(item, Mapping) else None
        said = item.get("metadata") if isinstance(item, Mapping) else None
        if not isinstance(breadcrumb, (list, tuple)) or not isinstance(said, Mapping):
            raise CatalogError(f"an item of its metadata has no breadcrumb or no metadata: {item}")
        found.append(([str(step) for step in breadcrumb], dict(said)))
    return found


def _rules(items: Sequence[tuple[list[str], dict[str, Any]]]) -> dict[Names, bool]:
    """What is selected by name. Where several items say so of the same (a member of an array has
    two spellings), one that leaves it out is enough."""
    rules: dict[Names, bool] = {}
    for breadcrumb, said in items:
        names = _names(breadcrumb)
        selected = _selected(said, names)
        if selected is not None:
            rules[names] = rules.get(names, True) and selected
    return rules


def _names(breadcrumb: Sequence[str]) -> Names:
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


def _selected(said: Mapping[str, Any], names: Names) -> bool | None:
    if said.get("inclusion") == Metadata.InclusionType.UNSUPPORTED.value:
        return False
    for word in ("selected", "selected-by-default"):
        value = said.get(word)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            raise CatalogError(f"{_spelled(names)}: {word} is {value!r}: true or false")
        if value is not None:
            return value
    return None


def _stream_selected(
    entry: Mapping[str, Any], rules: Mapping[Names, bool], has_metadata: bool
) -> bool:
    """Whether the stream is selected: in metadata, or as old catalogs say it, beside it."""
    said = [one for one in (rules.get(()), _selected(entry, ())) if one is not None]
    return all(said) if said else not has_metadata


def _key_problems(
    declaration: Declaration, entry: Mapping[str, Any], root: Mapping[str, Any]
) -> list[str]:
    """A key or a bookmark that is not the stream's own."""
    problems = []
    own = ", ".join(declaration.key)
    # A catalog made before the setting `account` was: the setting is what counts.
    fit = {frozenset(declaration.key), frozenset(declaration.key) - {ACCOUNT}}
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


def _full_table(
    entry: Mapping[str, Any],
    root: Mapping[str, Any],
    problems: list[str],
    notes: list[tuple[int, str]],
) -> bool:
    """Whether FULL_TABLE is chosen. `replication-method` comes first: nobody but a user writes
    it; that of the entry stands in every catalog that was discovered."""
    offered = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)
    said = []
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
        said.append((word, method))
    if said and any(method != said[0][1] for _, method in said):
        text = ", ".join(f"{word} {method}" for word, method in said)
        # No warning: a discovered entry says INCREMENTAL, beside what a user's metadata says.
        notes.append((logging.INFO, f"The catalog says {text}: taken as {said[0][1]}"))
    return bool(said) and said[0][1] == REPLICATION_FULL_TABLE


def _metadata(declaration: Declaration) -> MetadataMapping:
    """The SDK's metadata, and the members of arrays, which it passes over. They are spelled as
    Meltano's select patterns find them: without `items`."""
    standard = MetadataMapping.get_standard_metadata(
        schema=dict(declaration.schema),
        key_properties=list(declaration.key),
        valid_replication_keys=[declaration.bookmark],
        selected_by_default=True,
    )
    metadata = MetadataMapping()
    for breadcrumb, one in standard.items():
        metadata[breadcrumb] = one
        declared = declaration.schema["properties"].get(breadcrumb[1]) if breadcrumb else None
        if declared and len(breadcrumb) == 2:
            for name in declared.get("items", {}).get("properties", {}):
                member = (*breadcrumb, "properties", name)
                metadata[member] = Metadata(inclusion=Metadata.InclusionType.AVAILABLE)
    return metadata


def _merged(branches: object) -> dict[str, Any] | None:
    """Alternatives as one schema with a list of types; None where that says something else."""
    if not isinstance(branches, list) or not all(isinstance(one, Mapping) for one in branches):
        return None
    types: list[str] = []
    merged: dict[str, Any] = {}
    for branch in branches:
        kinds = branch.get("type")
        types += [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
        more = {key: value for key, value in branch.items() if key != "type"}
        if kinds is None or (more and merged):
            return None
        merged |= more
    strings = sum(1 for branch in branches if "string" in branch["type"])
    if "format" in merged and strings != 1:
        return None
    return {**merged, "type": list(dict.fromkeys(types))} if types else None


def _spelled(path: Names) -> str:
    return ".".join(path)
