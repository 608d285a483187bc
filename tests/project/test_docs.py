"""README, meltano.yml and `--about` tell the same story."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from support import ROOT

import dev
from benchmarks import plan
from tap_visitor_sessions.api import errors


def test_readme_and_meltano_yml_equal_about() -> None:
    command = [sys.executable, "docs/sync.py", "--check"]  # `dev.py sync --check`
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_every_mnemonic_and_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in errors._TEXTS if name not in readme]
    assert not missing
    assert "python3 dev.py demo" in readme
    assert "python3 dev.py test" in readme
    assert "python3 dev.py test" in (ROOT / ".ci/run").read_text()


def test_meltano_yml_declares_the_loaders_and_environments() -> None:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    loaders = {loader["name"] for loader in project["plugins"]["loaders"]}
    assert loaders >= {f"target-{n}" for n in ("postgres", "snowflake", "jsonl", "csv", "duckdb")}
    assert {e["name"] for e in project["environments"]} == {"sandbox", "production"}
    assert project["jobs"]
    assert project["schedules"]


def test_the_table_of_faults_names_tests_that_exist_and_no_loss() -> None:
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.endswith("` |")]
    assert len(rows) > 150
    for row in rows:
        file, name = row[-1].strip("` |").split(" :: ")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), name
        assert row[-3] == "0", row


def test_the_readme_has_the_figures_that_were_measured() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = ROOT / "benchmarks/results"
    peaks = {
        (row["host"], row["sessions"]): row["peak MB"]
        for row in json.loads((results / "memory.json").read_text())["table"]
    }
    assert f"{peaks['the tap', 1_000_000]} MB at a million sessions" in readme
    assert f"{peaks['dlt', 1_000_000]} MB by dlt" in readme
    assert (ROOT / "docs/benchmarks.svg").exists()


def test_the_readme_has_what_an_agency_was_measured_to_take() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    kept = json.loads((ROOT / "benchmarks/results/customers.json").read_text())
    one, eight = kept["table"]
    assert f"{one['s']:.0f} s one request at a time, {eight['s']:.0f} s with 8" in readme
    assert f"({eight['x faster']:.1f} times faster), {eight['peak MB']} MB" in readme


def test_the_page_for_agencies_has_the_rates_that_were_measured() -> None:
    page = (ROOT / "docs/agencies.md").read_text(encoding="utf-8")
    figures = plan.measured()
    for rate in (figures.loader_per_second, figures.records_per_second):
        assert f"{rate:,}".replace(",", " ") in page


def test_the_docs_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert pages >= {
        "index",
        "settings",
        "how-it-works",
        "agencies",
        "operations",
        "faults",
        "benchmarks",
        "developing",
        "reference",
    }
    # Included from README, not repeated.
    assert "lookback_window" in (tmp_path / "settings.html").read_text(encoding="utf-8")
    assert "ip_not_whitelisted" in (tmp_path / "operations.html").read_text(encoding="utf-8")


def test_every_command_of_dev_py_that_a_page_names_exists() -> None:
    names = dict.fromkeys(re.findall(r"^python3 dev.py (\w+)", dev.__doc__ or "", re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(r"python3 dev\.py ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= names.keys()
    assert {"demo", "check", "test", "docs"} <= named


def test_the_reference_has_every_module() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    package = ROOT / "tap_visitor_sessions"
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in package.rglob("[!_]*.py")
    }
    assert set(re.findall(r"automodule:: ([\w.]+)", page)) == modules


def test_every_night_every_suite_runs() -> None:
    names = set(re.findall(r"^python3 dev.py (\w+)", dev.__doc__ or "", re.MULTILINE))
    run = {suite.split()[0] for suite in dev.SUITES}
    no_suites = {"all", "audit", "bench", "check", "demo", "locks", "mutants", "plan", "setup"}
    no_suites.add("sync")
    assert run == names - no_suites
    assert "python3 dev.py all" in (ROOT / ".github/workflows/nightly.yml").read_text()
