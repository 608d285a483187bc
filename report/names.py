"""Values of the API as people say them."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, Mapping[str, str]] = {
    "channel": {"cashed": "cached", "paid": "paid ads"},
    "communication_type": {"offline_message": "offline message"},
}
"""Column -> value -> name. `cashed` is how the API spells a page from a cache."""


def name_of(column: str, value: str | None) -> str | None:
    """The name of a value; None stays None."""
    if value is None:
        return None
    known = NAMES.get(column)
    return value if known is None else known.get(value, value.replace("_", " "))
