"""The settings as definitions, by topic, for docs/settings.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TOPICS: Mapping[str, tuple[str, ...]] = {
    "Access": ("access_token", "login", "password", "api_url"),
    "What is read": (
        "start_date",
        "end_date",
        "timezone",
        "lookback_window",
        "filter",
        "recheck_window",
        "recheck_depth",
    ),
    "Requests": (
        "page_size",
        "concurrency",
        "request_timeout",
        "max_retries",
        "on_daily_limit",
    ),
    "Privacy": ("exclude_columns", "hash_columns", "hash_key"),
    "Accounts": (
        "account",
        "account_type",
        "user_ids",
        "exclude_customer_ids",
        "customers_file",
        "on_customer_error",
        "customer_timezones",
        "timezones",
    ),
    "Messages": (
        "array_schema",
        "batch_config",
        "flattening_enabled",
        "flattening_max_depth",
        "flattening_max_key_length",
        "flattening_separator",
        "stream_maps",
        "stream_map_config",
        "faker_config",
        "emit_activate_version_messages",
    ),
}
OTHER = "Other"
"""The topic of settings that none of the above names."""
NAMES = {"array": "list", "string": "text"}


def definitions(declared: Mapping[str, Any]) -> str:
    """Markdown: a heading for each topic and setting.

    Args:
        declared: The settings' JSON Schema, as `--about` gives it.
    """
    left = dict(declared["properties"])
    topics = {topic: [name for name in names if name in left] for topic, names in TOPICS.items()}
    placed = {name for names in topics.values() for name in names}
    topics[OTHER] = [name for name in left if name not in placed]
    parts = []
    for topic, names in topics.items():
        if names:
            parts.append(f"## {topic}")
            parts += [
                _definition(name, left[name], name in declared.get("required", []))
                for name in names
            ]
    return "\n\n".join(parts)


def _definition(name: str, schema: Mapping[str, Any], required: bool) -> str:
    notes = [type_of(schema)]
    if schema.get("secret") or schema.get("sensitive"):
        notes.append("secret")
    if required:
        notes.append("required")
    if schema.get("default") is not None:
        notes.append(f"default `{_shown(schema['default'])}`")
    text = " ".join(schema.get("description", "").split())
    shown = [f"`{_shown(value)}`" for value in schema.get("examples", []) if not _is_secret(schema)]
    example = f"\n\nExample: {', '.join(shown)}" if shown else ""
    return f"### `{name}`\n\n*{' · '.join(notes)}*\n\n{text}{example}"


def type_of(schema: Mapping[str, Any]) -> str:
    """The type for a reader: a choice, a date, or JSON's with its bounds."""
    if values := schema.get("enum"):
        return " or ".join(f"`{value}`" for value in values)
    if "pattern" in schema and schema["pattern"].startswith("^(\\d{4}"):
        return "date, or date and time"
    kind = _kind(schema)
    if kind == "array" and "items" in schema:
        return f"list of {_kind(schema['items'])}s".replace("strings", "texts")
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f"{kind} above {schema['exclusiveMinimum']}, at most {most}"
    if least is not None and most is not None:
        return f"{kind}, {least} to {most}"
    return NAMES.get(kind, kind)


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return next((kind for kind in kinds if kind != "null"), "string")


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("secret"))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
