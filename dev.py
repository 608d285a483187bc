#!/usr/bin/env python3
"""The project's commands. Needs nothing but Python 3.10 or later with venv, and git.

python3 dev.py check       linter, types and the quick tests: those that start no process and no
                           server; further arguments go to pytest
python3 dev.py demo        sandbox -> tap -> Meltano -> PostgreSQL, a table out of it, the answers
                           of the dbt package and a report; --psql opens psql on its database,
                           further arguments go to psql
python3 dev.py test        the gate: lint, types, tests, then package and half of minimums, loaders
                           and transform; with arguments, which go to pytest, only lint, types and
                           those tests
python3 dev.py loaders     each loader of meltano.yml in an environment of its own, loaded and read
                           (docs/loaders.md); with --half what the gate has of it, further
                           arguments go to pytest
python3 dev.py locks       plugins/loaders/*.lock, made anew from each loader's --about
python3 dev.py faults      all tests and all their cases, with searches five times as long as the
                           gate's, and docs/faults.md made anew from what they injected
python3 dev.py all         every suite, one after the other, whatever fails; a table of results at
                           the end
python3 dev.py mutants     small changes of the core's modules, each run through the quick tests of
                           its package: do they notice? With arguments only these modules or
                           packages
python3 dev.py audit       known vulnerabilities of the resolved dependencies (needs the advisories
                           that the package index publishes)
python3 dev.py bench NAME  a figure of docs/benchmarks.md: throughput, latency, customers, memory,
                           requests, table, shapes, increment, transform, steps,
                           plot; further arguments go
                           to it
python3 dev.py plan ...    what a first load costs in points, hours and memory (--help)
python3 dev.py report ...  a page of charts made from the loaded database (--help); with --check
                           alone it is looked at in a headless Chromium
python3 dev.py package     build sdist and wheel, check them, install the wheel with pipx and with
                           uv tool, run each; lint workflows
python3 dev.py pythons     the heart of the tests on each Python from 3.10 to 3.14 found here
python3 dev.py minimums    the same with the oldest versions that pyproject.toml allows; with --half
                           what the gate has of it
python3 dev.py next        the same with the newest pre-release of singer-sdk
python3 dev.py docs        the docs site, into docs/_build/html; with --check its pages are looked
                           at in a headless Chromium
python3 dev.py pictures    docs/images/report.png, of the report of the last demo, in Chromium
python3 dev.py sync        README, meltano.yml, hub/ and the tables of docs/ made anew from --about
                           and benchmarks/results; with --check it only says what differs
python3 dev.py airflow     the DAGs of orchestrate/airflow in a real Airflow, over a sandbox of
                           12 customers, into PostgreSQL; with `lowest` first in the oldest Airflow
                           that they take; further arguments go to pytest
python3 dev.py pyairbyte   the Airbyte source in PyAirbyte, into DuckDB and PostgreSQL, and under
                           Airbyte's own tests of a source
python3 dev.py transform   the dbt package of transform/ in a project of its own, on PostgreSQL and
                           DuckDB, over what each way of loading leaves: every mart against a
                           computation in Python; with --half what the gate has of it, further
                           arguments go to pytest
python3 dev.py image       the tap's image and the Airbyte source's, built and run, with docker,
                           podman or Debian's buildah; an argument is another base image
python3 dev.py setup       only make the environment in .venv
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.resolve()
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
SUITES = (
    *("test tests", "package", "minimums", "loaders"),
    *("faults", "airflow", "airflow lowest", "pyairbyte", "transform", "pythons", "next"),
    *("docs", "docs --check", "report --check"),
    "image",
)
"""What `all` runs, which is all but benchmarks."""
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def run(*command: str, shown: Sequence[str] | None = None) -> None:
    """Run a command in the checkout; end with its exit code if it fails.

    Args:
        shown: What is printed in its stead: the command itself may hold a secret.
    """
    words = [Path(c).name if c == str(PYTHON) else c for c in shown or command]
    print("$ " + " ".join(words), flush=True)
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


def demo(*arguments: str) -> None:
    """The main job, end to end."""
    setup("demo")
    run(str(PYTHON), "-W", "ignore", "-m", "sandbox.demo", *arguments)


def check(*arguments: str) -> None:
    """What takes less than a minute."""
    lint()
    os.environ["TESTS_SEARCH"] = "short"
    quick = ["-m", "quick and not slow", "-n", "auto", "--dist", "worksteal", *arguments]
    run(str(PYTHON), "-m", "pytest", *quick)


def lint() -> None:
    """Linter and types."""
    setup("dev")
    python = str(PYTHON)
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    typed = "tap_visitor_sessions sandbox benchmarks report docs dev.py"
    scripts = "tests/packages.py tests/mutants.py tests/images transform/scripts"
    run(python, "-m", "mypy", *typed.split(), *scripts.split())
    # The DAG itself is checked where Airflow is installed, by `dev.py airflow`.
    dags = (ROOT / "orchestrate" / "airflow").glob("*/*.py")
    alone = [str(path) for path in sorted(dags) if path.name != "visitor_sessions.py"]
    # They find each other in their own folder, as Airflow has it.
    run(python, "-m", "mypy", "--no-explicit-package-bases", *alone)


def test(*arguments: str) -> None:
    """All checks."""
    lint()
    # Many of them wait: for a process, an answer, a point.
    os.environ.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", str((os.cpu_count() or 1) + 2))
    tests = ["-m", "pytest", "-n", "auto", "--dist", "worksteal", *arguments]
    if arguments:
        run(str(PYTHON), *tests)
        return
    os.environ["TESTS_SEARCH"] = "gate"
    # What they do for the most part is to wait for Meltano and dbt to start.
    with beside(["loaders", "--half"], ["transform", "--half"]):
        run(str(PYTHON), *tests)
    packages("package")
    packages("minimums", "--half")


@contextmanager
def beside(*commands: Sequence[str]) -> Iterator[None]:
    """Run commands of this file, one after the other, while the block runs; after it print what
    they have printed, and end with the exit code of the one that failed."""

    def one_after_the_other() -> int:
        for command in commands:
            done = subprocess.run(
                [sys.executable, __file__, *command],
                cwd=ROOT,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            if done.returncode:
                return done.returncode
        return 0

    with tempfile.TemporaryFile() as printed, ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(one_after_the_other)
        try:
            yield
        finally:
            code = outcome.result()
            printed.seek(0)
            print(printed.read().decode(errors="replace"), flush=True)
    if code:
        sys.exit(code)


def everything() -> None:
    """Every suite, and a table of how they ended; fails if one of them did."""
    results: list[tuple[str, str, float]] = []
    for suite in SUITES:
        print(f"==> {suite}", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, __file__, *suite.split()], cwd=ROOT).returncode
        outcome = "passed" if code == 0 else f"FAILED ({code})"
        results.append((suite, outcome, time.monotonic() - began))
    print("\n| suite | result | minutes |\n| --- | --- | --: |")
    for suite, outcome, seconds in results:
        print(f"| {suite} | {outcome} | {seconds / 60:.1f} |")
    sys.exit(any(outcome != "passed" for _, outcome, _ in results))


def loaders(*arguments: str) -> None:
    """The loaders' tests; Meltano makes their environments in .venv-loaders."""
    setup("dev")
    tests = ["tests/loaders", "--durations=5", *arguments]
    run(str(PYTHON), "-m", "pytest", "-n", "2", "--dist", "worksteal", *tests)


