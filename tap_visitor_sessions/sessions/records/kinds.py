"""What a value of each kind is: one declaration, by which the typed decoder takes it and the
coercer makes it fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

SPELLINGS = {"hist": "hits", "camapign_id": "campaign_id"}
"""Those of the page's own example (source: get.visitor_sessions_report), and the right ones."""
DECLARED: Mapping[str, type] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "string": str,
    "date-time": datetime,
}
"""The type of a scalar of each kind; decoded with `strict=False`, which reads texts too."""
KEY: Any = str | int | float
"""Of a key or bookmark, what could still be one. All else is an error of its session."""
_NULLABLE: Mapping[str, Any] = {kind: declared | None for kind, declared in DECLARED.items()}


def kind_of(schema: Mapping[str, Any]) -> str:
    """One of integer, number, boolean, string, date-time, array, object."""
    given = schema.get("type", "string")
    names = [given] if isinstance(given, str) else given
    kind: str = next(name for name in names if name != "null")
    return "date-time" if kind == "string" and schema.get("format") == "date-time" else kind


def as_decoded(kind: str, value: object) -> Any:
    """A scalar of JSON as the typed decoder takes it.

    Raises:
        Exception: msgspec.ValidationError or ValueError: it does not.
    """
    return msgspec.convert(value, _NULLABLE[kind], strict=False)


def is_null(value: object) -> bool:
    """Whether it is a text that the typed decoder takes for null, where no text is declared."""
    return isinstance(value, str) and value.lower() == "null"
