"""What Meltano makes of a setting before the tap sees it: what a person wrote, or a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from setting_values import PREFIX, value_of
from support import ROOT

from tap_visitor_sessions.config.parsing import kind_of
from tap_visitor_sessions.config.settings import PROPERTIES, normalized, unknown
from tap_visitor_sessions.config.validation import problems

NAME = "tap-visitor-sessions"
SHOW = f"""#!{sys.executable}
import pathlib, sys
print(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
"""


class Project:
    """A Meltano project whose tap prints the configuration that Meltano hands it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "meltano.yml"
        show = folder / "show"
        show.write_text(SHOW)
        show.chmod(0o755)
        entry = yaml.safe_load((ROOT / f"hub/{NAME}.yml").read_text(encoding="utf-8"))
        kept = {name: entry[name] for name in ("name", "namespace", "settings")}
        plugin = {**kept, "executable": str(show), "capabilities": ["state"], "config": {}}
        self._project: dict[str, Any] = {
            "version": 1,
            "project_id": "x",
            "plugins": {"extractors": [plugin]},
        }
        self.configure({})

    def configure(self, config: dict[str, Any]) -> None:
        """Write settings into meltano.yml."""
        self._project["plugins"]["extractors"][0]["config"] = config
        self._file.write_text(yaml.safe_dump(self._project, sort_keys=False))

    def run(self, *arguments: str, **env: str) -> str:
        command = [str(Path(sys.executable).with_name("meltano")), *arguments]
        ours = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**ours, "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false", **env},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    def handed(self, **env: str) -> dict[str, Any]:
        """The configuration that the tap is handed."""
        given: dict[str, Any] = json.loads(self.run("invoke", NAME, **env))
        assert unknown(given) == []
        return given


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def text_of(name: str) -> str:
    value = value_of(name)
    if kind_of(PROPERTIES[name]) == "array":
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def test_every_setting_arrives_as_written(project: Project) -> None:
    wanted = {name: value_of(name) for name in PROPERTIES}
    # A null in an object is lost by Meltano: docs/settings.md says what to write instead.
    wanted["stream_maps"] = {"visitor_sessions": {"visitor_ip_address": "__NULL__"}}
    project.configure(wanted)
    assert normalized(project.handed()) == (wanted, [])

    project.configure({})
    texts = {f"{PREFIX}{name.upper()}": text_of(name) for name in PROPERTIES}
    texts[f"{PREFIX}STREAM_MAPS"] = json.dumps(wanted["stream_maps"])
    assert normalized(project.handed(**texts)) == (wanted, [])


def test_what_is_empty_is_not_set_and_no_date_is_made_up(project: Project) -> None:
    project.configure({"start_date": "2024-05", "end_date": "3 days ago"})
    empty = {
        f"{PREFIX}{name.upper()}": ""
        for name, schema in PROPERTIES.items()
        # Of an object, and of a choice, Meltano itself refuses an empty text.
        if kind_of(schema) != "object" and "enum" not in schema and not name.endswith("_date")
    }
    given = project.handed(**empty)
    found = normalized(given)[0]
    assert {name for name in found if found[name] != PROPERTIES[name].get("default")} == {
        "start_date",
        "end_date",
    }
    named = {line.split(":")[0] for line in problems({**given, "access_token": "x"})}
    assert named == {"start_date", "end_date"}


def test_config_set_keeps_what_a_person_wrote(project: Project) -> None:
    written = {
        "start_date": "2024-05-01",
        "request_timeout": "30.5",
        "user_ids": "11,21",
        "filter": '{"field": "site_id", "operator": "=", "value": 1.5}',
        "flattening_enabled": "true",
    }
    for name, text in written.items():
        project.run("config", "set", NAME, name, text)
    found, wrong = normalized(project.handed())
    assert {name: found[name] for name in written} == {
        "start_date": "2024-05-01",
        "request_timeout": 30.5,
        "user_ids": [11, 21],
        "filter": {"field": "site_id", "operator": "=", "value": 1.5},
        "flattening_enabled": True,
    }
    assert wrong == []