def locks() -> None:
    """What Meltano knows of the loaders."""
    setup("dev")
    os.environ["PYTHONPATH"] = os.pathsep.join(["tests", "tests/loaders", "."])
    run(str(PYTHON), str(Path("tests", "loaders", "locks.py")))


def faults() -> None:
    """The table of faults."""
    setup("dev")
    run(str(PYTHON), "-m", "docs.faults")


def mutants(*modules: str) -> None:
    """Would the tests notice?"""
    setup("mutants")
    run(str(PYTHON), str(Path("tests", "mutants.py")), *modules)


def docs(*arguments: str) -> None:
    """The docs site; a warning is an error."""
    if arguments == ("--check",):
        setup("dev")
        setup("report")  # has Selenium
        os.environ["BROWSER_CHECK"] = "required"
        run(str(PYTHON), "-m", "pytest", "-v", "tests/project/test_docs_browser.py")
        return
    setup("docs")
    pages, site = str(Path("docs")), str(Path("docs", "_build", "html"))
    run(str(PYTHON), "-m", "sphinx", "-q", "-W", "--keep-going", pages, site)


def sync(*arguments: str) -> None:
    """What is derived from the tap's own --about, and from figures."""
    setup("dev")
    run(str(PYTHON), "-m", "docs.sync", *arguments)


def audit() -> None:
    """Advisories on what a fresh install of the tap brings; one not audited is a failure."""
    setup("audit")
    run(str(PYTHON), "-m", "pip_audit", "--strict", ".")


def bench(*arguments: str) -> None:
    """A figure."""
    setup("benchmarks")
    if arguments[:1] == ("transform",):
        dbt()
    run(str(PYTHON), "-m", "benchmarks", *arguments)


def plan(*arguments: str) -> None:
    """The cost of a first load, simulated."""
    setup("demo")
    run(str(PYTHON), "-m", "benchmarks.plan", *arguments)


