"""What a user's catalog asks of the stream, held against what the stream declares.

The SDK takes schema, key, bookmark and replication method from the catalog as they stand there,
and the records from the stream: the two then disagree, without a word. Here the catalog can take
columns and members out, cast types where no value is lost, and choose FULL_TABLE. What else it
asks for is refused by name, before any request; what it cannot mean is reported in a line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from singer_sdk.singerlib.catalog import (
    Catalog,
    Metadata,
    MetadataMapping,
)

from tap_visitor_sessions.config import ADDED
from tap_visitor_sessions.sessions import kind_of
from tap_visitor_sessions.singer.catalog.entry import (
    CatalogError,
    Declaration,
    Names,
    dotted,
    full_table_chosen,
    key_problems,
    lists,
    meant,
    metadata_items,
    names_of,
    selection_rules,
    stream_entry,
    stream_selected,
)
from tap_visitor_sessions.singer.catalog.selection import Change, Piece, as_text, each, only

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


@dataclass(frozen=True)
class Wanted:
    """What is to be emitted.

    Attributes:
        schema: The JSON Schema of the records, for SCHEMA.
        pieces: What is emitted of each column.
        metadata: Of the whole declaration, as discovery lists it, with what is selected.
        texts: What is cast from a number to text.
        full_table: Whether FULL_TABLE is chosen.
        notes: What is to be told, with its logging level.
    """

    schema: dict[str, Any]
    pieces: dict[str, Piece]
    metadata: MetadataMapping
    texts: Sequence[Names] = ()
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
    is_optional = declaration.is_optional
    if catalog is None or (is_optional and not lists(catalog, declaration.stream)):
        return _by_default(declaration)
    notes: list[tuple[int, str]] = []
    entry = stream_entry(declaration.stream, catalog, notes)
    items = metadata_items(entry)
    if is_optional:
        notes.clear()  # what there is to tell of other streams is told of the sessions
        if not stream_selected(entry, selection_rules(items), bool(items)):
            return _by_default(declaration)
    root: dict[str, Any] = {}
    for breadcrumb, found in items:
        if not breadcrumb:
            root |= found
    reading = _Reading(declaration, selection_rules(items))
    reading.problems += key_problems(declaration, entry, root)
    full_table = full_table_chosen(entry, root, reading.problems, notes)
    schema, pieces = reading.top(entry.get("schema"))
    if reading.problems:
        raise CatalogError("; ".join(reading.problems))
    notes += reading.notes()
    selected = stream_selected(entry, reading.rules, bool(items))
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
            one.selected = names_of(crumbs) in reading.kept
    return Wanted(schema, pieces, metadata, reading.texts, full_table, notes)


def _by_default(declaration: Declaration) -> Wanted:
    """What is wanted where no catalog says anything."""
    metadata = _metadata(declaration)
    metadata.root.selected = not declaration.is_optional
    pieces = _Reading(declaration, {}).members((), declaration.schema, {})
    names = {name: piece.schema for name, piece in pieces.items()}
    for name in declaration.unless_asked & declaration.schema["properties"].keys():
        metadata["properties", name].selected = name in names
    return Wanted({**declaration.schema, "properties": names}, pieces, metadata)


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
        self.texts: list[Names] = []
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
            self.problems.append(f"{dotted(path)}: its properties are not an object")
            nodes = None
        if nodes is not None:
            self._unknown += [
                (*path, name)
                for name in nodes
                if name not in declared["properties"] and not self._is_excluded((*path, name))
            ]
        kept = {}
        for name, own in declared["properties"].items():
            here = (*path, name)
            always = len(here) == 1 and name in self._declaration.always
            if nodes is not None and name not in nodes and not always:
                self._lacking.append(here)
                continue
            inner = (nodes or {}).get(name, {})
            left_out = isinstance(inner, Mapping) and inner.get("selected") is False
            if not always and (left_out or not self.rules.get(here, self._by_default(here, nodes))):
                continue
            piece = self._piece(here, own, inner)
            if piece is None:
                self._emptied.append(here)
            else:
                self.kept.add(here)
                kept[name] = piece
        return kept

    def _by_default(self, path: Names, nodes: Mapping[str, Any] | None) -> bool:
        """Whether what no rule names is selected: a catalog without rules selects by its schema."""
        is_optional = len(path) == 1 and path[0] in self._declaration.unless_asked
        return not is_optional or (not self.rules and path[0] in (nodes or {}))

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
            # A catalog of before may allow null where there is none: no loader makes a key of that.
            never_null = path[0] in self._declaration.always and len(types) > 1
            kept = [one for one in types if one != "null"] if never_null else node["type"]
            schema["type"] = kept[0] if never_null and len(kept) == 1 else kept
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
        if "format" in schema:
            values["format"] = schema["format"]
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
            values = {"type": ["string", "null"]}
            if kind not in ("object", "array") and path[0] not in self._declaration.always | ADDED:
                self.texts.append(path)  # so that what is no number is not lost
            else:
                change = as_text(change)
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
        self.problems.append(f"{dotted(path) or 'schema'}: {reason}")

    def _is_known(self, path: Names) -> bool:
        node: Mapping[str, Any] = self._declaration.schema
        for name in path:
            node = node.get("items", node)
            if name not in node.get("properties", {}):
                return False
            node = node["properties"][name]
        return True

    def _is_excluded(self, path: Names) -> bool:
        """Whether the settings leave it out: what a catalog says of it is nothing to tell of. So
        is a column of which no member is left."""
        excluded = self._declaration.excluded
        return any(path[: len(one)] == one or one[: len(path)] == path for one in excluded)

    def _look_at_rules(self) -> None:
        """Rules for what is not there: somebody meant to take something else out."""
        for path, selected in self.rules.items():
            if self._is_known(path) or self._is_excluded(path):
                continue
            if any(path[: len(one)] == one for one in self._unknown):
                continue
            if selected:
                self._unknown.append(path)
            else:
                self.problems.append(
                    f"{dotted(path)} is to be left out, and there is no such column"
                    f"{meant(dotted(path), self._all_names())}"
                )

    def _all_names(self) -> list[str]:
        names = (names_of(breadcrumb) for breadcrumb in _metadata(self._declaration))
        return [dotted(path) for path in names if path]

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
                [
                    path
                    for path in self._lacking
                    if path not in ignored and path[0] not in self._declaration.unless_asked
                ],
                "not in the catalog's schema; discover again to have it",
            ),
        ):
            if paths:
                found.append((level, f"Left out: {', '.join(map(dotted, paths))}: {text}"))
        return found


def _metadata(declaration: Declaration) -> MetadataMapping:
    """The SDK's metadata, and the members of arrays, which it passes over. They are dotted as
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
    metadata.root.selected_by_default = False if declaration.is_optional else None
    for name in declaration.unless_asked:
        if name in declaration.schema["properties"]:
            metadata["properties", name].selected_by_default = False
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
