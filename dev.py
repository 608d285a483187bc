#!/usr/bin/env python3
"""The project's commands. Needs nothing but Python 3.10 or later with venv, and git.

python3 dev.py demo        sandbox -> tap -> Meltano -> PostgreSQL, and a table out of it
python3 dev.py test        lint, types, tests; further arguments go to pytest
python3 dev.py loaders     each loader of meltano.yml in an environment of its own, loaded and read
                           (docs/loaders.md); further arguments go to pytest
python3 dev.py faults      all tests, and docs/faults.md made anew from what they injected
python3 dev.py audit       known vulnerabilities of the resolved dependencies (needs the advisories
                           that the package index publishes)
python3 dev.py bench NAME  a figure of benchmarks/README.md: throughput, latency, memory,
                           requests, chain, steps, plot; further arguments go to it
python3 dev.py setup       only make the environment in .venv
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.resolve()
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def run(*command: str) -> None:
    """Run a command in the checkout; end with its exit code if it fails."""
    print("$ " + " ".join(Path(c).name if c == str(PYTHON) else c for c in command), flush=True)
    code = subprocess.run(command, cwd=ROOT).returncode
    if code:
        sys.exit(code)


def setup(group: str) -> None:
    """Make .venv with the project and a dependency group, unless it is there already."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / f"made-for-{group}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        print("==> Making .venv", flush=True)
        venv.create(VENV, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    print("==> Installing (the downloads take a minute or two)", flush=True)
    run(*pip, "--upgrade", "pip>=25.1")  # knows dependency groups
    run(*pip, "--editable", ".", "--group", group)
    stamp.write_text(wanted)


def demo() -> None:
    """The main job, end to end."""
    setup("demo")
    run(str(PYTHON), "-m", "sandbox.demo")


def test(*arguments: str) -> None:
    """All checks."""
    setup("dev")
    python = str(PYTHON)
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    run(python, "-m", "mypy", "tap_visitor_sessions", "sandbox", "benchmarks", "dev.py", "docs")
    run(python, "-m", "pytest", "-n", "auto", "--dist", "worksteal", *arguments)


def loaders(*arguments: str) -> None:
    """The loaders' tests; Meltano makes their environments in .venv-loaders."""
    setup("dev")
    tests = ["tests/loaders", "--durations=5", *arguments]
    run(str(PYTHON), "-m", "pytest", "-n", "2", "--dist", "worksteal", *tests)


def faults() -> None:
    """The table of faults."""
    setup("dev")
    run(str(PYTHON), str(Path("docs", "faults.py")))


def audit() -> None:
    """Advisories on what a fresh install of the tap brings; one not audited is a failure."""
    setup("audit")
    run(str(PYTHON), "-m", "pip_audit", "--strict", ".")


def bench(*arguments: str) -> None:
    """A figure."""
    setup("benchmarks")
    run(str(PYTHON), "-m", "benchmarks", *arguments)


def main() -> None:
    """Dispatch."""
    if sys.version_info < (3, 10):  # noqa: UP036 - run by whatever python3 there is
        sys.exit("Python 3.10 or later is needed")
    match sys.argv[1:]:
        case ["demo"]:
            demo()
        case ["bench", _, *_]:
            bench(*sys.argv[2:])
        case ["loaders", *arguments]:
            loaders(*arguments)
        case ["faults"]:
            faults()
        case ["audit"]:
            audit()
        case ["setup"]:
            setup("dev")
        case ["test", *arguments]:
            test(*arguments)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
