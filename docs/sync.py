"""Keeps README and meltano.yml equal to the tap's own `--about`.

`python docs/sync.py` rewrites both; `python docs/sync.py --check` fails when they differ.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tap_visitor_sessions.tap import TapVisitorSessions

ROOT = Path(__file__).parent.parent
KINDS = {"integer": "integer", "boolean": "boolean", "object": "object", "array": "array"}


def properties() -> dict[str, Any]:
    """The settings of `--about`: name -> JSON Schema."""
    schema = TapVisitorSessions.config_jsonschema
    TapVisitorSessions.append_builtin_config(schema)
    result: dict[str, Any] = schema["properties"]
    return result


def _type(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return next((kind for kind in kinds if kind != "null"), "string")


def _kind(schema: dict[str, Any]) -> str:
    """The kind of a Meltano setting."""
    if schema.get("secret"):
        return "password"
    if schema.get("enum"):
        return "options"
    if schema.get("format") == "date-time":
        return "date_iso8601"
    return {"number": "decimal", **KINDS}.get(_type(schema), "string")


def settings() -> list[dict[str, Any]]:
    """The extractor's settings as meltano.yml declares them."""
    found = []
    for name, schema in properties().items():
        setting: dict[str, Any] = {
            "name": name,
            "label": schema.get("title") or name.replace("_", " ").capitalize(),
            "kind": _kind(schema),
            "description": schema.get("description", ""),
        }
        if schema.get("secret") or name == "login":
            setting["sensitive"] = True
        if schema.get("default") is not None:
            setting["value"] = schema["default"]
        if schema.get("enum"):
            setting["options"] = [
                {"label": str(value).capitalize(), "value": value} for value in schema["enum"]
            ]
        found.append(setting)
    return found


def table() -> str:
    """The settings as a Markdown table."""
    required = TapVisitorSessions.config_jsonschema.get("required", [])
    lines = ["| setting | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for setting in settings():
        default = "required" if setting["name"] in required else ""
        if "value" in setting:
            default = f"`{setting['value']}`"
        text = setting["description"].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{setting['name']}` | {setting['kind']} | {default} | {text} |")
    return "\n".join(lines)


def between(text: str, name: str, content: str) -> str:
    """`text` with what stands between the two marks of `name` replaced."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if f"{name}: begin" in line)
    last = next(i for i, line in enumerate(lines) if f"{name}: end" in line)
    return "\n".join([*lines[: first + 1], *content.splitlines(), *lines[last:]]) + "\n"


def synced() -> dict[Path, str]:
    """Both files as they should be."""
    readme, project = ROOT / "README.md", ROOT / "meltano.yml"
    listed = yaml.safe_dump(settings(), sort_keys=False, allow_unicode=True, width=96)
    indented = "\n".join(f"    {line}" for line in listed.splitlines())
    return {
        readme: between(readme.read_text(encoding="utf-8"), "settings", table()),
        project: between(project.read_text(encoding="utf-8"), "settings", indented),
    }


def main() -> int:
    """Rewrite, or check."""
    stale = [path for path, text in synced().items() if path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} differs from --about: run python docs/sync.py")
        return len(stale)
    for path, text in synced().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
