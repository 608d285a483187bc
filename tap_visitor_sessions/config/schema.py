"""The declarations of the streams, read from `schemas/`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tap_visitor_sessions.config.names import all_names, node_of

STREAM = "visitor_sessions"
KEY, BOOKMARK = "id", "date_time"
DAYS = "visitor_session_days"
"""The stream that counts the sessions of each local day."""

PARTNER_PROPERTIES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "customer_id": {
            "type": "integer",
            "description": "Unique ID of the partner's customer whose session this is.",
        },
        "user_id": {
            "type": ["integer", "null"],
            "description": "Unique ID of the customer's user on whose behalf the row was read.",
        },
    }
)


CUSTOMER = "customer_id"
"""The column that is part of a partner's key: ids of two customers may meet."""
ACCOUNT = "account"
"""The column that the setting of the same name adds."""
ACCOUNT_PROPERTY: Mapping[str, Any] = MappingProxyType(
    {
        "type": "string",
        "description": "Name of the account whose session this is, from the setting account.",
    }
)
READ_AT = "read_at"
"""The column that says when a row was read."""
READ_AT_PROPERTY: Mapping[str, Any] = MappingProxyType(
    {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When the row was read, by the clock of the machine that read it, in UTC.",
    }
)
ADDED = frozenset({*PARTNER_PROPERTIES, ACCOUNT, READ_AT})
"""The columns that the API is not asked for."""
UNLESS_ASKED = frozenset({READ_AT})
"""The columns that are left out where nobody names them."""


@dataclass(frozen=True)
class Column:
    """One column of the report and what the API allows on it."""

    name: str
    api_type: str
    filterable: bool
    sortable: bool
    description: str


@cache
def _document(stream: str = STREAM) -> dict[str, Any]:
    """A stream's schema file: from the installed package, else from the checkout."""
    name = f"{stream}.json"
    packaged = files("tap_visitor_sessions") / "schemas" / name
    if packaged.is_file():
        text = packaged.read_text(encoding="utf-8")
    else:
        checkout = Path(__file__).parent.parent.parent / "schemas" / name
        text = checkout.read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def _plain(stream: str = STREAM) -> dict[str, Any]:
    """The schema without the `x-` annotations of columns and members, and without the version of
    JSON Schema, by whose name some loaders refuse it."""
    plain: dict[str, Any] = _unannotated(_document(stream))
    del plain["$schema"]
    return plain


def _unannotated(value: Any) -> Any:
    if not isinstance(value, dict):
        return copy.copy(value)
    return {name: _unannotated(one) for name, one in value.items() if not name.startswith("x-")}


@cache
def personal() -> frozenset[str]:
    """The columns and members that are declared as personal data: `hits.hit_url`."""
    document = _document()
    found = {name: node_of(document, name) or {} for name in all_names(document)}
    return frozenset(name for name, declared in found.items() if declared.get("x-personal"))


@cache
def enumerations() -> Mapping[str, tuple[str, ...]]:
    """The values that the vendor's page lists for columns and members, by their name."""
    document = _document()
    found = {name: node_of(document, name) or {} for name in all_names(document)}
    listed = {name: tuple(declared.get("x-values", ())) for name, declared in found.items()}
    return MappingProxyType({name: values for name, values in listed.items() if values})


def stream_schema() -> dict[str, Any]:
    """The JSON Schema of a record; the caller may change what it gets."""
    return copy.deepcopy(_plain())


def partner_schema() -> dict[str, Any]:
    """The JSON Schema of a record read for a partner's customer."""
    schema = stream_schema()
    schema["properties"].update(copy.deepcopy(dict(PARTNER_PROPERTIES)))
    schema["required"].append(CUSTOMER)
    return schema


def record_schema(*, is_partner: bool, has_account: bool, is_whole: bool = False) -> dict[str, Any]:
    """The JSON Schema of a record, with the columns that the settings add.

    Args:
        is_whole: With the columns, too, that are left out where nobody names them.
    """
    schema = partner_schema() if is_partner else stream_schema()
    whole = with_account(schema) if has_account else schema
    if is_whole:
        whole["properties"][READ_AT] = copy.deepcopy(dict(READ_AT_PROPERTY))
    return whole


def key_columns(*, is_partner: bool, has_account: bool) -> tuple[str, ...]:
    """The columns of the key."""
    return (
        *((CUSTOMER,) if is_partner else ()),
        KEY,
        *((ACCOUNT,) if has_account else ()),
    )


def days_schema(*, is_partner: bool, has_account: bool) -> dict[str, Any]:
    """The JSON Schema of a record of `visitor_session_days`."""
    schema = copy.deepcopy(_plain(DAYS))
    if is_partner:
        for name, declared in PARTNER_PROPERTIES.items():
            schema["properties"][name] = {**declared, "type": "integer"}
            schema["required"].append(name)
    return with_account(schema) if has_account else schema


def days_key(*, is_partner: bool, has_account: bool) -> tuple[str, ...]:
    """The columns of its key."""
    return (
        *(PARTNER_PROPERTIES if is_partner else ()),
        "date",
        *((ACCOUNT,) if has_account else ()),
    )


def with_account(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a record that says whose it is; never null, as it is part of the key."""
    properties = {**schema["properties"], ACCOUNT: dict(ACCOUNT_PROPERTY)}
    return {**schema, "required": [*schema["required"], ACCOUNT], "properties": properties}


@cache
def columns() -> Mapping[str, Column]:
    """The columns of the report by name, in the order of the schema."""
    return MappingProxyType(
        {
            name: Column(
                name=name,
                api_type=declared["x-api-type"],
                filterable=declared.get("x-filter", False),
                sortable=declared.get("x-sort", False),
                description=declared["description"],
            )
            for name, declared in _document()["properties"].items()
        }
    )
