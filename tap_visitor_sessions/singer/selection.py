"""What of a record the catalog selects: columns to ask for, and members to take out."""

from __future__ import annotations

from typing import Any

from singer_sdk.helpers._catalog import pop_deselected_record_properties
from singer_sdk.singerlib import SelectionMask

from tap_visitor_sessions.config.schema import PARTNER_PROPERTIES
from tap_visitor_sessions.singer.state import REPLICATION_KEY

KEY = "id"


class Selection:
    """The selected columns of the stream; the key and the bookmark always are.

    Args:
        schema: The stream's JSON Schema.
        mask: The SDK's: whether a path of the schema is selected.
    """

    def __init__(self, schema: dict[str, Any], mask: SelectionMask) -> None:
        self._schema = schema
        self._mask = mask
        columns = [
            name
            for name in schema["properties"]
            if name in (KEY, REPLICATION_KEY) or mask.get(("properties", name), True)
        ]
        self.schema = {"properties": {name: schema["properties"][name] for name in columns}}
        """The JSON Schema with the selected top-level columns."""
        self.asked = [name for name in columns if name not in PARTNER_PROPERTIES]
        """The columns that the API is asked for, in the schema's order."""
        self.added = [name for name in columns if name in PARTNER_PROPERTIES]
        """The columns that the tap adds itself."""

    @property
    def is_half(self) -> bool:
        """Whether members within a column are deselected."""
        return any(len(path) > 2 and not chosen for path, chosen in self._mask.items())

    def prune(self, record: dict[str, Any]) -> None:
        """Take the deselected members out of a record."""
        pop_deselected_record_properties(record, self._schema, self._mask)
