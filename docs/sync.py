"""Keeps meltano.yml, the entry for Meltano Hub and docs/settings.md equal to the tap's own
`--about`, docs/columns.md to the stream's schema, and every figure on a page to benchmarks/results.

`python3 dev.py sync` rewrites them all; with --check it fails when they differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from docs import figures
from docs.columns_page import columns, sample
from docs.settings_page import definitions

ROOT = Path(__file__).parent.parent
KINDS = {"boolean": "boolean", "object": "object"}
"""JSON type -> kind of a Meltano setting; all else is `string`, which Meltano hands on as written.
Under `integer` and `array` it fails at an empty variable, under `decimal` at any, with a traceback
that names no setting; under `date_iso8601` it makes a day of its own of `3 days ago` and `2024-05`.
Under `string` in turn it loses a member of an object that is null, so an object stays one.
"""
REPOSITORY = "https://github.com/tap-visitor-sessions/tap-visitor-sessions"
CREDENTIALS = [["access_token"], ["login", "password"]]
"""The sets of settings any one of which lets the tap in."""


@cache
def about() -> dict[str, Any]:
    """What `--about` prints: name, capabilities, settings as a JSON Schema, Python versions ..."""
    command = [sys.executable, "-m", "tap_visitor_sessions", "--about", "--format=json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
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
    return KINDS.get(_type(schema), "string")


def settings() -> list[dict[str, Any]]:
    """The extractor's settings as meltano.yml declares them."""
    found = []
    for name, schema in about()["settings"]["properties"].items():
        setting: dict[str, Any] = {
            "name": name,
            "label": schema.get("title") or name.replace("_", " ").capitalize(),
            "kind": _kind(schema),
            "description": schema.get("description", ""),
        }
        if schema.get("secret") or schema.get("sensitive"):
            setting["sensitive"] = True
        if schema.get("default") is not None:
            setting["value"] = schema["default"]
        if schema.get("enum"):
            setting["options"] = [
                {"label": str(value).capitalize(), "value": value} for value in schema["enum"]
            ]
        found.append(setting)
    return found


def hub_entry() -> dict[str, Any]:
    """The extractor as Meltano Hub describes one: what a person wrote, and what `--about` says."""
    told = about()
    texts = yaml.safe_load((ROOT / "hub/texts.yml").read_text(encoding="utf-8"))
    return {
        **texts,
        "name": told["name"],
        "variant": "tap-visitor-sessions",
        "namespace": told["name"].replace("-", "_"),
        "executable": told["name"],
        "pip_url": f"git+{REPOSITORY}.git",  # not on an index yet
        "repo": REPOSITORY,
        "docs": f"{REPOSITORY}#readme",
        "capabilities": sorted(told["capabilities"]),
        "supported_python_versions": told["supported_python_versions"],
        "settings": settings(),
        "settings_group_validation": [
            [*group, *told["settings"].get("required", [])] for group in CREDENTIALS
        ],
    }


def between(text: str, name: str, content: str) -> str:
    """`text` with what stands between the two marks of `name` replaced."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if f"{name}: begin" in line)
    last = next(i for i, line in enumerate(lines) if f"{name}: end" in line)
    return "\n".join([*lines[: first + 1], *content.splitlines(), *lines[last:]]) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def dumped(value: object) -> str:
    """YAML as these files spell it."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96))


def blocks() -> dict[str, dict[str, str]]:
    """Of each page: the marks of its generated parts, and what stands between them."""
    return {
        "README.md": {"speed": figures.summary(), "sample": sample()},
        "docs/agencies.md": {"customers": figures.customers()},
        "docs/airbyte.md": {"airbyte": figures.airbyte()},
        "docs/benchmarks.md": {
            "into postgresql": figures.speeds("PostgreSQL"),
            "throughput": figures.throughput(),
            "latency": figures.latency(),
            "memory": figures.memory(),
            "into others": figures.speeds("DuckDB", "Parquet files"),
            "shapes": figures.shapes(),
            "increment": figures.increment(),
            "transform": figures.transform(),
            "steps": figures.steps(),
            "goals": figures.goals(),
        },
        "docs/columns.md": {"columns": columns()},
        "docs/settings.md": {"settings": definitions(about()["settings"])},
    }


def synced() -> dict[Path, str]:
    """The files as they should be."""
    project = ROOT / "meltano.yml"
    listed = dumped(settings())
    entry = "# Generated by python3 dev.py sync from --about and texts.yml.\n" + dumped(hub_entry())
    indented = "\n".join(f"    {line}" for line in listed.splitlines())
    files = {
        project: between(project.read_text(encoding="utf-8"), "settings", indented),
        ROOT / "hub/tap-visitor-sessions.yml": entry,
    }
    for name, parts in blocks().items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for mark, content in parts.items():
            text = between(text, mark, content)
        files[ROOT / name] = text
    return files


def main() -> int:
    """Rewrite, or check."""
    stale = [
        path
        for path, text in synced().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} differs from --about or the results: run python3 dev.py sync")
        return len(stale)
    for path, text in synced().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
