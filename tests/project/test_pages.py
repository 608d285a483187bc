"""Every fenced block of the pages is run by a test, or says why not; data is read."""

from __future__ import annotations

import configparser
import json
import re
from typing import Any

import pages
import pytest
import tomlkit
import yaml
from pages import Block
from support import ROOT

from tap_visitor_sessions.config.validation import problems

KNOWN = pages.PARSED | pages.SHOWN | set(pages.RUN)
SUITES = {"loaders"}
COMMANDS = re.compile(
    r"^\s*(\$|python3?|pip|meltano|git|docker|mkdir|cp|SELECT|ALTER|CREATE|GRANT|INSERT) ",
    re.MULTILINE,
)


def ids(found: list[Block]) -> list[str]:
    return [block.place for block in found]


def test_the_finder_finds_blocks_in_lists_and_their_marks() -> None:
    found = pages.blocks("README.md")
    assert {"sh", "json", "sql"} <= {block.language for block in found}
    [config] = [block for block in found if block.mark == "file"]
    assert config.note == "config.json"
    assert json.loads(config.text)["access_token"] == "your key"
    assert not config.text.startswith(" ")
    assert len(pages.every()) > 60


def test_every_block_is_run_or_says_why_not() -> None:
    for block in pages.every():
        check(block)


def check(block: Block) -> None:
    assert block.language in KNOWN, f"{block.place}: name its language: sh, sql, json, text ..."
    if block.mark == "run by":
        assert block.note in SUITES
        test = ROOT / f"tests/{block.note}/test_pages_of_meltano.py"
        assert f'"{block.page}"' in test.read_text(encoding="utf-8"), block.place
    elif block.mark == "not run":
        assert len(block.note) > 15, f"{block.place}: a reason"
    elif block.language in pages.SHOWN:
        assert not COMMANDS.search(block.text), f"{block.place}: commands and SQL are to be run"
    elif block.language in pages.RUN:
        places = (block.page, block.language), (block.page, block.section)
        test = next(
            (pages.ELSEWHERE[one] for one in places if one in pages.ELSEWHERE),
            pages.RUN[block.language],
        )
        assert (ROOT / test).exists()
        if block.language == "python":
            assert block.page == "docs/dlt.md", block.place


DATA = [block for block in pages.every() if block.language in pages.PARSED]
BASE = {"access_token": "x", "start_date": "2024-01-01"}


@pytest.mark.parametrize("block", DATA, ids=ids(DATA))
def test_data_is_well_formed_and_a_configuration_is_valid(block: Block) -> None:
    if block.language == "json":
        text = block.text if block.text.lstrip()[0] in "{[" else "{" + block.text + "}"
        value = json.loads(text)
        settings = {one["name"] for one in declared()}
        if isinstance(value, dict) and value.keys() <= settings:
            assert problems({**BASE, **value}) == []
    elif block.language == "yaml":
        value = yaml.safe_load(block.text)
        assert value
        if isinstance(value, dict) and value.get("kind") == "CronJob":
            check_cron_job(value)
        for config in configs(value):
            assert problems({**BASE, **config}) == []
    elif block.language == "toml":
        assert tomlkit.parse(block.text)
    elif block.language == "ini":
        check_unit(block.text)
    elif block.language == "crontab":
        for line in block.text.splitlines():
            if not re.match(r"^\w+=", line):
                *times, command = line.split(maxsplit=5)
                assert len(times) == 5
                assert all(re.fullmatch(r"[\d*/,-]+", one) for one in times)
                assert "%" not in command  # cron makes a line end of it
    else:
        assert re.match(r"(ARG|FROM) ", block.text)


def declared() -> list[dict[str, Any]]:
    entry = yaml.safe_load((ROOT / "hub/tap-visitor-sessions.yml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = entry["settings"]
    return found


def configs(value: Any) -> list[dict[str, Any]]:
    """What a block of YAML sets of the tap."""
    names = {one["name"] for one in declared()}
    if isinstance(value, dict):
        inner = [found for one in value.values() for found in configs(one)]
        config = value.get("config")
        if isinstance(config, dict) and config and config.keys() <= names:
            hashed = {"hash_key": "0" * 32} if "hash_columns" in config else {}
            return [*inner, {**config, **hashed}]
        return inner
    return [found for one in value for found in configs(one)] if isinstance(value, list) else []


def check_cron_job(value: dict[str, Any]) -> None:
    assert value["apiVersion"] == "batch/v1"
    spec = value["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    [container] = pod["containers"]
    assert container["args"][:2] == ["meltano", "run"]
    assert {one["name"] for one in container["env"]} == {"MELTANO_STATE_BACKEND_URI"}


def check_unit(text: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    if parser.has_section("Timer"):
        assert parser["Install"]["WantedBy"] == "timers.target"
        assert re.fullmatch(r"\*-\*-\* \*:\d\d:\d\d", parser["Timer"]["OnCalendar"])
    else:
        assert parser["Service"]["Type"] == "oneshot"
        command = parser["Service"]["ExecStart"]
        assert command.endswith("meltano run tap-visitor-sessions target-postgres")
