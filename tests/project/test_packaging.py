"""What is in the packages, what the version is, and that the files around them hold together.

Installing with pipx and uv, other Pythons and the oldest dependencies: see tests/packages.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packages import PART
from support import ROOT

from tap_visitor_sessions.doctor.report import MOST_POINTS

VERSION = re.compile(r"(\d+\.\d+\.\d+)(\.dev\d+)?(\+[a-z0-9.]+)?")


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, folder: Path, *kinds: str) -> list[Path]:
    """sdist and the wheel from it, or the kinds wanted; with the hatchling that is installed."""
    run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", folder, source)
    return sorted(folder.iterdir())


def names_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    wheel, sdist = built(ROOT, tmp_path_factory.mktemp("dist"))
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    return wheel, sdist


def test_the_wheel_holds_the_tap_its_schemas_and_nothing_else(packages: tuple[Path, Path]) -> None:
    names = names_of(packages[0])
    assert {
        "tap_visitor_sessions/py.typed",
        "tap_visitor_sessions/schemas/visitor_sessions.json",
    } <= {*names}
    package = ROOT / "tap_visitor_sessions"
    modules = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")}
    assert modules <= {*names}
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tap_visitor_sessions"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if re.search(r"test|sandbox|\.pyc$", name)]


def test_the_sdist_holds_what_a_build_needs_and_nothing_private(
    packages: tuple[Path, Path],
) -> None:
    with tarfile.open(packages[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "PKG-INFO",
        "schemas/visitor_sessions.json",
    } <= names
    assert not [name for name in names if name.startswith((".git/", ".venv", "demo/"))]


def test_the_metadata_is_complete(packages: tuple[Path, Path]) -> None:
    found = metadata_of(packages[0])
    assert found["Name"] == "tap-visitor-sessions"
    assert VERSION.fullmatch(found["Version"])
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.10"
    assert found["Description-Content-Type"] == "text/markdown"
    classifiers = found.get_all("Classifier") or []
    for minor in range(10, 15):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert not [c for c in classifiers if c.startswith("License")]  # superseded by the expression
    description = str(found.get_payload())
    assert description.startswith("# tap-visitor-sessions")
    assert not re.search(r"\]\((?!https?://|#)", description)  # links that lead nowhere from there
    urls = dict(line.split(", ") for line in found.get_all("Project-URL") or [])
    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    entry = yaml.safe_load((ROOT / "hub/tap-visitor-sessions.yml").read_text(encoding="utf-8"))
    assert urls["Source"] == entry["repo"]


def test_the_wheel_runs_without_the_checkout(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Its dependencies are those installed here; the tap itself comes from the wheel."""
    site = tmp_path / "site"
    with zipfile.ZipFile(packages[0]) as archive:
        archive.extractall(site)
    env = {"PYTHONPATH": str(site)}
    where = "import tap_visitor_sessions as t; print(t.__file__)"
    assert run(sys.executable, "-c", where, cwd=tmp_path, env=env).startswith(str(site))
    command = [sys.executable, "-m", "tap_visitor_sessions"]
    version = metadata_of(packages[0])["Version"]
    assert f" v{version}," in run(*command, "--version", cwd=tmp_path, env=env)
    config = tmp_path / "config.json"
    config.write_text('{"access_token": "x", "start_date": "2024-01-01"}')
    said = run(*command, "--config", config, "--discover", cwd=tmp_path, env=env)
    assert '"visitor_sessions"' in said


