"""The columns of the stream, for docs/columns.md, from schemas/visitor_sessions.json.

Examples are values of the sandbox, as the tap emits them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sandbox import make_sessions

SCHEMA = Path(__file__).parent.parent / "schemas/visitor_sessions.json"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Session": ("id", "date_time", "duration", "hits_count", "hits", "segments", "communications"),
    "Source": (
        *("channel", "channel_new", "channel_code", "source_id", "source_name", "source_new"),
        *("engine", "campaign_id", "campaign_name", "integrated_campaign_data"),
        *("referrer_domain", "referrer", "search_engine", "search_query"),
        *("entrance_page", "exit_page"),
    ),
    "Tags": (
        *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"),
        *("openstat_ad", "openstat_campaign", "openstat_service", "openstat_source"),
        *("gclid", "yclid", "ymclid", "ef_id", "cm_id"),
    ),
    "Visitor": (
        *("visitor_id", "person_id", "visitor_type", "visitor_device", "visitor_country"),
        *("visitor_region", "visitor_city", "visitor_ip_address", "visitor_provider"),
        *("visitor_language", "visitor_screen", "visitor_browser_name"),
        *("visitor_browser_version", "visitor_os_name", "visitor_os_version"),
        *("visitor_custom_properties", "ua_client_id", "ym_client_id"),
    ),
    "Site and other systems": ("site_id", "site_domain_name", "ext_id"),
}
ZONE = "Europe/Moscow"
LONGEST = 48
"""Letters of an example."""


def properties() -> dict[str, Any]:
    """The declaration of each column."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    return found


def columns() -> str:
    """Markdown: a table for each group, and one for the members of each nested column."""
    left = properties()
    rows = make_sessions(300, seed=4)
    groups = {group: [n for n in names if n in left] for group, names in GROUPS.items()}
    placed = {name for names in groups.values() for name in names}
    groups["Other"] = [name for name in left if name not in placed]
    parts = []
    for group, names in groups.items():
        if names:
            parts += [f"## {group}", _table((n, left[n], _example(n, rows)) for n in names)]
            for name in names:
                if members := _members(left[name]):
                    kind = _type(left[name])
                    parts.append(f"### Members of `{name}` ({kind})")
                    parts.append(_table(_with_examples(name, members, rows)))
    return "\n\n".join(parts)


def sample() -> str:
    """Five consecutive sessions of the sandbox for README, those with the most communications."""
    rows = sorted(make_sessions(300, seed=4), key=lambda row: (row["date_time"], row["id"]))
    spans = [rows[at : at + 5] for at in range(len(rows) - 4)]
    best = max(spans, key=lambda span: sum(bool(row["communications"]) for row in span))
    names = ("id", "date_time", "channel", "utm_source", "visitor_device", "duration", "hits_count")
    lines = [[*(f"`{name}`" for name in names), "`communications`"]]
    lines.append(["--:" if name in ("id", "duration", "hits_count") else "---" for name in names])
    lines[1].append("---")
    for row in best:
        at = _utc(row["date_time"])
        cells = [at if name == "date_time" else str(row[name] or "") for name in names]
        kinds = ", ".join(talk["communication_type"] for talk in row["communications"])
        lines.append([*cells, kinds])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _members(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = schema.get("items", schema)
    found: dict[str, Any] = inner.get("properties", {})
    return found


def _with_examples(
    name: str, members: Mapping[str, Any], rows: list[dict[str, Any]]
) -> Iterable[tuple[str, Any, str]]:
    values = [value for row in rows for value in _listed(row.get(name))]
    for member, schema in members.items():
        yield f"{name}.{member}", schema, _example(member, values)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [value]
    return list(value or [])


def _table(found: Iterable[tuple[str, Mapping[str, Any], str]]) -> str:
    lines = ["| column | meaning | example |", "| --- | --- | --- |"]
    for name, schema, example in found:
        personal = ", **personal**" if schema.get("x-personal") else ""
        text = schema.get("description", "").replace("|", "\\|")
        lines.append(f"| `{name}`<br>{_type(schema)}{personal} | {text} | {example} |")
    return "\n".join(lines)


def _type(schema: Mapping[str, Any]) -> str:
    kinds = schema["type"]
    kinds = [kinds] if isinstance(kinds, str) else kinds
    kind = next(kind for kind in kinds if kind != "null")
    if schema.get("format") == "date-time":
        return "date-time"
    if kind == "array":
        return f"array of {_type(schema['items'])}s"
    return str(kind)


def _example(name: str, rows: list[dict[str, Any]]) -> str:
    """The first value that says something."""
    value = next((row[name] for row in rows if row.get(name) not in (None, "", [], {})), None)
    if value is None or isinstance(value, (list, dict)):
        return ""
    text = str(value)
    if name in ("date_time", "communication_date_time"):
        text = _utc(text)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f"`{text.replace('|', ' ')}`"


def _utc(text: str) -> str:
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