def report(*arguments: str) -> None:
    """A first look at the loaded sessions."""
    setup("report")
    if arguments == ("--check",):
        os.environ["BROWSER_CHECK"] = "required"
        run(str(PYTHON), "-m", "pytest", "-v", "tests/report/test_report_browser.py")
    else:
        command = [str(PYTHON), "-m", "report"]
        run(*command, *arguments, shown=[*command, "..."])  # a URL of a database among them


def airflow(*arguments: str) -> None:
    """The test of the DAGs. Airflow has an environment of its own, .venv-airflow: it and
    Meltano want different versions of SQLAlchemy."""
    setup("dev")
    folder, lowest = ROOT / "orchestrate" / "airflow", arguments[:1] == ("lowest",)
    more = "-lowest" if lowest else ""
    environment = ROOT / f".venv-airflow{more}"
    python = environment / "bin" / "python"
    lists = [folder / f"{name}{more}.txt" for name in ("requirements", "constraints")]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest()
    stamp = environment / "made-for"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"==> Making {environment.name} (a minute)", flush=True)
        venv.create(environment, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run(*pip, "--requirement", str(lists[0]), "--constraint", str(lists[1]))
        stamp.write_text(wanted)
    os.environ["AIRFLOW_ENVIRONMENT"] = str(environment)
    dag = str(folder / "dags" / "visitor_sessions.py")
    bases = "--no-explicit-package-bases"
    run(str(PYTHON), "-m", "mypy", bases, "--python-executable", str(python), dag)
    run(str(PYTHON), "-m", "pytest", str(folder / "tests"), *arguments[lowest:])


def pyairbyte(*arguments: str) -> None:
    """The Airbyte source, run by PyAirbyte, which has an environment of its own."""
    setup("dev")
    run(str(PYTHON), "-m", "pytest", str(Path("tests", "pyairbyte")), *arguments)


def transform(*arguments: str) -> None:
    """The dbt package."""
    setup("dev")
    dbt()
    tests = [str(Path("tests", "transform")), "--durations=5", *arguments]
    run(str(PYTHON), "-m", "pytest", "-n", "2", "--dist", "worksteal", *tests)


def dbt() -> None:
    """Make .venv-transform, unless it is there already."""
    folder = ROOT / ".venv-transform"
    python, stamp = folder / PYTHON.relative_to(VENV), folder / "made-for"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("==> Making .venv-transform (a minute)", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run(*pip, "--upgrade", "pip>=25.1")
        run(*pip, "--group", "transform")
        stamp.write_text(wanted)


def image(*arguments: str) -> None:
    """Both images."""
    setup("sandbox")
    run(str(PYTHON), "-m", "tests.images", *arguments)


def packages(*command: str) -> None:
    """A command of tests/packages.py, in an environment with the tools and without the tap."""
    folder = ROOT / ".venv-packaging"
    python = folder / PYTHON.relative_to(VENV)
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--upgrade", "pip>=25.1")
    run(*pip, "--group", "packaging")
    run(str(python), "-m", "tests.packages", *command)


def main() -> None:
    """Dispatch."""
    if sys.version_info < (3, 10):  # noqa: UP036 - run by whatever python3 there is
        sys.exit("Python 3.10 or later is needed")
    match sys.argv[1:]:
        case ["demo"] | ["demo", "--psql", *_]:
            demo(*sys.argv[2:])
        case ["bench", _, *_]:
            bench(*sys.argv[2:])
        case ["loaders", *arguments]:
            loaders(*arguments)
        case ["locks"]:
            locks()
        case ["check", *arguments]:
            check(*arguments)
        case ["all"]:
            everything()
        case ["sync", *arguments]:
            sync(*arguments)
        case ["faults"]:
            faults()
        case ["mutants", *modules]:
            mutants(*modules)
        case ["docs"] | ["docs", "--check"]:
            docs(*sys.argv[2:])
        case ["pictures"]:
            setup("demo")
            run(str(PYTHON), "-m", "docs.pictures")
        case ["audit"]:
            audit()
        case ["plan", *arguments]:
            plan(*arguments)
        case ["report", *arguments]:
            report(*arguments)
        case ["pyairbyte", *arguments]:
            pyairbyte(*arguments)
        case ["transform", *arguments]:
            transform(*arguments)
        case ["airflow", *arguments]:
            airflow(*arguments)
        case ["image"] | ["image", _]:
            image(*sys.argv[2:])
        case ["package" | "minimums" | "next"] | ["minimums", "--half"] | ["pythons", *_]:
            packages(*sys.argv[1:])
        case ["setup"]:
            setup("dev")
        case ["test", *arguments]:
            test(*arguments)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
