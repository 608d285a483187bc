"""A stream as the tap declares it, and as a catalog narrows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Schema
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_visitor_sessions.singer.catalog import Declaration, Selection, handed, wanted
from tap_visitor_sessions.singer.sdk import SdkStream

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.singerlib import Catalog, CatalogEntry


class DeclaredStream(SdkStream):
    """A stream whose schema, key and bookmark are the tap's own.

    Args:
        catalog: What is wanted of it; None: there is none.
    """

    def __init__(
        self, tap: Tap, declaration: Declaration, catalog: Mapping[str, Any] | None
    ) -> None:
        self._declaration = declaration
        super().__init__(tap, schema=dict(declaration.schema))
        self.primary_keys = declaration.key
        self.replication_key = declaration.bookmark
        self._take(catalog)

    @property
    def _singer_catalog_entry(self) -> CatalogEntry:
        """The SDK's; a discovery lists what is left out unless somebody asks for it, too."""
        entry = super()._singer_catalog_entry
        if self._is_listed_whole:
            entry.schema = Schema.from_dict(dict(self.declared))
        return entry

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take from a catalog what it can choose; refuse the rest."""
        self._take(handed(catalog))

    @property
    def declared(self) -> Mapping[str, Any]:
        """The JSON Schema of a record with all columns, whatever is selected."""
        return self._declaration.schema

    def _take(self, catalog: Mapping[str, Any] | None) -> None:
        self._is_listed_whole = catalog is None
        chosen = wanted(self._declaration, catalog)
        for level, note in chosen.notes:
            self.logger.log(level, note)
        # SCHEMA is made of these too, by way of the tap's catalog.
        self._schema, self._metadata, self._mask = chosen.schema, chosen.metadata, None
        self.forced_replication_method = REPLICATION_FULL_TABLE if chosen.full_table else None
        self._selection = Selection(chosen.pieces, chosen.texts)
