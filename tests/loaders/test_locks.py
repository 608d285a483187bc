"""Settings of the loaders by way of Meltano: each that a loader has arrives, from the environment
too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import locks
import pytest
import yaml
from loading import ROOT, spoken, write_project

SHOW = f"""#!{sys.executable}
import pathlib, sys
print(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
"""
TEXTS: dict[str, tuple[str, Any]] = {
    "integer": ("7", 7),
    "boolean": ("true", True),
    "object": ('{"odd": {"a": 1}}', {"odd": {"a": 1}}),
    "array": ('["a"]', ["a"]),
}
"""By the kind of a setting: a text of the environment, and what the loader is to get."""
LOADERS = pytest.mark.parametrize("loader", locks.loaders(), ids=lambda loader: loader["name"])


@LOADERS
def test_the_file_is_what_the_loader_tells_of_itself(loader: dict[str, Any]) -> None:
    assert locks.path_of(loader).read_text(encoding="utf-8") == locks.text_of(loader)


def variable(loader: str, setting: str) -> str:
    name = f"{loader}_{setting}"
    return "".join(one if one.isalnum() else "_" for one in name).upper()


def put(config: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        config = config.setdefault(step, {})
    config[path[-1]] = value


@LOADERS
def test_each_setting_comes_from_the_environment(loader: dict[str, Any], tmp_path: Path) -> None:
    """In two runs: an object as a text, and its members each by itself."""
    show = tmp_path / "show"
    show.write_text(SHOW)
    show.chmod(0o755)
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    plugins = {"loaders": [{**loader, "executable": str(show), "config": {}}]}
    write_project(tmp_path, {"version": 1, "project_id": project["project_id"], "plugins": plugins})
    known = json.loads(locks.path_of(loader).read_text(encoding="utf-8"))["settings"]
    holds = {one["name"].rpartition(".")[0] for one in known}
    for whole in (False, True):
        env = {"MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false"}
        wanted: dict[str, Any] = {}
        for setting in known:
            name = setting["name"]
            if "." in name if whole else name in holds:
                continue
            text, value = TEXTS.get(setting["kind"], (f"text of {name}", f"text of {name}"))
            env[variable(loader["name"], name)] = text
            put(wanted, name.split("."), value)
        command = [str(Path(sys.executable).with_name("meltano")), "invoke", loader["name"]]
        assert json.loads(spoken(command, cwd=tmp_path, env=env)) == wanted