def test_the_version_is_the_tag_and_a_build_needs_none(tmp_path: Path) -> None:
    """With a tag, after one, with no tag, shallow, and without git at all."""
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, origin / name)
    for name in ("tap_visitor_sessions", "schemas"):
        shutil.copytree(ROOT / name, origin / name, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]

    def version(folder: Path) -> str:
        return run(sys.executable, "-m", "hatchling", "version", cwd=folder).strip()

    def commit(message: str) -> None:
        run(*git, "commit", "--quiet", "--allow-empty", "--message", message, cwd=origin)

    fallback = version(origin)
    assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", fallback)
    run(*git, "init", "--quiet", cwd=origin)
    run(*git, "add", ".", cwd=origin)
    commit("one")
    assert VERSION.fullmatch(version(origin))  # no tag yet
    commit("two")
    run(*git, "tag", "v7.8.9", cwd=origin)
    assert version(origin) == "7.8.9"
    run(*git, "clone", "--quiet", "--depth=1", origin.as_uri(), tmp_path / "at-tag", cwd=tmp_path)
    assert version(tmp_path / "at-tag") == "7.8.9"
    commit("three")
    assert re.fullmatch(r"7\.8\.10\.dev1\+g[0-9a-f]+", version(origin))
    run(*git, "clone", "--quiet", "--depth=1", origin.as_uri(), tmp_path / "shallow", cwd=tmp_path)
    assert VERSION.fullmatch(version(tmp_path / "shallow"))

    run(*git, "checkout", "--quiet", "v7.8.9", cwd=origin)
    [wheel, _] = built(origin, tmp_path / "dist")
    assert wheel.name == "tap_visitor_sessions-7.8.9-py3-none-any.whl"


def test_what_the_dockerfile_copies_is_enough_to_build(tmp_path: Path) -> None:
    """As `docker build` would: only those files, none that .dockerignore holds back, no git."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    source = tmp_path / "src"
    source.mkdir()
    copied = re.findall(r"^COPY (?!--from)(.+) (\S+)$", text, re.MULTILINE)
    assert copied
    for names, _ in copied:
        for name in names.split():
            assert f"!{name}" in allowed
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name)
            else:
                shutil.copy(ROOT / name, source / name)
    [variable] = re.findall(r"^ENV (SETUPTOOLS_\w+)=\$VERSION$", text, re.MULTILINE)
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel"]
    run(*command, "--outdir", tmp_path / "dist", source, env={variable: "7.8.9"})
    [wheel] = (tmp_path / "dist").iterdir()
    assert wheel.name == "tap_visitor_sessions-7.8.9-py3-none-any.whl"
    assert "tap_visitor_sessions/schemas/visitor_sessions.json" in names_of(wheel)
    assert re.search(r"^USER [1-9]\d*", text, re.MULTILINE)
    assert 'ENTRYPOINT ["tap-visitor-sessions"]' in text


def test_only_the_job_that_publishes_may_ask_for_a_token() -> None:
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for name, job in workflow["jobs"].items():
            expected = {"id-token": "write"} if name == "publish" else None
            assert job.get("permissions") == expected, name
            for step in job.get("steps", []):
                if "uses" in step:  # by commit: a tag can be moved
                    assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
                for command in re.findall(r"python3 dev\.py \w+", step.get("run", "")):
                    assert command in (ROOT / "dev.py").read_text(encoding="utf-8")


def test_the_bug_form_asks_for_the_doctor() -> None:
    text = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8")
    fields = {field.get("id"): field for field in yaml.safe_load(text)["body"]}
    assert "--doctor" in fields["doctor"]["attributes"]["description"]
    assert fields["doctor"]["validations"] == {"required": True}


def test_the_form_of_a_first_run_asks_for_the_report() -> None:
    text = (ROOT / ".github/ISSUE_TEMPLATE/live.yml").read_text(encoding="utf-8")
    fields = {field.get("id"): field for field in yaml.safe_load(text)["body"]}
    assert "--doctor --report report.json" in fields[None]["attributes"]["value"]
    assert f"{MOST_POINTS} points" in fields[None]["attributes"]["value"]
    assert fields["report"]["validations"] == {"required": True}


def test_what_runs_on_each_python_is_there() -> None:
    for one in PART:
        path, _, name = one.removeprefix("--deselect=").partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, one
