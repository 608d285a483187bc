"""Keeps README, meltano.yml and the entry for Meltano Hub equal to the tap's own `--about`, and the
tables in README and docs/benchmarks.md to the results of `bench table`, `throughput`, `shapes`,
`increment` and `steps`.

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


def table() -> str:
    """The settings as a Markdown table."""
    required = about()["settings"].get("required", [])
    lines = ["| setting | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for setting in settings():
        default = "required" if setting["name"] in required else ""
        if "value" in setting:
            value = setting["value"]
            default = f"`{value if isinstance(value, str) else json.dumps(value)}`"
        text = setting["description"].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{setting['name']}` | {setting['kind']} | {default} | {text} |")
    return "\n".join(lines)


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
        "pip_url": told["name"],
        "repo": REPOSITORY,
        "docs": f"{REPOSITORY}#readme",
        "capabilities": sorted(told["capabilities"]),
        "supported_python_versions": told["supported_python_versions"],
        "settings": settings(),
        "settings_group_validation": [
            [*group, *told["settings"].get("required", [])] for group in CREDENTIALS
        ],
    }


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _table_of(name: str) -> list[dict[str, Any]]:
    kept = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = kept["table"]
    return rows


def speeds(*stores: str) -> str:
    """Tables of `bench table`: from the API into a store, by whom, how fast."""
    kept = _table_of("table")
    blocks = []
    [alone] = [row for row in kept if not row["into"]]
    for store in stores:
        mine = "this tap" if store == "Parquet files" else "the shipped pair"
        lines = [f"| into {store} | records/s | {mine} is | CPU s | peak MB |"]
        lines.append("| --- | --: | --: | --: | --: |")
        for row in kept:
            if row["into"] == store:
                rate, ratio = _spaced(row["records/s"]), row["shipped is x"]
                cells = [row["who"], rate, "" if ratio == 1 else f"{ratio:.1f} times as fast"]
                cells += [f"{row['CPU s']:.0f}", _spaced(row["peak MB"])]
                lines.append("| " + " | ".join(cells) + " |")
        if store == "PostgreSQL":
            rate = _spaced(alone["records/s"])
            lines.append(
                f"| {alone['who']}, its lines to nowhere | {rate} | | "
                f"{alone['CPU s']:.0f} | {alone['peak MB']} |"
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


CONTENDERS = {
    "this tap": "this tap",
    "our Airbyte source": "the same core as an Airbyte source",
    "SDK, plain": "the same stream written plainly on the SDK",
    "Airbyte low-code": "an Airbyte low-code source",
    "dlt extract": "a dlt resource, extract alone",
    "baseline": "the baseline: download, typed decode, encode, no framework",
}
"""Those of `bench throughput` whom README shows, and as what."""


def throughput() -> str:
    """The table of `bench throughput`: the stream alone, by whom, how fast."""
    lines = ["| | records/s | this tap is |", "| --- | --: | --: |"]
    rows = {row["contender"]: row for row in _table_of("throughput")}
    for name, label in CONTENDERS.items():
        times = rows[name]["tap is x"]
        faster = f"{times:.1f} times as fast" if times > 1.2 else f"{times:.2f} of it"
        cells = [label, _spaced(rows[name]["records/s"]), "" if times == 1 else faster]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def hosts() -> str:
    """Which host for whom, and how fast: by `bench table` and `bench throughput`."""
    into = {(row["into"], row["who"]): _spaced(row["records/s"]) for row in _table_of("table")}
    read = {row["contender"]: _spaced(row["records/s"]) for row in _table_of("throughput")}
    dlt = [f"{into[store, 'our dlt source']} into {store}" for store in ("PostgreSQL", "DuckDB")]
    rows = [
        (
            "Meltano",
            "pipelines kept in a project, with any Singer target",
            f"{into['PostgreSQL', 'the pair as shipped']} into PostgreSQL",
            "`meltano run tap-visitor-sessions target-postgres`",
        ),
        (
            "plain Singer",
            "a script or a cron line",
            f"{read['this tap']} to stdout; then as fast as its target",
            "`tap-visitor-sessions --config config.json \\| your-target`",
        ),
        (
            "Airbyte",
            "teams that have it, and PyAirbyte",
            f"{read['our Airbyte source']} to stdout; then as fast as its destination",
            "`source-visitor-sessions read --config … --catalog …` "
            "([docs/airbyte.md](docs/airbyte.md))",
        ),
        (
            "dlt",
            "Python, and warehouses that take columns",
            ", ".join(dlt),
            "`pipeline.run(visitor_sessions(access_token=…, start_date=…))` "
            "([docs/dlt.md](docs/dlt.md))",
        ),
    ]
    lines = ["| host | for whom | records/s | one line to start |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def increment() -> str:
    """The table of `bench increment`: what a run costs where nothing is new."""
    lines = ["| what, each by itself | s | CPU s |", "| --- | --: | --: |"]
    lines += [
        f"| {row['what']} | {row['s']:.2f} | {row['CPU s']:.2f} |" for row in _table_of("increment")
    ]
    return "\n".join(lines)


def shapes() -> str:
    """The table of `bench shapes`: what deviates or is asked for, against the clean run."""
    lines = ["| sessions | seconds | CPU | peak memory |", "| --- | --: | --: | --: |"]
    for row in _table_of("shapes"):
        ratios = [f"× {row[name]:.2f}" for name in ("x s", "x CPU", "x MB")]
        lines.append("| " + " | ".join([row["shape"], *ratios]) + " |")
    return "\n".join(lines)


def steps() -> str:
    """The table of `bench steps`: where the time of a page goes, in one thread."""
    lines = ["| step | ms a page | share |", "| --- | --: | --: |"]
    lines += [
        f"| {row['step']} | {row['ms a page']:.0f} | {100 * row['share']:.0f} % |"
        for row in _table_of("steps")
    ]
    return "\n".join(lines)


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


def synced() -> dict[Path, str]:
    """The files as they should be."""
    readme, project, measured = (
        ROOT / name for name in ("README.md", "meltano.yml", "docs/benchmarks.md")
    )
    listed = dumped(settings())
    entry = "# Generated by python3 dev.py sync from --about and texts.yml.\n" + dumped(hub_entry())
    indented = "\n".join(f"    {line}" for line in listed.splitlines())
    text = readme.read_text(encoding="utf-8")
    for name, content in (
        ("hosts", hosts()),
        ("settings", table()),
        ("speeds", speeds("PostgreSQL")),
        ("throughput", throughput()),
    ):
        text = between(text, name, content)
    figures = measured.read_text(encoding="utf-8")
    for name, content in (
        ("speeds", speeds("DuckDB", "Parquet files")),
        ("shapes", shapes()),
        ("increment", increment()),
        ("steps", steps()),
    ):
        figures = between(figures, name, content)
    return {
        readme: text,
        measured: figures,
        project: between(project.read_text(encoding="utf-8"), "settings", indented),
        ROOT / "hub/tap-visitor-sessions.yml": entry,
    }


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
