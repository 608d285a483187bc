"""plugins/loaders/*.lock: what Meltano knows of each loader of meltano.yml, all its settings among
them, made from the loader's own `--about`.

Meltano hands a loader only the settings that it knows of; what else comes from the environment is
dropped without a word. `python3 dev.py locks` makes the files anew.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from loading import ROOT, install, programs

FOLDER = ROOT / "plugins/loaders"
SECRET = re.compile(r"password|passphrase|token$|private_key$|sqlalchemy_url")
"""Names of settings that are secrets: few loaders say so of them."""
KINDS = {"integer": "integer", "boolean": "boolean", "object": "object", "array": "array"}
"""JSON type -> kind of a Meltano setting; all else is a string."""
REPOSITORIES = {
    "target-postgres": "https://github.com/MeltanoLabs/target-postgres",
    "target-snowflake": "https://github.com/MeltanoLabs/target-snowflake",
    "target-csv": "https://github.com/MeltanoLabs/target-csv",
    "target-jsonl": "https://github.com/andyh1203/target-jsonl",
    "target-duckdb": "https://github.com/jwills/target-duckdb",
}
OF_OLD: Mapping[str, Mapping[str, str]] = {
    "target-jsonl": {
        "destination_path": "string",
        "do_timestamp_file": "boolean",
        "custom_name": "string",
    },
    "target-duckdb": {
        "path": "string",
        "filepath": "string",
        "database": "string",
        "dbname": "string",
        "token": "string",
        "default_target_schema": "string",
        "schema_mapping": "object",
        "settings": "object",
        "batch_size_rows": "integer",
        "flush_all_streams": "boolean",
        "add_metadata_columns": "boolean",
        "hard_delete": "boolean",
        "data_flattening_max_level": "integer",
        "primary_key_required": "boolean",
        "validate_records": "boolean",
        "temp_dir": "string",
        "delimiter": "string",
        "quotechar": "string",
    },
}
"""Loaders that have no `--about`: what their code reads of the configuration, and as what."""


def loaders() -> list[dict[str, Any]]:
    """The loaders of meltano.yml."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    return list(project["plugins"]["loaders"])


def path_of(loader: Mapping[str, Any]) -> Path:
    """Where Meltano looks for a loader's definition."""
    return FOLDER / f"{loader['name']}--{loader['variant']}.lock"


def definition(loader: Mapping[str, Any]) -> dict[str, Any]:
    """A loader as Meltano is to know it."""
    name = loader["name"]
    found = {
        "plugin_type": "loaders",
        "name": name,
        "namespace": name.replace("-", "_"),
        "variant": loader["variant"],
        "label": name.removeprefix("target-").capitalize(),
        "repo": REPOSITORIES[name],
        "pip_url": loader["pip_url"],
        "executable": name,
    }
    if name in OF_OLD:
        types = OF_OLD[name].items()
        return {**found, "settings": [_setting(one, {"type": kind}) for one, kind in types]}
    about = subprocess.run(
        [str(programs("loaders", name) / name), "--about", "--format=json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    told = json.loads(about.stdout)
    settings = list(_settings(told["settings"]["properties"]))
    return {**found, "capabilities": sorted(told["capabilities"]), "settings": settings}


def _settings(properties: Mapping[str, Any], within: str = "") -> Iterator[dict[str, Any]]:
    """Each setting, and each member of an object that has no others: `ssh_tunnel.host`."""
    for name, schema in properties.items():
        yield _setting(f"{within}{name}", schema)
        if not schema.get("additionalProperties"):
            yield from _settings(schema.get("properties") or {}, f"{within}{name}.")


def _setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    types = schema.get("type", "string")
    kind = next(one for one in ([types] if isinstance(types, str) else types) if one != "null")
    found = {"name": name, "kind": KINDS.get(kind, "string")}
    if schema.get("secret") or SECRET.search(name):
        found |= {"kind": "password", "sensitive": True}
    if schema.get("description"):
        found["description"] = " ".join(schema["description"].split())
    return found


def text_of(loader: Mapping[str, Any]) -> str:
    """The file, as it should be."""
    return json.dumps(definition(loader), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them all."""
    install()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for loader in loaders():
        path_of(loader).write_text(text_of(loader), encoding="utf-8")


if __name__ == "__main__":
    main()
