"""The commands of the pages, run as they stand: see tests/stranger.py."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
import stranger
from support import ZONE

from sandbox import Sandbox

OF_THE_CHECKOUT = {"CONTRIBUTING.md", "docs/agencies.md", "hub/README.md", "docs/developing.md"}
"""Pages whose reader stands in a clone."""
OF_A_CONNECTION = {"docs/operations.md"}
"""Pages whose reader has a config.json."""
SHELL = [
    page
    for page in pages.PAGES
    if any(block.is_run_here and block.language == "sh" for block in pages.blocks(page))
]


def of_shell(page: str) -> list[pages.Block]:
    found = pages.blocks(page)
    return [
        block
        for block in found
        if block.mark == "file" or (block.language == "sh" and block.is_run_here)
    ]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(sessions=400, seed=3, timezone=ZONE).running() as running:
        yield running


@pytest.mark.parametrize("page", SHELL)
def test_the_commands_of_a_page_run_as_they_stand(
    page: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    if page in OF_THE_CHECKOUT:
        stranger.checkout(folder)
    if page in OF_A_CONNECTION:
        folder.mkdir()
        config = {"access_token": sandbox.token, "api_url": sandbox.url, "start_date": "2024-05-01"}
        (folder / "config.json").write_text(json.dumps(config))
    done = stranger.run(of_shell(page), sandbox, folder)
    assert done.returncode == 0, done.stderr[-4000:]


def test_airbyte_by_hand_reads_all_and_then_what_is_new(sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "hand"
    done = stranger.run(of_shell("docs/airbyte.md"), sandbox, folder)
    assert done.returncode == 0, done.stderr[-4000:]

    def ids(name: str) -> set[int]:
        lines = map(json.loads, (folder / name).read_text(encoding="utf-8").splitlines())
        return {line["record"]["data"]["id"] for line in lines if line["type"] == "RECORD"}

    assert ids("messages.jsonl") == {row["id"] for row in sandbox.rows()}
    assert len(ids("more.jsonl")) < 100


def test_a_stand_in_fails_where_the_program_would(sandbox: Sandbox, tmp_path: Path) -> None:
    """Not on an index, no such extra, no such command, another repository."""
    for number, command in enumerate(
        [
            "pip install tap-visitor-sessions",
            'pip install "tap-visitor-sessions[nope] @ git+https://github.com/tap-visitor-sessions/tap-visitor-sessions.git"',
            "pip install .",
            "python3 dev.py demo",
            "git clone https://example.com/tap.git",
            "uv tool install tap-visitor-sessions",
        ]
    ):
        block = pages.Block("here", 1, "sh", command + "\n", "")
        assert stranger.run([block], sandbox, tmp_path / str(number)).returncode != 0, command


# The loop of docs/singer.md


DIES = {
    "at once": "sys.exit(1)",
    "before its first state": "sys.stdin.read(20_000); sys.exit(1)",
    "in the middle of a state": """
out, lines = "", []
for line in sys.stdin:
    if json.loads(line)["type"] == "STATE":
        sys.stdout.write(line.strip()[: len(line) // 2]); sys.stdout.flush(); os._exit(1)
    """,
    "after a state": """
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "STATE":
        print(json.dumps(message["value"]), flush=True); os._exit(1)
    """,
}


def ids_of(folder: Path) -> list[int]:
    lines = (folder / "output/visitor_sessions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.fixture(scope="module")
def page_of_the_loop(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of who has done what the page says."""
    folder = tmp_path_factory.mktemp("singer") / "loop"
    done = stranger.run(of_shell("docs/singer.md"), sandbox, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture
def folder(page_of_the_loop: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(page_of_the_loop, tmp_path / "loop", symlinks=True))


@pytest.mark.parametrize("when", DIES)
def test_the_loop_keeps_its_state_when_the_target_dies(
    when: str, sandbox: Sandbox, folder: Path
) -> None:
    state = folder / "state.json"
    first = json.loads(state.read_text())
    assert first["bookmarks"]
    assert set(ids_of(folder)) == {row["id"] for row in sandbox.rows()}
    # The second run of the page went on from the first: only the look-back came again.
    assert len(ids_of(folder)) < 2 * 400

    target = folder / "target/bin/target-jsonl"
    whole = target.read_text()
    head = whole.splitlines()[0]
    target.write_text(f"{head}\nimport json, os, sys\n{DIES[when]}\n")

    def again() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["./sessions.sh"], cwd=folder, capture_output=True, text=True)

    assert again().returncode != 0
    kept = json.loads(state.read_text())
    if when == "after a state":
        assert kept["bookmarks"]
    else:
        assert kept == first
    target.write_text(whole)
    assert again().returncode == 0
    assert set(ids_of(folder)) == {row["id"] for row in sandbox.rows()}
    assert not (folder / "state.new").exists()


def test_the_loop_fails_when_the_tap_does(folder: Path) -> None:
    before = (folder / "state.json").read_text()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "access_token": "wrong"}))
    done = subprocess.run(["./sessions.sh"], cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    assert json.loads((folder / "state.json").read_text()) in (json.loads(before), None)
