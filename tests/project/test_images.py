"""The Dockerfile, without building it: `python3 dev.py image` does that (tests/images)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

from tests.images.__main__ import release
from tests.images.debian import named_by, pip_settings, suite_of

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Each stage's instructions, continued lines joined; the first is FROM."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, lines.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = found[rest.split(" AS ")[1]] = []
        elif not found:
            continue  # the arguments before the first stage
        stage.append((word, rest.strip()))
    return found


def labels(stage: str) -> dict[str, str]:
    """A stage's labels, with those of the stage that it is made from."""
    made_from = stages()[stage][0][1].split(" AS ")[0]
    known = labels(made_from) if made_from in stages() else {}
    texts = [rest for word, rest in stages()[stage] if word == "LABEL"]
    return known | dict(re.findall(r'([\w.]+)="([^"]*)"', " ".join(texts)))


def of_project(name: str) -> str:
    [value] = re.findall(rf'^{name} = "(.+)"$', PROJECT, re.MULTILINE)
    return str(value)


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_of_the_source_installs_no_dependency_anew() -> None:
    """What they are installed by sees pyproject.toml alone, and no version."""
    for name in ("dependencies", "with-parquet"):
        copied = [rest for word, rest in stages()[name] if word == "COPY"]
        assert copied == (["pyproject.toml ./"] if name == "dependencies" else [])
        assert not [rest for word, rest in stages()[name] if word == "ARG"]
    installs = [rest for word, rest in stages()["package"] if word == "RUN"]
    assert all("--no-deps" in part for part in installs[0].split("&&"))


@pytest.mark.parametrize(
    ("image", "dependencies"), [("tap", "with-parquet"), ("airbyte", "dependencies")]
)
def test_an_image_is_dependencies_then_the_package_then_what_changes_each_time(
    image: str, dependencies: str
) -> None:
    copied = [rest for word, rest in stages()[image] if word == "COPY"]
    assert copied == [
        f"--from={dependencies} /opt/tap /opt/tap",
        "--from=package /opt/package /opt/tap",
    ]
    words = [word for word, _ in stages()[image]]
    assert words[-3:] == ["ARG", "ARG", "LABEL"]
    assert "RUN" not in words
    assert stages()[image][0][1].startswith("common ")


def test_the_tap_is_what_is_built_unless_another_is_named() -> None:
    assert list(stages())[-1] == "tap"
    assert ("ENTRYPOINT", '["tap-visitor-sessions"]') in stages()["tap"]
    assert ("ENTRYPOINT", '["source-visitor-sessions"]') in stages()["airbyte"]
    assert ("ENV", "AIRBYTE_ENTRYPOINT=source-visitor-sessions") in stages()["airbyte"]


@pytest.mark.parametrize("image", ["tap", "airbyte"])
def test_the_labels_say_what_pyproject_says(image: str) -> None:
    found, prefix = labels(image), "org.opencontainers.image"
    source = re.findall(r'^Source = "(.+)"$', PROJECT, re.MULTILINE)
    assert [found[f"{prefix}.source"]] == source
    assert found[f"{prefix}.licenses"] == of_project("license")
    assert found[f"{prefix}.version"] == "$VERSION"
    assert found[f"{prefix}.revision"] == "$REVISION"
    [entry] = (rest for word, rest in stages()[image] if word == "ENTRYPOINT")
    assert entry == f'["{found[f"{prefix}.title"]}"]'
    whose = "the visitor sessions of CallGear, CoMagic and UIS"
    assert whose in found[f"{prefix}.description"]
    assert whose in of_project("description")


def test_the_tag_of_both_is_that_of_airbytes_metadata() -> None:
    name, tag = release()
    assert labels("airbyte")["io.airbyte.name"] == name
    assert labels("airbyte")["io.airbyte.version"] == "$VERSION"
    assert not [label for label in labels("tap") if label.startswith("io.airbyte")]
    # The commands that are shown, and the version that CHANGELOG.md has at its top.
    for text in (DOCKERFILE, (ROOT / "docs/airbyte.md").read_text(encoding="utf-8")):
        assert set(re.findall(r"--build-arg VERSION=(\S+)", text)) == {tag}
        assert set(re.findall(r"-sessions:(\S+)", text)) == {tag}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.MULTILINE)[0] == tag
    # Without a version the image says what a build without git does.
    assert re.findall(r"ARG VERSION=(.+)", DOCKERFILE) == [of_project("fallback-version")]


def test_ci_builds_and_runs_both_and_a_release_has_their_tag() -> None:
    workflows = ROOT / ".github/workflows"
    jobs: dict[str, Any] = yaml.safe_load((workflows / "test.yml").read_text())["jobs"]
    steps = [step.get("run") for step in jobs["images"]["steps"]]
    assert "python3 dev.py image" in steps
    assert "dockerImageTag: ${TAG#v}" in (workflows / "release.yml").read_text()


def test_the_base_of_debootstrap_is_the_release_that_the_dockerfile_has() -> None:
    assert re.fullmatch("[a-z]+", suite_of(DOCKERFILE))


def test_what_pip_is_told_here_is_handed_to_a_build(tmp_path: Path) -> None:
    (tmp_path / "an index").mkdir()
    (tmp_path / "wheels").mkdir()
    index = (tmp_path / "an index").as_uri()
    settings = pip_settings(
        f":env:.timeout='60'\nglobal.extra-index-url='\\n{index}\\nhttps://example.com/simple'\n"
        f"global.timeout='15'\ninstall.find-links='{tmp_path / 'wheels'} nowhere'\nfreeze.all='1'\n"
    )
    assert settings == {
        "extra-index-url": f"{index} https://example.com/simple",
        "find-links": f"{tmp_path / 'wheels'} nowhere",
        "timeout": "60",
    }
    # An index's pages point to files beside it.
    assert named_by(settings) == {tmp_path, tmp_path / "wheels"}
