"""The entry for Meltano Hub: equal to `--about`, valid for the Hub, enough to add the tap by."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import MakeSandbox
from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry, Resource
from support import ROOT, run_tap

from tap_visitor_sessions.config.validation import problems

ENTRY = ROOT / "hub/tap-visitor-sessions.yml"


@pytest.fixture
def entry() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ENTRY.read_text(encoding="utf-8"))
    return found


def test_the_entry_tells_all_that_about_tells(entry: dict[str, Any], tmp_path: Path) -> None:
    """That it is what the generator makes is tested in test_docs.py, for all files at once."""
    about = json.loads(run_tap({}, "--about", "--format=json", directory=tmp_path).stdout)
    assert entry["name"] == entry["executable"] == about["name"]
    assert set(entry["capabilities"]) == set(about["capabilities"])
    assert entry["supported_python_versions"] == about["supported_python_versions"]
    declared = about["settings"]["properties"]
    assert {setting["name"] for setting in entry["settings"]} == set(declared)
    for setting in entry["settings"]:
        schema = declared[setting["name"]]
        assert setting["description"] == schema["description"]
        assert setting.get("value") == schema.get("default")
        if schema.get("secret"):
            assert setting["kind"] == "password"
            assert setting["sensitive"]


def test_meltano_yml_says_the_same_as_the_entry(entry: dict[str, Any]) -> None:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    extractor, *heirs = project["plugins"]["extractors"]
    assert all(heir["inherit_from"] == extractor["name"] for heir in heirs)
    assert set(extractor["capabilities"]) == set(entry["capabilities"])
    for name in ("namespace", "executable", "settings", "settings_group_validation", "select"):
        assert extractor[name] == entry[name], name


def test_each_group_of_settings_is_enough_and_none_is_too_large(entry: dict[str, Any]) -> None:
    values = {"access_token": "x", "login": "x", "password": "x", "start_date": "2024-01-01"}
    for group in entry["settings_group_validation"]:
        config = {name: values[name] for name in group}
        assert problems(config) == []
        for name in set(group) - {"start_date"}:
            assert problems({k: v for k, v in config.items() if k != name})


def test_the_entry_is_valid_for_the_hub(entry: dict[str, Any]) -> None:
    """Against the Hub's own JSON Schemas: the folder `schemas` of its repository."""
    if not os.environ.get("HUB_SCHEMAS"):
        pytest.skip("HUB_SCHEMAS does not name a folder with the JSON Schemas of Meltano Hub")
    folder = Path(os.environ["HUB_SCHEMAS"]).resolve()
    registry: Registry[Any] = Registry()
    for path in folder.rglob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["$id"] = path.as_uri()  # so that "../common/..." is found from there
        registry = registry.with_resource(path.as_uri(), Resource.from_contents(document))
    top = (folder / "plugin_definitions/extractors.schema.json").as_uri()
    validator = Draft7Validator({"$ref": top}, registry=registry, format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(entry)] == []
    assert list(validator.iter_errors({**entry, "quality": "superb"}))  # it can fail
    assert list(validator.iter_errors({**entry, "settings": [{"kind": "text"}]}))


def test_the_logo_is_a_small_drawing_without_anything_foreign() -> None:
    text = (ROOT / "hub/logo.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") == "0 0 256 256"
    assert len(text) < 10_000
    assert not re.search(r"href|<script|<image|<text", text)


def test_meltano_adds_and_runs_the_tap_from_the_entry_alone(
    make_sandbox: MakeSandbox, entry: dict[str, Any], tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=200)
    env = {
        **os.environ,
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
        "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": sandbox.token,
        "TAP_VISITOR_SESSIONS_START_DATE": "2024-05-01",
        "TAP_VISITOR_SESSIONS_END_DATE": "2024-06-01",
    }

    def meltano(*arguments: str, folder: Path) -> str:
        command = [str(Path(sys.executable).with_name("meltano")), *arguments]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    meltano("init", "empty", folder=tmp_path)
    project = tmp_path / "empty"
    meltano("add", "--no-install", "--from-ref", str(ENTRY), entry["name"], folder=project)
    # As a user does who has a checkout instead of the repository's address.
    file = project / "meltano.yml"
    text = file.read_text(encoding="utf-8")
    assert f"pip_url: {entry['pip_url']}\n" in text
    file.write_text(text.replace(f"pip_url: {entry['pip_url']}\n", f"pip_url: -e {ROOT}\n"))
    meltano("install", "extractor", entry["name"], folder=project)
    # `--from-ref` drops the entry's own selection: docs/meltano.md.
    meltano("select", entry["name"], "visitor_sessions", "*", folder=project)
    meltano("select", entry["name"], "--exclude", "visitor_sessions", "read_at", folder=project)
    about = json.loads(meltano("invoke", entry["name"], "--about", "--format=json", folder=project))
    assert about["name"] == entry["name"]

    lines = meltano("invoke", entry["name"], folder=project).splitlines()
    records = [m["record"] for line in lines if (m := json.loads(line))["type"] == "RECORD"]
    assert {r["id"] for r in records} == {row["id"] for row in sandbox.rows()}
    assert len(records) == 200
    assert not any("read_at" in r for r in records)
    assert any(r["hits"] for r in records)

    # The commands that `usage` shows.
    shown = re.findall(r"^meltano (select .*)$", entry["usage"], re.MULTILINE)
    assert len(shown) == 2
    for command in shown:
        meltano(*shlex.split(command), folder=project)
    lines = meltano("invoke", entry["name"], folder=project).splitlines()
    records = [m["record"] for line in lines if (m := json.loads(line))["type"] == "RECORD"]
    assert len(records) == 200
    assert all("hits" not in r and "channel" in r for r in records)


def test_the_usage_sets_the_loaders_as_meltano_yml_does(entry: dict[str, Any]) -> None:
    said = re.findall(r"meltano config set (target-\S+) (\w+) (\w+)", entry["usage"])
    assert said
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    loaders = {loader["name"]: loader["config"] for loader in project["plugins"]["loaders"]}
    for name in {name for name, _, _ in said}:
        assert {n: yaml.safe_load(v) for who, n, v in said if who == name} == loaders[name]
