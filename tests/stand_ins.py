"""Stand-ins for programs that install or download: see tests/stranger.py.

python stand_ins.py NAME ARGUMENTS...
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/tap-visitor-sessions/tap-visitor-sessions.git"
PROGRAMS = ("tap-visitor-sessions", "tap-visitor-sessions-doctor", "source-visitor-sessions")
TARGET = """
import json, sys
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
state = None
with open(config["destination_path"] + "/visitor_sessions.jsonl", "a") as out:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "RECORD":
            out.write(json.dumps(message["record"]) + "\\n")
        if message["type"] == "STATE":
            state = message["value"]
print(json.dumps(state))
"""
"""As target-jsonl does: a line for each record, and the last state at the end."""


def git(arguments: list[str]) -> None:
    """`git clone` of the project: a folder of links."""
    assert arguments == ["clone", REPOSITORY], arguments
    sys.path.insert(0, str(ROOT))
    import stranger

    stranger.checkout(Path("tap-visitor-sessions"))


def program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def pip(arguments: list[str], folder: Path | None = None) -> None:
    """Check what is to be installed, and put stand-ins of it into an environment."""
    arguments = [one for one in arguments if one not in ("--user", "--upgrade", "-U")]
    assert arguments[0] == "install", arguments
    for wanted in arguments[1:]:
        name, source = requirement(wanted)
        if name == "tap-visitor-sessions" and folder:
            for one in PROGRAMS:
                (folder / one).unlink(missing_ok=True)
                (folder / one).symlink_to(Path(sys.executable).with_name(one))
        elif name == "target-jsonl" and folder:
            program(folder / name, f"#!{sys.executable}\n{TARGET}")
        elif source and name != "tap-visitor-sessions":
            raise SystemExit(f"what is {wanted}?")


def requirement(wanted: str) -> tuple[str, str]:
    """Name and source of a requirement; fails where it could not be installed today."""
    from packaging.requirements import Requirement

    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    local = re.fullmatch(r"\.(?:\[(.*)\])?", wanted)
    if local:
        assert Path("pyproject.toml").exists(), f"{wanted} in a folder without the project"
        name, extras, source = "tap-visitor-sessions", (local[1] or "").split(","), wanted
    elif wanted.startswith("git+"):
        assert wanted == f"git+{REPOSITORY}", wanted
        name, extras, source = "tap-visitor-sessions", [], wanted
    else:
        parsed = Requirement(wanted)
        name, extras, source = parsed.name, sorted(parsed.extras), parsed.url or ""
        if name == "tap-visitor-sessions":
            assert source == f"git+{REPOSITORY}", f"not on an index yet: {wanted}"
    if name == "tap-visitor-sessions":
        for extra in filter(None, extras):
            assert re.search(rf"^{extra} = \[", declared, re.MULTILINE), f"no extra {extra}"
    return name, source


def python3(arguments: list[str]) -> None:
    """`-m venv` makes a folder; `dev.py` is asked whether it has the command; else Python."""
    if arguments[:2] == ["-m", "venv"]:
        folder = Path(arguments[2]) / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        program(
            folder / "pip",
            f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" pip-of "{folder.resolve()}" "$@"\n',
        )
    elif arguments[0] == "dev.py":
        dev(arguments[1:])
    else:
        os.execv(sys.executable, [sys.executable, *arguments])


def dev(arguments: list[str]) -> None:
    """Whether dev.py has the command, its options and its files."""
    assert Path("dev.py").exists(), "dev.py is not here"
    text = (ROOT / "dev.py").read_text(encoding="utf-8")
    name, *rest = arguments
    assert re.search(rf'case \["{name}"|\| \["{name}"|"{name}" \|', text), f"dev.py {name}"
    modules = {"plan": "benchmarks.plan", "report": "report"}
    if name in modules:
        command = [sys.executable, "-m", modules[name], "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        known = set(re.findall(r"--[a-z-]+", done.stdout)) | {"--check"}
        unknown = {one for one in rest if one.startswith("--")} - known
        assert not unknown, unknown
    if name == "report" and os.environ.get("LOADERS"):
        sys.path.insert(0, str(ROOT))
        from report.__main__ import main as report

        report(rest)
    for one in rest:
        if one.startswith("tests/"):
            assert (ROOT / one).exists(), one


def meltano(arguments: list[str]) -> None:
    """Meltano itself, but that plugins are not installed anew: the environments of the loaders'
    tests stand in for theirs, LOADERS names their folder."""
    loaders = Path(os.environ["LOADERS"])
    command = next((one for one in arguments if not one.startswith("-")), "")
    if command in ("add", "run"):
        at = arguments.index(command) + 1
        arguments = [*arguments[:at], "--no-install", *arguments[at:]]
    if command == "install":
        kind, name = arguments[1:]
        text = Path("meltano.yml").read_text(encoding="utf-8")
        assert kind in ("extractor", "loader"), kind
        assert f"- name: {name}\n" in text, name
    else:
        real = str(Path(sys.executable).with_name("meltano"))
        code = subprocess.run([real, *arguments]).returncode
        if code:
            raise SystemExit(code)
    if command in ("install", "add"):
        tap = Path(".meltano/extractors/tap-visitor-sessions/venv/bin")
        tap.mkdir(parents=True, exist_ok=True)
        run = f'#!/bin/sh\nexec "{sys.executable}" -m tap_visitor_sessions "$@"\n'
        program(tap / "tap-visitor-sessions", run)
        Path(".meltano/loaders").mkdir(exist_ok=True)
        link = Path(".meltano/loaders/target-postgres")
        if not link.exists():
            link.symlink_to(loaders / "target-postgres")


def main() -> None:
    """Dispatch."""
    name, *arguments = sys.argv[1:]
    if name == "pip-of":
        pip(arguments[1:], Path(arguments[0]))
    elif name in ("pip", "pipx"):
        pip(arguments)
    elif name == "uv":
        assert arguments[:2] == ["tool", "install"], arguments
        requirement(arguments[2])
    else:
        {"git": git, "python3": python3, "meltano": meltano}[name](arguments)
    print(json.dumps({"stand-in": name, "arguments": arguments}), file=sys.stderr)


if __name__ == "__main__":
    main()
