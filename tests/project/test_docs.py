"""The pages, meltano.yml, `--about` and the results of the benchmarks tell the same story."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import LENGTH
from support import ROOT

import dev
from benchmarks import plan
from tap_visitor_sessions.api import errors


def test_what_is_generated_is_up_to_date() -> None:
    command = [sys.executable, "-m", "docs.sync", "--check"]  # `dev.py sync --check`
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_of_errors_names_every_mnemonic() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert not [name for name in errors._TEXTS if f"`{name}`" not in page]


def test_the_readme_is_one_screen_and_a_map() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = readme.splitlines()
    assert len(lines) <= 130
    first = readme[: readme.index("## A real account")]
    assert "docs/images/report.png" in first
    assert "beta" in first
    assert "not on a package index yet" in first
    assert "python3 dev.py demo" in first
    assert "python3 dev.py test" in first
    assert "python3 dev.py test" in (ROOT / ".ci/run").read_text()
    named = set(re.findall(r"\]\(docs/([\w-]+)\.md", readme))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages - named <= {"index", "glossary", "reference"}
    assert named <= pages


LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def test_every_link_of_a_page_leads_somewhere() -> None:
    """To files and their headings; Sphinx looks at those of the site, GitHub has no such test."""
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "hub/README.md"):
        for target in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
            path, _, _ = target.partition("#")
            assert not path or ((ROOT / name).parent / path).exists(), f"{name}: {target}"


def test_every_page_stands_in_the_navigation_once() -> None:
    text = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n.*?\n\n(.*?)```", text, re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line]
    listed = [re.sub(r".*<(.*)>", r"\1", line) for line in lines]
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert sorted(listed) == sorted(pages)
    assert len(re.findall(":caption:", text)) == len(trees) == 6


def test_no_page_is_included_from_the_readme() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert "../README.md" not in text, page
        assert "mermaid" not in text, page


def test_meltano_yml_declares_the_loaders_and_environments() -> None:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    loaders = {loader["name"] for loader in project["plugins"]["loaders"]}
    assert loaders >= {f"target-{n}" for n in ("postgres", "snowflake", "jsonl", "csv", "duckdb")}
    assert {e["name"] for e in project["environments"]} == {"sandbox", "production"}
    jobs = {job["name"] for job in project["jobs"]}
    assert {one["job"] for one in project["schedules"]} == jobs


def test_the_table_of_faults_names_tests_that_exist_and_no_loss() -> None:
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.endswith("` |")]
    assert len(rows) > 150
    for row in rows:
        file, name = row[-1].strip("` |").split(" :: ")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), name
        assert row[-3] == "0", row


QUANTITY = re.compile(
    r"(?<![\w.,/-])(\d+(?:[ \u202f]\d{3})*(?:\.\d+)?)[ \u202f]?"
    r"(?:MB|×|records/s|sessions/s|times (?:as fast|faster))(?!\w)"
)
GENERATED = re.compile(r"<!-- ([\w ]+): begin.*?<!-- \1: end -->", re.DOTALL)
OTHERWISE = {
    # Not results of a benchmark: bounds of the tap, runs with little memory, goals, sizes of images
    # and packages.
    "docs/operations.md": {"448", "25", "132", "208", "256", "400", "167", "170", "222"},
    "docs/dlt.md": {"18", "224"},
    "docs/benchmarks.md": {"0.7", "3", "6", "3.5", "1.5", "5", "400", "500"},
    "docs/trust.md": {"2"},
    "docs/agencies.md": {"5342"},  # held to the results by the test below
}
"""Page -> quantities that it has from elsewhere."""


def test_a_figure_has_one_source() -> None:
    """A quantity in prose is generated from the results; each other one is listed above."""
    docs = (f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    for name in ("README.md", "orchestrate/airflow/README.md", *docs):
        if name in ("docs/faults.md", "docs/reference.md"):
            continue  # made by programs of their own
        text = GENERATED.sub("", (ROOT / name).read_text(encoding="utf-8"))
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found = {re.sub(r"[ \u202f]", "", number) for number in QUANTITY.findall(text)}
        assert found == found & OTHERWISE.get(name, set()), f"{name}: generate it (docs/figures.py)"


def test_a_second_figure_would_be_found() -> None:
    text = "it is 1.06 times as fast, 7.3 ×, 41 566 records/s and 360 MB"
    assert QUANTITY.findall(text) == ["1.06", "7.3", "41 566", "360"]


def test_a_goal_that_was_missed_is_shown_as_missed() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    missed = 0
    for path in (ROOT / "benchmarks/results").glob("*.json"):
        kept = json.loads(path.read_text())
        for goal in kept["goals"]:
            if not goal["met"]:
                missed += 1
                assert f"{goal['name']}: {goal['value']:.2f}" in page
    assert missed  # or this test looks at nothing


def test_the_page_for_agencies_has_the_rates_that_were_measured() -> None:
    page = (ROOT / "docs/agencies.md").read_text(encoding="utf-8")
    figures = plan.measured()
    for rate in (figures.loader_per_second, figures.records_per_second):
        assert f"{rate:,}".replace(",", " ") in page


@pytest.mark.skipif(LENGTH == "gate", reason="python3 dev.py docs")
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
        "errors",
        "columns",
        "production",
        "ru",
        "faults",
        "benchmarks",
        "developing",
        "reference",
    }
    settings = (tmp_path / "settings.html").read_text(encoding="utf-8")
    assert 'id="lookback-window"' in settings
    assert "mermaid" not in settings
    assert 'name="description"' in settings
    assert 'rel="icon"' in settings or 'rel="shortcut icon"' in settings
    # A number does not break at its space.
    limits = (tmp_path / "limits.html").read_text(encoding="utf-8")
    assert "110\u202f000 sessions" in limits


def test_the_settings_page_has_every_setting_with_its_true_type() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    entry = yaml.safe_load((ROOT / "hub/tap-visitor-sessions.yml").read_text(encoding="utf-8"))
    for setting in entry["settings"]:
        assert page.count(f"### `{setting['name']}`\n") == 1
    for name, kind in [
        ("page_size", "integer, 1 to 10000 · default `10000`"),
        ("user_ids", "list of integers"),
        ("exclude_columns", "list of texts"),
        ("start_date", "date, or date and time · required"),
        ("request_timeout", "number above 0, at most 86400 · default `300`"),
        ("on_daily_limit", "`fail` or `wait` · default `fail`"),
        ("flattening_enabled", "boolean · default `false`"),
        ("access_token", "text · secret"),
    ]:
        assert f"### `{name}`\n\n*{kind}*\n" in page, name
    assert "Example: `0a1b" not in page  # of a secret none is shown


def test_the_columns_page_has_every_column_and_says_what_is_personal() -> None:
    page = (ROOT / "docs/columns.md").read_text(encoding="utf-8")
    schema = json.loads((ROOT / "schemas/visitor_sessions.json").read_text(encoding="utf-8"))
    for name, declared in schema["properties"].items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}`<br>")]
        assert ("**personal**" in row) == bool(declared.get("x-personal")), name
        inner = declared.get("items", declared).get("properties", {})
        for member in inner:
            assert f"| `{name}.{member}`<br>" in page
    assert "## Other" not in page  # each has its group


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
    no_suites |= {"pictures", "sync"}
    assert run == names - no_suites
    assert "python3 dev.py all" in (ROOT / ".github/workflows/nightly.yml").read_text()
